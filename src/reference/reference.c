/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/package.h"
#include "reference/reference_inside.h"

/* A search through files for the kernel that a guest runs, and for its modules. */
struct search {
	struct reference *reference;
	const struct kernel *kernel;
	char found[160];	/* another kernel that was there */
	bool stored;		/* the store had a package that was named */
};

/* The kernel out of the store: of the source with this SHA-256, "": of any. */
static int take_stored(struct search *search, const char *sha256, struct err *err)
{
	struct reference *reference = search->reference;
	const char *wanted = search->kernel->build_id;
	cleanup(blob_free) struct blob vmlinux = {0};
	struct reference_source source;
	struct identified id;
	char build_id[41];
	int r = store_kernel(reference->store, wanted, sha256, &source, &id, &vmlinux, err);

	if (r >= 0)
		r = identify_build(&vmlinux, build_id, err);
	if (r >= 0 && strcmp(build_id, wanted) != 0)
		r = err_set(err, -EBADMSG, "the store is damaged: it has build %s as %s",
			    build_id, wanted);
	if (r < 0)
		return r;
	reference->source = source;
	reference->id = id;
	reference->vmlinux = vmlinux;
	vmlinux = (struct blob){0};
	return 0;
}

static void note_found(struct search *search, const struct identified *id)
{
	snprintf(search->found, sizeof(search->found), "Linux %s, build %s", id->release,
		 *id->build_id ? id->build_id : "unknown");
}

/* A package that the store has need not be unpacked again. Is it one? */
static bool try_stored(struct search *search, const struct packaged *member)
{
	struct reference *reference = search->reference;
	const char *sha256 = member->source->sha256;
	struct err ignored = {0};
	struct identified id;

	if (member->loose || !reference->store ||
	    store_describe(reference->store, sha256, &id, &ignored) < 0)
		return false;
	if (*id.build_id && !strcmp(id.build_id, search->kernel->build_id) &&
	    !reference->vmlinux.data && take_stored(search, sha256, &ignored) < 0)
		return false;
	if (*id.build_id && !reference->vmlinux.data)
		note_found(search, &id);
	search->stored = true;
	return true;
}

static int try_kernel(struct search *search, struct packaged *member, struct err *err)
{
	struct reference *reference = search->reference;
	cleanup(blob_free) struct blob file = {0};
	cleanup(blob_free) struct blob vmlinux = {0};
	struct identified id;
	int r;

	if (reference->vmlinux.data)
		return 0;
	r = packaged_read(member, &file, err);
	if (r >= 0)
		r = package_vmlinux(&file, &vmlinux, err);
	if (r >= 0)
		r = identify_kernel(&vmlinux, &id, err);
	if (r < 0)
		return wrap(err, r, "%s", member->path);
	if (strcmp(id.build_id, search->kernel->build_id) != 0) {
		note_found(search, &id);
		return 1;
	}
	reference->source = *member->source;
	reference->id = id;
	reference->vmlinux = vmlinux;
	vmlinux = (struct blob){0};
	return 0;
}

static int visit(struct packaged *member, void *ctx, struct err *err)
{
	struct search *search = ctx;

	if (try_stored(search, member))
		return 1;
	if (member->kind == PACKAGED_KERNEL)
		return try_kernel(search, member, err);
	/* A package is of one release; the build ID is compared when a module is asked for. */
	if (*member->release && strcmp(member->release, search->kernel->release) != 0)
		return 1;
	return shelf_add(&search->reference->shelf, member, err);
}

/* 0: found; 1: there were modules of this release, but no kernel. */
static int search_paths(struct search *search, const struct reference_options *options,
			struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < options->paths_n && r >= 0; i++)
		r = package_each(options->paths[i], visit, search, err);
	if (r < 0 || search->reference->vmlinux.data)
		return r;
	/* Modules may be named to go with a kernel that is found without that. */
	if (!*search->found && (search->stored || search->reference->shelf.modules.n))
		return 1;
	return err_set(err, -ENOENT, "the guest runs Linux %.64s, build %s; %s %s",
		       search->kernel->release, search->kernel->build_id,
		       options->paths_n == 1 ? "--reference is" : "the references are",
		       *search->found ? search->found : "no kernel");
}

int reference_open_store(struct reference *reference, const char *path, struct err *err)
{
	int r;

	if (!path)
		return 0;
	r = store_open(path, false, &reference->store, err);
	return r == -ENOENT || r == -EACCES ? 0 : r;
}

int reference_ask_store(struct reference *reference, struct err *err)
{
	int r = reference->store ?
		store_has_modules(reference->store, reference->id.release, err) : 0;

	if (r < 0)
		return r;
	reference->store_has_modules = r > 0;
	return 0;
}

/* The next one who asks shall not have to unpack it. Where that is not possible, so be it. */
static void remember(struct reference *reference, const char *path)
{
	cleanup(store_close) struct store *store = NULL;
	struct err err = {0};

	if (path && store_open(path, true, &store, &err) >= 0 &&
	    store_add_kernel(store, &reference->source, &reference->vmlinux, &err) < 0)
		return;
}

static int search_kernel_file(struct search *search, const struct reference_options *options,
			      struct err *err)
{
	struct reference_source *source = &search->reference->source;
	int r = package_each(options->kernel_file, visit, search, err);

	if (r == -ENOMEM)
		return r;
	/* Nobody named it as a reference: it may be anything, or gone since. */
	if (r < 0 || !search->reference->vmlinux.data)
		return err_set(err, -ENOENT, "the file that QEMU booted is another kernel");
	strcpy(source->source, "kernel file");
	snprintf(source->path, sizeof(source->path), "%s", options->kernel_name);
	remember(search->reference, options->store);
	return 0;
}

