/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/elf.h"
#include "reference/package.h"
#include "reference/shelf.h"

struct reference {
	struct reference_source source;
	struct blob vmlinux;
	struct shelf shelf;
	struct reference_kept kept[REFERENCE_KEEPS];
};

/* A search through files for the kernel that a guest runs, and for its modules. */
struct search {
	struct reference *reference;
	const struct kernel *kernel;
	char found[128];	/* another kernel that was there */
};

/* Which build a kernel or module is; "" where it does not say. */
static int build_id_of(const struct blob *file, char ret[41], struct err *err)
{
	cleanup(elf_free) struct elf_file elf = {0};
	int r = elf_read(file->data, file->size, &elf, err);

	if (r < 0)
		return r;
	if (elf_build_id(&elf, ret) < 0)
		*ret = '\0';
	return 0;
}

static int try_kernel(struct search *search, struct packaged *member, struct err *err)
{
	struct reference *reference = search->reference;
	cleanup(blob_free) struct blob file = {0};
	cleanup(blob_free) struct blob vmlinux = {0};
	char build_id[41] = "";
	int r;

	if (reference->vmlinux.data)
		return 0;
	r = packaged_read(member, &file, err);
	if (r >= 0)
		r = package_vmlinux(&file, &vmlinux, err);
	if (r >= 0)
		r = build_id_of(&vmlinux, build_id, err);
	if (r < 0)
		return wrap(err, r, "%s", member->path);
	if (strcmp(build_id, search->kernel->build_id) != 0) {
		snprintf(search->found, sizeof(search->found), "build %s",
			 *build_id ? build_id : "unknown");
		return 1;
	}
	reference->source = *member->source;
	reference->vmlinux = vmlinux;
	vmlinux = (struct blob){0};
	return 0;
}

static int visit(struct packaged *member, void *ctx, struct err *err)
{
	struct search *search = ctx;

	if (member->kind == PACKAGED_KERNEL)
		return try_kernel(search, member, err);
	/* A package is of one release; the build ID is compared when a module is asked for. */
	if (*member->release && strcmp(member->release, search->kernel->release) != 0)
		return 1;
	return shelf_add(&search->reference->shelf, member, err);
}

static int search_paths(struct search *search, const struct reference_options *options,
			struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < options->paths_n && r >= 0; i++)
		r = package_each(options->paths[i], visit, search, err);
	if (r < 0 || search->reference->vmlinux.data)
		return r;
	return err_set(err, -ENOENT, "the guest runs Linux %.64s, build %s; %s %s",
		       search->kernel->release, search->kernel->build_id,
		       options->paths_n == 1 ? "--reference is" : "the references are",
		       *search->found ? search->found : "no kernel");
}

static int search_kernel_file(struct search *search, const struct reference_options *options,
			      struct err *err)
{
	struct reference_source *source = &search->reference->source;
	int r = package_each(options->kernel_file, visit, search, err);

	if (r < 0)
		return r;
	if (!search->reference->vmlinux.data)
		return err_set(err, -ENOENT, "the file that QEMU booted is another kernel");
	strcpy(source->source, "kernel file");
	snprintf(source->path, sizeof(source->path), "%s", options->kernel_name);
	return 0;
}

int reference_open(const struct reference_options *options, const struct kernel *kernel,
		   struct reference **ret, struct err *err)
{
	cleanup(reference_close) struct reference *reference = calloc(1, sizeof(*reference));
	struct search search = { .reference = reference, .kernel = kernel };
	int r;

	if (!reference)
		return err_set(err, -ENOMEM, "no memory for a reference");
	reference->shelf = SHELF_EMPTY;
	if (!*kernel->build_id)
		return err_set(err, -ENOENT, "the guest's kernel has no build ID");
	if (options->paths_n)
		r = search_paths(&search, options, err);
	else if (options->kernel_file)
		r = search_kernel_file(&search, options, err);
	else
		r = err_set(err, -ENOENT, "there is no reference for build %s",
			    kernel->build_id);
	if (r < 0)
		return r;
	*ret = take_ptr(&reference);
	return 0;
}

void reference_close(struct reference **reference)
{
	struct reference *ref = *reference;

	if (!ref)
		return;
	for (size_t i = 0; i < REFERENCE_KEEPS; i++)
		if (ref->kept[i].free)
			ref->kept[i].free(ref->kept[i].state);
	blob_free(&ref->vmlinux);
	shelf_free(&ref->shelf);
	free(ref);
	*reference = NULL;
}

const struct reference_source *reference_source(const struct reference *reference)
{
	return &reference->source;
}

const struct blob *reference_vmlinux(const struct reference *reference)
{
	return &reference->vmlinux;
}

bool reference_has_modules(const struct reference *reference)
{
	return reference->shelf.modules.n;
}

/* As in struct packaged: without a difference between '-' and '_'. */
static void plain_name(const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s", name);
	for (char *c = ret; *c; c++)
		if (*c == '-')
			*c = '_';
}

int reference_module(struct reference *reference, const char *name, const char *build_id,
		     struct blob *ret, struct err *err)
{
	bool other = false;
	char plain[64];
	int r;

	plain_name(name, plain, sizeof(plain));
	for (size_t from = 0;;) {
		cleanup(blob_free) struct blob module = {0};
		char found[41] = "";

		r = shelf_get(&reference->shelf, plain, &from, &module, err);
		if (r == -ENOENT && other)
			return err_set(err, -ENOENT, "the module '%s' of the reference is another "
				       "build", plain);
		if (r >= 0)
			r = build_id_of(&module, found, err);
		if (r < 0)
			return r;
		if (!build_id || !*build_id || !strcmp(build_id, found)) {
			*ret = module;
			module = (struct blob){0};
			return 0;
		}
		other = true;
	}
}

struct reference_kept *reference_kept(struct reference *reference, enum reference_keep which)
{
	return &reference->kept[which];
}
