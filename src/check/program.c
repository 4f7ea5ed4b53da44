/* SPDX-License-Identifier: Apache-2.0 */
#include "check/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/dcache.h"
#include "linux/path.h"

#define MODE_FORMAT  0170000u		/* S_IFMT */
#define MODE_REGULAR 0100000u

#define DELETED " (deleted)"
#define NAME_BYTES 256u		/* NAME_MAX, and its end */

struct program_fields {
	struct field dentry, inode, hash, parent, dentry_inode;
	struct field mode, uid, number, size, sb, device;
};

static const struct member program_members[] = {
	MEMBER(struct program_fields, dentry, "file.f_path.dentry"),
	MEMBER(struct program_fields, inode, "file.f_inode"),
	MEMBER(struct program_fields, hash, "dentry.d_hash.pprev"),
	MEMBER(struct program_fields, parent, "dentry.d_parent"),
	MEMBER(struct program_fields, dentry_inode, "dentry.d_inode"),
	MEMBER(struct program_fields, mode, "inode.i_mode"),
	MEMBER(struct program_fields, uid, "inode.i_uid"),
	MEMBER(struct program_fields, number, "inode.i_ino"),
	MEMBER(struct program_fields, size, "inode.i_size"),
	MEMBER(struct program_fields, sb, "inode.i_sb"),
	MEMBER(struct program_fields, device, "super_block.s_dev"),
};
LAYOUT(program_layout, struct program_fields, program_members);

/* --- places --- */

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

