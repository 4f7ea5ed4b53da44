/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/identify.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/elf.h"

#define BANNER   "Linux version "
#define VERMAGIC "vermagic="

/* Up to the first byte of @end, if that comes and all fits. */
static bool take_word(const char *from, size_t left, const char *end, char *ret, size_t size)
{
	size_t n = 0;

	while (n < left && n < size && from[n] && !strchr(end, from[n]))
		n++;
	if (n == left || n >= size)
		return false;
	memcpy(ret, from, n);
	ret[n] = '\0';
	return true;
}

/* linux_banner (init/version-timestamp.c); its format lies about as well, with a '%' in it. */
static void find_banner(const struct blob *vmlinux, struct identified *ret)
{
	const char *at = (const char *)vmlinux->data, *end = at + vmlinux->size;
	const size_t n = strlen(BANNER);

	while ((at = memmem(at, (size_t)(end - at), BANNER, n))) {
		const char *release = at + n;

		if (release < end && *release >= '0' && *release <= '9' &&
		    take_word(at, (size_t)(end - at), "\n", ret->banner, sizeof(ret->banner)) &&
		    take_word(release, (size_t)(end - release), " ", ret->release,
			      sizeof(ret->release)))
			return;
		at = release;
	}
	*ret->banner = *ret->release = '\0';
}

int identify_build(const struct blob *file, char ret[41], struct err *err)
{
	cleanup(elf_free) struct elf_file elf = {0};
	int r = elf_read(file->data, file->size, &elf, err);

	if (r < 0)
		return r;
	if (elf_build_id(&elf, ret) < 0)
		*ret = '\0';
	return 0;
}

int identify_kernel(const struct blob *vmlinux, struct identified *ret, struct err *err)
{
	int r;

	*ret = (struct identified){0};
	r = identify_build(vmlinux, ret->build_id, err);
	if (r >= 0)
		find_banner(vmlinux, ret);
	return r;
}

int identify_module(const struct blob *ko, struct identified *ret, struct err *err)
{
	cleanup(elf_free) struct elf_file elf = {0};
	int r = elf_read(ko->data, ko->size, &elf, err);
	const struct elf_section *info;
	const char *at;

	*ret = (struct identified){0};
	if (r < 0)
		return r;
	if (elf_build_id(&elf, ret->build_id) < 0)
		*ret->build_id = '\0';
	info = elf_find(&elf, ".modinfo");
	if (!info || !info->bytes)
		return 0;
	at = memmem(info->bytes, info->size_bytes, VERMAGIC, strlen(VERMAGIC));
	if (!at)
		return 0;
	at += strlen(VERMAGIC);
	if (!take_word(at, (size_t)((const char *)info->bytes + info->size_bytes - at), " ",
		       ret->release, sizeof(ret->release)))
		*ret->release = '\0';
	return 0;
}
