/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/bzimage.h"

#include <elf.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/unpack.h"

/* The setup header, by offsets in the file. */
#define SETUP_SECTS	0x1f1u
#define HEADER_MAGIC	0x202u		/* "HdrS" */
#define VERSION		0x206u
#define PAYLOAD_OFFSET	0x248u		/* from the protected-mode code on; and the length */
#define HEADER_END	0x250u

#define VERSION_WITH_PAYLOAD	0x208u
#define SECTOR			512u
#define SETUP_SECTS_OLD		4u	/* what 0 stands for */

bool bzimage_is(const void *data, size_t size)
{
	return size >= HEADER_END && !memcmp((const uint8_t *)data + HEADER_MAGIC, "HdrS", 4);
}

/* What is packed, as the header says. */
static int find_payload(const void *data, size_t size, struct bytes *ret, struct err *err)
{
	struct bytes all = bytes_of(data, size);
	struct bytes sects = bytes_slice(&all, SETUP_SECTS, 1);
	struct bytes version = bytes_slice(&all, VERSION, 2);
	struct bytes header = bytes_slice(&all, PAYLOAD_OFFSET, 8);
	uint32_t setup = bytes_u8(&sects), offset, length;

	if (!bzimage_is(data, size))
		return err_set(err, -EBADMSG, "not a kernel image (bzImage)");
	if (bytes_u16(&version) < VERSION_WITH_PAYLOAD)
		return err_set(err, -ENOTSUP, "a kernel image older than Linux 2.6.26");
	offset = bytes_u32(&header);
	length = bytes_u32(&header);
	setup = ((setup ? setup : SETUP_SECTS_OLD) + 1) * SECTOR;
	if (setup > size)
		return err_set(err, -EBADMSG, "a truncated kernel image");
	*ret = bytes_slice(&all, (size_t)setup + offset, length);
	if (!bytes_ok(ret) || length <= sizeof(uint32_t))
		return err_set(err, -EBADMSG, "a truncated kernel image");
	return 0;
}

/*
 * The packed bytes end with the size of what comes out: gzip has it in its own trailer, the
 * kernel's build adds it to the others (scripts/Makefile.lib, size_append).
 */
static int unpack_payload(struct bytes payload, struct blob *ret, struct err *err)
{
	struct bytes tail = bytes_slice(&payload, payload.left - 4, 4);
	bool gzip = !memcmp(payload.at, "\x1f\x8b", 2);
	uint32_t size = bytes_u32(&tail);
	int r;

	if (size > VMLINUX_MAX)
		return err_set(err, -ELOOP, "a kernel of over %u MiB", VMLINUX_MAX >> 20);
	r = unpack(payload.at, payload.left - (gzip ? 0 : 4), VMLINUX_MAX, ret, err);
	if (r < 0)
		return wrap(err, r, "the kernel in it");
	if (ret->size != size) {
		r = err_set(err, -EBADMSG, "the kernel in it has %zu bytes, not %u", ret->size,
			    size);
		blob_free(ret);
	}
	return r;
}

int bzimage_vmlinux(const void *data, size_t size, struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	struct bytes payload = {0};
	int r = find_payload(data, size, &payload, err);

	if (r < 0)
		return r;
	if (!memcmp(payload.at, ELFMAG, SELFMAG)) {
		blob.data = malloc(payload.left);
		if (!blob.data)
			return err_set(err, -ENOMEM, "no memory for a kernel");
		memcpy(blob.data, payload.at, payload.left);
		blob.size = payload.left;
	} else {
		r = unpack_payload(payload, &blob, err);
	}
	if (r >= 0 && (blob.size < SELFMAG || memcmp(blob.data, ELFMAG, SELFMAG)))
		r = err_set(err, -EBADMSG, "the kernel in it is not an ELF file");
	if (r < 0)
		return r;
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}