enum place place_of(const char *path)
{
	static const struct {
		const char *start;
		enum place place;
	} places[] = {
		{ "/tmp/", PLACE_TEMP }, { "/var/tmp/", PLACE_TEMP }, { "/dev/", PLACE_TEMP },
		{ "/run/user/", PLACE_TEMP }, { "/run/shm/", PLACE_TEMP },
		{ "/run/lock/", PLACE_TEMP },
		{ "/home/", PLACE_HOME }, { "/root/", PLACE_HOME },
		{ "/usr/", PLACE_SYSTEM }, { "/bin/", PLACE_SYSTEM }, { "/sbin/", PLACE_SYSTEM },
		{ "/lib/", PLACE_SYSTEM }, { "/lib32/", PLACE_SYSTEM },
		{ "/lib64/", PLACE_SYSTEM }, { "/libx32/", PLACE_SYSTEM },
		{ "/opt/", PLACE_SYSTEM }, { "/snap/", PLACE_SYSTEM }, { "/app/", PLACE_SYSTEM },
		{ "/nix/store/", PLACE_SYSTEM }, { "/gnu/store/", PLACE_SYSTEM },
		{ "/var/lib/snapd/", PLACE_SYSTEM }, { "/var/lib/flatpak/", PLACE_SYSTEM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (starts_with(path, places[i].start))
			return places[i].place;
	return PLACE_OTHER;
}

const char *place_name(enum place place)
{
	static const char *const names[] = {
		[PLACE_OTHER] = "other", [PLACE_SYSTEM] = "system",
		[PLACE_TEMP] = "temporary", [PLACE_HOME] = "home",
	};

	return names[place];
}

bool path_is_hidden(const char *path)
{
	for (const char *at = strstr(path, "/."); at; at = strstr(at + 1, "/."))
		if (at[2] && at[2] != '/' && !(at[2] == '.' && (!at[3] || at[3] == '/')))
			return true;
	return false;
}

bool name_matches(const char *name, const char *const *patterns)
{
	for (; *patterns; patterns++) {
		size_t len = strcspn(*patterns, "*");

		if (!strncmp(name, *patterns, len) && ((*patterns)[len] || !name[len]))
			return true;
	}
	return false;
}

/* --- who makes code --- */

/*
 * Compilers at run time, by what their packages install. A name counts only in a system
 * directory, so root gave it (see programs_get()).
 */
static const char *const compilers[] = {
	/* Java */
	"libjvm.so", "libj9jit*", "libgraal*",
	/* JavaScript: V8 and what embeds it, SpiderMonkey, JavaScriptCore, Qt, Hermes, Bun */
	"node", "nodejs", "libnode.so*", "libv8*", "deno", "bun", "chrome", "chromium*",
	"electron*", "code", "slack", "libcef.so", "libQt5WebEngineCore.so*",
	"libQt6WebEngineCore.so*", "libQt5Qml.so*", "libQt6Qml.so*", "libxul.so", "libmozjs*",
	"libjavascriptcoregtk*", "libWPEWebKit*", "libhermes.so*", "mongod", "d8",
	/* .NET and Mono */
	"libcoreclr.so", "libclrjit.so", "libmonosgen*", "libmono-*", "mono", "mono-sgen",
	/* Lua, PHP, Ruby, Erlang, Python, Julia, Lisp, Scheme, Dart, Tcl … */
	"libluajit*", "luajit*", "opcache.so", "libruby*", "beam.smp", "pypy*", "libpypy*",
	"libjulia*", "sbcl*", "libguile-3*", "racket*", "chez*", "dart", "dartaotruntime",
	"libflutter_linux_gtk.so", "gforth*", "ghc*", "swipl*",
	/* LLVM: PostgreSQL's llvmjit, Mesa's llvmpipe, numba; other code generators */
	"libLLVM*", "libllvmlite.so", "libLLVMExtra*", "liborc-0.4*", "libgccjit*", "libtcc*",
	"liblightning*", "libwasmtime*", "wasmtime", "libwasmer*", "wasmer", "libwasmedge*",
	"libnvidia-*", "libGLX_nvidia*", "libcuda.so*", "libdnnl*", "libmkl_*", "librapidjit*",
	/* other machines and instrumentation */
	"qemu-*", "libunicorn*", "wine", "wine64", "wine-preloader", "wine64-preloader", "ntdll.so",
	"dosbox*", "box64", "memcheck-amd64-linux", "callgrind-amd64-linux",
	"massif-amd64-linux", "helgrind-amd64-linux", "drd-amd64-linux", "cachegrind-amd64-linux",
	"none-amd64-linux", "dhat-amd64-linux", "lackey-amd64-linux", "libfrida*", "VBoxRT.so",
	"vmware-vmx", NULL
};
static const char *const sljit[] = {
	"libpcre2-8.so*", "libpcre2-16.so*", "libpcre2-32.so*", "libpcre.so*", "libpcre16.so*",
	"libpcre32.so*", NULL
};
static const char *const ffi[] = { "libffi.so*", NULL };

static unsigned runtime_of(const char *name)
{
	unsigned runtime = 0;

	if (name_matches(name, compilers))
		runtime |= RUNTIME_ANY;
	if (name_matches(name, sljit))
		runtime |= RUNTIME_SLJIT;
	if (name_matches(name, ffi))
		runtime |= RUNTIME_FFI;
	return runtime;
}

/* The last part of a path without the remark that the kernel makes of a deleted file. */
static const char *print_name(const struct program *program, char *buf, size_t size)
{
	size_t len = strlen(program->name), mark = strlen(DELETED);

	if (program->deleted && len > mark && !strcmp(program->name + len - mark, DELETED))
		len -= mark;
	len = len < size ? len : 0;
	memcpy(buf, program->name, len);
	buf[len] = '\0';
	return buf;
}

static unsigned runtime_of_path(const struct program *program)
{
	char name[NAME_BYTES];

	if (program->place != PLACE_SYSTEM || program->memory)
		return 0;
	return runtime_of(print_name(program, name, sizeof(name)));
}

/* --- files --- */

static int read_program(struct programs *programs, const struct program_fields *f, gva file,
			struct program *program, struct err *err)
{
	char path[PATH_BYTES_MAX];
	struct view *view = programs->view;
	uint64_t mode = 0, uid = 0, device = 0;
	gva hash, parent, sb;
	const char *slash;
	int r;

	r = field_ptr(view, file, &f->inode, &program->inode, err);
	if (r >= 0)
		r = field_ptr(view, program->dentry, &f->hash, &hash, err);
	if (r >= 0)
		r = field_ptr(view, program->dentry, &f->parent, &parent, err);
	if (r >= 0)
		r = field_read(view, program->inode, &f->mode, &mode, err);
	if (r >= 0)
		r = field_read(view, program->inode, &f->uid, &uid, err);
	if (r >= 0)
		r = field_read(view, program->inode, &f->number, &program->number, err);
	if (r >= 0)
		r = field_read(view, program->inode, &f->size, &program->size_bytes, err);
	if (r >= 0)
		r = field_ptr(view, program->inode, &f->sb, &sb, err);
	if (r >= 0)
		r = field_read(view, sb, &f->device, &device, err);
	if (r >= 0)
		r = path_print_file(programs->kernel, view, file, gva_of(0), path, sizeof(path),
				    err);
	if (r < 0)
		return wrap(err, r, "file of a process");
	program->mode = (uint32_t)mode;
	program->uid = (uint32_t)uid;
	program->device = (uint32_t)device;
	program->deleted = !hash.v && parent.v != program->dentry.v;
	program->memory = parent.v == program->dentry.v && (mode & MODE_FORMAT) == MODE_REGULAR;
	program->memfd = program->memory && starts_with(path, "/memfd:");
	program->place = program->memory ? PLACE_OTHER : place_of(path);
	program->path = strdup(path);
	if (!program->path)
		return -ENOMEM;
	slash = strrchr(program->path, '/');
	program->name = slash ? slash + 1 : program->path;
	program->runtime = runtime_of_path(program);
	return 0;
}

bool program_is_regular(const struct program *program)
{
	return (program->mode & MODE_FORMAT) == MODE_REGULAR;
}

int programs_get(struct programs *programs, gva file, const struct program **ret,
		 struct err *err)
{
	const struct program_fields *f;
	struct program *program, **slot;
	gva dentry;
	uint32_t i;
	int r;

	r = types_layout(programs->kernel->types, &program_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(programs->view, file, &f->dentry, &dentry, err);
	if (r < 0)
		return wrap(err, r, "file of a process");
	if (!gva_is_kernel(dentry))
		return fail(err, -EBADMSG, file, "file without a name");
	if (map_get(&programs->index, dentry.v, &i)) {
		*ret = programs->all.v[i];
		return 0;
	}
	if (programs->all.n == PROGRAMS_MAX)
		return err_set(err, -ELOOP, "over %u files mapped by processes", PROGRAMS_MAX);
	program = calloc(1, sizeof(*program));
	if (!program)
		return -ENOMEM;
	program->dentry = dentry;
	r = read_program(programs, f, file, program, err);
	slot = r < 0 ? NULL : vec_add(&programs->all);
	if (!slot) {
		free(program->path);
		free(program);
		return r < 0 ? r : -ENOMEM;
	}
	*slot = program;
	*ret = program;
	return map_put(&programs->index, dentry.v, (uint32_t)programs->all.n - 1);
}

/* The dentry that has the name which a deleted file had. As program_is_replaced(). */
static int find_successor(struct programs *programs, const struct program_fields *f,
			  const struct program *program, gva *ret, struct err *err)
{
	char name[NAME_BYTES];
	gva directory;
	int r;

	r = field_ptr(programs->view, program->dentry, &f->parent, &directory, err);
	if (r >= 0)
		r = dcache_find(programs->kernel, programs->view, directory,
				print_name(program, name, sizeof(name)), ret, err);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int program_is_replaced(struct programs *programs, const struct program *program, struct err *err)
{
	const struct program_fields *f;
	gva found;
	int r = types_layout(programs->kernel->types, &program_layout, (const void **)&f, err);

	return r < 0 ? r : find_successor(programs, f, program, &found, err);
}

int program_successor(struct programs *programs, const struct program *program, gva *inode,
		      struct err *err)
{
	const struct program_fields *f;
	gva found, at;
	int r = types_layout(programs->kernel->types, &program_layout, (const void **)&f, err);

	if (r >= 0)
		r = find_successor(programs, f, program, &found, err);
	if (r <= 0)
		return r;
	r = field_ptr(programs->view, found, &f->dentry_inode, &at, err);
	if (r < 0)
		return r;
	*inode = at;
	return 1;
}

void programs_free(struct programs *programs)
{
	for (size_t i = 0; i < programs->all.n; i++) {
		free(programs->all.v[i]->path);
		free(programs->all.v[i]);
	}
	vec_free(&programs->all);
	map_free(&programs->index);
}