static int search_all(struct search *search, const struct reference_options *options,
		      struct err *err)
{
	struct reference *reference = search->reference;
	struct err store_err = {0};
	int opened = reference_open_store(reference, options->store, &store_err), r = 1;

	if (options->paths_n)
		r = search_paths(search, options, err);
	if (r <= 0)
		return r;
	if (opened < 0)
		return err_set(err, opened, "%s", store_err.text);
	r = reference->store ? take_stored(search, "", err) : -ENOENT;
	if (r == -ENOENT && options->kernel_file)
		r = search_kernel_file(search, options, err);
	if (r == -ENOENT)
		r = err_set(err, r, "there is no reference for build %s of Linux %.64s",
			    search->kernel->build_id, search->kernel->release);
	return r;
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
	reference->shelf.place = options->store;
	r = search_all(&search, options, err);
	reference->shelf.place = NULL;
	if (r >= 0)
		r = reference_ask_store(reference, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&reference);
	return 0;
}

int reference_ask(const struct reference_source *source, const struct blob *vmlinux,
		  bool has_modules, const struct reference_elsewhere *elsewhere,
		  struct reference **ret, struct err *err)
{
	struct reference *reference = calloc(1, sizeof(*reference));

	if (!reference)
		return err_set(err, -ENOMEM, "no memory for a reference");
	reference->shelf = SHELF_EMPTY;
	reference->source = *source;
	reference->vmlinux = *vmlinux;
	reference->elsewhere = *elsewhere;
	reference->modules_elsewhere = has_modules;
	*ret = reference;
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
	reference_release_vmlinux(ref);
	shelf_free(&ref->shelf);
	store_close(&ref->store);
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

void reference_release_vmlinux(struct reference *reference)
{
	if (!reference->elsewhere.release) {
		blob_free(&reference->vmlinux);
		return;
	}
	if (reference->vmlinux.data)
		reference->elsewhere.release(reference->elsewhere.ctx);
	reference->vmlinux = (struct blob){0};
}

int reference_map_vmlinux(struct reference *reference, uint64_t from, size_t n, void *at)
{
	const struct reference_elsewhere *elsewhere = &reference->elsewhere;

	return elsewhere->map ? elsewhere->map(elsewhere->ctx, from, n, at) : -ENOTSUP;
}

const struct profile *reference_profile(const struct reference *reference)
{
	return reference->profile;
}

void reference_set_profile(struct reference *reference, const struct profile *profile)
{
	reference->profile = profile;
}

bool reference_has_modules(const struct reference *reference)
{
	return reference->modules_elsewhere || reference->shelf.modules.n ||
	       reference->store_has_modules;
}

/* Which module is wanted. */
struct wanted {
	const struct reference *reference;
	const char *build_id;	/* "": whichever belongs to the kernel */
	bool other;		/* there were others of that name */
};

/*
 * Does the kernel's banner tell this version? "… Debian 6.1.129-1 (2025-03-06)", "Linux version
 * 6.5.6-300.fc39.x86_64 (…", "(Ubuntu 5.15.0-91.101-generic 5.15.131)"; not where another version
 * only begins so.
 */
static bool banner_tells(const char *banner, const char *version)
{
	const size_t n = strlen(version);

	for (const char *at = strstr(banner, version); at; at = strstr(at + 1, version)) {
		const char *end = at + n;

		if (at == banner || at[-1] != ' ')
			continue;
		if (*end == ' ' || *end == ')' ||
		    ((*end == '.' || *end == '-') && end[1] >= 'a' && end[1] <= 'z'))
			return true;
	}
	return false;
}

/*
 * One release is built more than once (Debian 6.1.129-1 and 6.1.135-1 are both "6.1.0-32"):
 * without a build ID a module must come from the package that the kernel is from, or from one
 * of the version that the kernel's banner tells. A bare file is what somebody named.
 */
static bool belongs(const struct reference *reference, const char *version)
{
	return !*version || !strcmp(version, reference->source.version) ||
	       banner_tells(reference->id.banner, version);
}

static int choose(const char *version, const char *build_id, void *ctx)
{
	struct wanted *wanted = ctx;
	bool right = *wanted->build_id ? !strcmp(build_id, wanted->build_id) :
					 belongs(wanted->reference, version);

	wanted->other |= !right;
	return right;
}

static int module_of_files(const struct reference *reference, const char *name,
			   struct wanted *wanted, struct blob *ret, struct err *err)
{
	for (size_t from = 0;;) {
		cleanup(blob_free) struct blob module = {0};
		const char *version;
		char build_id[41];
		int r = shelf_get(&reference->shelf, name, &from, &version, &module, err);

		if (r >= 0)
			r = identify_build(&module, build_id, err);
		if (r < 0)
			return r;
		if (choose(version, build_id, wanted)) {
			*ret = module;
			module = (struct blob){0};
			return 0;
		}
	}
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
	struct wanted wanted = { .reference = reference, .build_id = build_id ? build_id : "" };
	char plain[64];
	int r;

	if (reference->elsewhere.module)
		return reference->elsewhere.module(reference->elsewhere.ctx, name, wanted.build_id,
						   ret, err);
	plain_name(name, plain, sizeof(plain));
	r = module_of_files(reference, plain, &wanted, ret, err);
	if (r == -ENOENT && reference->store_has_modules)
		r = store_module(reference->store, plain, reference->id.release, choose, &wanted,
				 ret, err);
	if (r == -ENOENT)
		return err_set(err, r, "the reference %s '%s'",
			       wanted.other ? "has another build of the module" :
					      "has no module", plain);
	return r;
}

struct reference_kept *reference_kept(struct reference *reference, enum reference_keep which)
{
	return &reference->kept[which];
}
