/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/profile.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/writer.h"
#include "reference/vmlinux.h"

#define PROFILE_MAGIC 0x32656c69666f7270ull	/* "profile2" */

static int copy_all(void *ctx, uint64_t from, size_t n, void *at)
{
	(void)ctx, (void)from, (void)n, (void)at;
	return -ENOTSUP;
}

static int find_types(const struct pristine *pristine, const struct symbols *symbols,
		      struct types **ret, struct err *err)
{
	uint64_t from = symbols_lookup(symbols, "__start_BTF").v - pristine->text.v;
	uint64_t to = symbols_lookup(symbols, "__stop_BTF").v - pristine->text.v;

	if (to > pristine->size_bytes || from >= to)
		return err_set(err, -ENOENT, "the kernel has no types (BTF)");
	return types_parse(pristine->bytes + from, to - from, ret, err);
}

static int write_profile(const struct profile *profile, struct blob *ret)
{
	size_t room = 64 + symbols_written_max(profile->symbols) +
		types_written_max(profile->types) +
		relocations_written_max(&profile->relocations);
	cleanup(blob_free) struct blob blob = { malloc(room), room };
	struct writer w = writer_of(blob.data, room);

	if (!blob.data)
		return -ENOMEM;
	write_u64(&w, PROFILE_MAGIC);
	write_u64(&w, profile->text.v);
	symbols_write(profile->symbols, &w);
	relocations_write(&profile->relocations, &w);
	if (types_write(profile->types, &w) < 0 || !writer_ok(&w))
		return -ENOMEM;
	*ret = (struct blob){ blob.data, w.n };
	blob = (struct blob){0};
	return 0;
}

/* Where it was linked to nothing of it moves; only what would is wanted. */
static int find_relocations(const struct blob *vmlinux, struct profile *profile, struct err *err)
{
	struct shipped shipped = {0};
	int r = vmlinux_load(vmlinux, profile->text, &shipped, &profile->relocations, err);

	shipped_free(&shipped);
	return r;
}

int profile_make(const struct blob *vmlinux, struct blob *ret, struct err *err)
{
	cleanup(pristine_free) struct pristine pristine = {0};
	cleanup(profile_free) struct profile profile = {0};
	int r = vmlinux_pristine(vmlinux, copy_all, NULL, &pristine, err);

	if (r < 0)
		return r;
	profile.text = pristine.text;
	r = symbols_parse(pristine.bytes, pristine.size_bytes, pristine.text, &profile.symbols,
			  err);
	if (r >= 0)
		r = find_types(&pristine, profile.symbols, &profile.types, err);
	if (r >= 0)
		r = find_relocations(vmlinux, &profile, err);
	if (r >= 0)
		r = write_profile(&profile, ret);
	return r;
}

int profile_read(const void *data, size_t size, struct profile *ret, struct err *err)
{
	cleanup(profile_free) struct profile profile = {0};
	struct bytes b = bytes_of(data, size);
	uint64_t magic = bytes_u64(&b);
	int r;

	profile.text.v = bytes_u64(&b);
	if (!bytes_ok(&b) || magic != PROFILE_MAGIC)
		return err_set(err, -EBADMSG, "no profile of a kernel");
	r = symbols_read(&b, profile.text, &profile.symbols, err);
	if (r >= 0)
		r = relocations_read(&b, &profile.relocations, err);
	if (r >= 0)
		r = types_read(&b, &profile.types, err);
	if (r < 0)
		return r;
	*ret = profile;
	profile = (struct profile){0};
	return 0;
}

void profile_free(struct profile *profile)
{
	symbols_free(&profile->symbols);
	types_free(&profile->types);
	relocations_free(&profile->relocations);
}

int profile_adopt(const struct profile *profile, struct kernel *kernel)
{
	cleanup(symbols_free) struct symbols *moved = NULL;
	int r = symbols_move(profile->symbols, kernel->text.v - profile->text.v, &moved);

	if (r < 0)
		return r;
	if (symbols_equal(moved, kernel->symbols)) {
		symbols_free(&kernel->symbols);
		kernel->symbols = take_ptr(&moved);
	}
	if (types_equal(profile->types, kernel->types)) {
		types_free(&kernel->types);
		kernel->types = types_share(profile->types);
	}
	return 0;
}
