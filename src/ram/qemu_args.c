/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_args.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/qemu_opts.h"

#define MIB ((uint64_t)1 << 20)

/* -chardev socket with a path */
struct socket {
	char *id, *path;
};

struct parse {
	struct qemu_args *args;
	VEC(struct socket) sockets;
	struct qemu_strings control;	/* ids of the devices on which QMP is spoken */
	struct err *err;
};

typedef int take_fn(struct parse *parse, const struct qemu_opts *opts);

/* The last one wins, as in QEMU. NULL changes nothing. */
static int set(char **field, const char *value)
{
	char *copy;

	if (!value)
		return 0;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_size(struct parse *parse, const struct qemu_opts *opts, const char *key,
		    uint64_t unit, uint64_t *field)
{
	const char *value = qemu_opts_get(opts, key);

	if (value && qemu_size(value, unit, field) < 0)
		return err_set(parse->err, -EBADMSG, "'%s' is not a size of memory", value);
	return 0;
}

static int take_memory(struct parse *parse, const struct qemu_opts *opts)
{
	int r = set_size(parse, opts, "size", MIB, &parse->args->ram_bytes);

	if (r == 0)
		r = set_size(parse, opts, "slots", 1, &parse->args->slots);
	return r < 0 ? r : set_size(parse, opts, "maxmem", 1, &parse->args->max_bytes);
}

/* "kvm:tcg" are alternatives, of which the first that works is taken. */
static int set_accel(struct qemu_args *args, const char *value)
{
	cleanup(freep) char *first = NULL;

	if (!value || args->accel)
		return 0;
	first = strndup(value, strcspn(value, ":"));
	return first ? set(&args->accel, first) : -ENOMEM;
}

static int take_machine(struct parse *parse, const struct qemu_opts *opts)
{
	struct qemu_args *args = parse->args;
	const char *guarded = qemu_opts_get(opts, "confidential-guest-support");
	int r = set(&args->machine, qemu_opts_get(opts, "type"));

	if (!guarded)
		guarded = qemu_opts_get(opts, "memory-encryption");
	if (r == 0)
		r = set(&args->memory_backend, qemu_opts_get(opts, "memory-backend"));
	if (r == 0)	/* what -kernel stands for */
		r = set(&args->kernel, qemu_opts_get(opts, "kernel"));
	if (r == 0)
		r = set_accel(args, qemu_opts_get(opts, "accel"));
	if (r == 0 && guarded && !args->confidential)
		r = set(&args->confidential, guarded);
	if (r == 0)
		r = set_size(parse, opts, "max-ram-below-4g", 1, &args->max_below_4g);
	if (r == 0)	/* what -m stands for, since QEMU 7.0 */
		r = set_size(parse, opts, "memory.size", 1, &args->ram_bytes);
	if (r == 0)
		r = set_size(parse, opts, "memory.slots", 1, &args->slots);
	return r < 0 ? r : set_size(parse, opts, "memory.max-size", 1, &args->max_bytes);
}

static int take_accel(struct parse *parse, const struct qemu_opts *opts)
{
	return set_accel(parse->args, qemu_opts_get(opts, "accel"));
}

static int take_backend(struct parse *parse, const struct qemu_opts *opts, const char *kind)
{
	struct qemu_args *args = parse->args;
	struct qemu_backend *backend;
	const char *share = qemu_opts_get(opts, "share");
	int r;

	if (args->backends.n == QEMU_BACKENDS_MAX)
		return err_set(parse->err, -ELOOP, "over %u memory backends", QEMU_BACKENDS_MAX);
	backend = vec_add(&args->backends);
	if (!backend)
		return -ENOMEM;
	backend->kind = !strcmp(kind, "ram") ? QEMU_MEMORY_RAM :
			!strcmp(kind, "file") ? QEMU_MEMORY_FILE : QEMU_MEMORY_MEMFD;
	/* memory-backend-memfd and -shm share unless told otherwise (backends/hostmem-memfd.c). */
	backend->shared = share ? qemu_opts_on(opts, "share") :
			  backend->kind == QEMU_MEMORY_MEMFD;
	r = set(&backend->id, qemu_opts_get(opts, "id"));
	if (r == 0 && !backend->id)
		r = set(&backend->id, "");
	if (r == 0)
		r = set(&backend->path, qemu_opts_get(opts, "mem-path"));
	return r < 0 ? r : set_size(parse, opts, "size", 1, &backend->size_bytes);
}

static int take_object(struct parse *parse, const struct qemu_opts *opts)
{
	static const char *const confidential[] = {
		"sev-guest", "sev-snp-guest", "tdx-guest",
	};
	static const char prefix[] = "memory-backend-";
	const char *type = qemu_opts_get(opts, "qom-type");

	if (!type)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(confidential); i++)
		if (!strcmp(type, confidential[i]))
			return set(&parse->args->confidential, type);
	if (!strcmp(type, "memory-backend-ram") || !strcmp(type, "memory-backend-memfd") ||
	    !strcmp(type, "memory-backend-file") || !strcmp(type, "memory-backend-shm"))
		return take_backend(parse, opts, type + sizeof(prefix) - 1);
	return 0;
}

static int take_numa(struct parse *parse, const struct qemu_opts *opts)
{
	struct qemu_args *args = parse->args;
	const char *type = qemu_opts_get(opts, "type");
	struct qemu_node *node;
	int r;

	if (type && strcmp(type, "node"))
		return 0;
	if (args->nodes.n == QEMU_BACKENDS_MAX)
		return err_set(parse->err, -ELOOP, "over %u NUMA nodes", QEMU_BACKENDS_MAX);
	node = vec_add(&args->nodes);
	if (!node)
		return -ENOMEM;
	node->id = args->nodes.n - 1;
	r = set_size(parse, opts, "nodeid", 1, &node->id);
	return r < 0 ? r : set(&node->memdev, qemu_opts_get(opts, "memdev"));
}

static int take_mem_path(struct parse *parse, const struct qemu_opts *opts)
{
	return set(&parse->args->mem_path, qemu_opts_get(opts, "path"));
}

static int take_name(struct parse *parse, const struct qemu_opts *opts)
{
	return set(&parse->args->name, qemu_opts_get(opts, "guest"));
}

static int take_uuid(struct parse *parse, const struct qemu_opts *opts)
{
	return set(&parse->args->uuid, qemu_opts_get(opts, "uuid"));
}

static int take_cpu(struct parse *parse, const struct qemu_opts *opts)
{
	return set(&parse->args->cpu, qemu_opts_get(opts, "model"));
}

static int take_readconfig(struct parse *parse, const struct qemu_opts *opts)
{
	return set(&parse->args->readconfig, qemu_opts_get(opts, "path"));
}

/* Without cpus=, the product of the topology; see -smp in qemu-system-x86_64(1). */
static int take_smp(struct parse *parse, const struct qemu_opts *opts)
{
	static const char *const levels[] = {
		"drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads",
	};
	uint64_t cpus = 0, product = 1;
	int r = set_size(parse, opts, "cpus", 1, &cpus);

	for (size_t i = 0; r == 0 && !cpus && i < ARRAY_SIZE(levels); i++) {
		uint64_t n = 1;

		r = set_size(parse, opts, levels[i], 1, &n);
		if (!n || n > CPUS_MAX || product > CPUS_MAX)
			n = 1;
		product *= n;
	}
	if (r < 0)
		return r;
	if (!cpus && qemu_opts_get(opts, "maxcpus"))
		r = set_size(parse, opts, "maxcpus", 1, &product);
	if (!cpus)
		cpus = product;
	parse->args->vcpus = cpus > CPUS_MAX ? CPUS_MAX : (unsigned)cpus;
	return r;
}

static int take_chardev(struct parse *parse, const struct qemu_opts *opts)
{
	const char *backend = qemu_opts_get(opts, "backend");
	const char *id = qemu_opts_get(opts, "id"), *path = qemu_opts_get(opts, "path");
	struct socket *entry;
	int r;

	/* An abstract socket belongs to a network namespace, which may not be ours. */
	if (!backend || strcmp(backend, "socket") || !id || !path ||
	    qemu_opts_on(opts, "abstract"))
		return 0;
	if (parse->sockets.n == QEMU_BACKENDS_MAX)
		return 0;
	entry = vec_add(&parse->sockets);
	if (!entry)
		return -ENOMEM;
	r = set(&entry->id, id);
	return r < 0 ? r : set(&entry->path, path);
}

/* More than the limit are not looked at: any one of them is enough. */
static int add_string(struct qemu_strings *strings, const char *value)
{
	char **entry;

	if (strings->list.n == QEMU_BACKENDS_MAX)
		return 0;
	entry = vec_add(&strings->list);
	return entry ? set(entry, value) : -ENOMEM;
}

static void free_strings(struct qemu_strings *strings)
{
	for (size_t i = 0; i < strings->list.n; i++)
		free(strings->list.v[i]);
	vec_free(&strings->list);
}

static int take_mon(struct parse *parse, const struct qemu_opts *opts)
{
	const char *mode = qemu_opts_get(opts, "mode");
	const char *device = qemu_opts_get(opts, "chardev");

	if (!mode || strcmp(mode, "control") || !device)
		return 0;
	return add_string(&parse->control, device);
}

/* -qmp: "unix:PATH,server=on", "chardev:ID"; others cannot be reached by a path. */
static int take_qmp(struct parse *parse, const struct qemu_opts *opts)
{
	const char *device = qemu_opts_get(opts, "device");
	const char *path = qemu_opts_get(opts, "unix:path");	/* "unix:path=PATH" */

	if (device && !strncmp(device, "unix:", 5))
		path = device + 5;
	if (qemu_opts_on(opts, "abstract"))
		return 0;
	if (path)
		return add_string(&parse->args->monitors, path);
	if (!device)
		return 0;
	if (!strncmp(device, "chardev:", 8))
		return add_string(&parse->control, device + 8);
	return 0;
}

/*
 * What is read, and options whose value is free text that could look like an option. All
 * other options are passed over, and so are their values, which do not begin with '-'.
 */
static const struct {
	const char *name;
	const char *implied;	/* key of a first element without one */
	take_fn *take;		/* NULL: skip the value */
} options[] = {
	{ "m",		"size",		take_memory },
	{ "M",		"type",		take_machine },
	{ "machine",	"type",		take_machine },
	{ "accel",	"accel",	take_accel },
	{ "object",	"qom-type",	take_object },
	{ "numa",	"type",		take_numa },
	{ "mem-path",	"path",		take_mem_path },
	{ "name",	"guest",	take_name },
	{ "uuid",	"uuid",		take_uuid },
	{ "smp",	"cpus",		take_smp },
	{ "cpu",	"model",	take_cpu },
	{ "qmp",	"device",	take_qmp },
	{ "qmp-pretty",	"device",	take_qmp },
	{ "chardev",	"backend",	take_chardev },
	{ "mon",	"chardev",	take_mon },
	{ "readconfig",	"path",		take_readconfig },
	{ "append",	NULL,		NULL },
	{ "kernel",	NULL,		NULL },
	{ "initrd",	NULL,		NULL },
	{ "dtb",	NULL,		NULL },
	{ "fw_cfg",	NULL,		NULL },
	{ "smbios",	NULL,		NULL },
	{ "pidfile",	NULL,		NULL },
	{ "D",		NULL,		NULL },
	{ "drive",	NULL,		NULL },
	{ "blockdev",	NULL,		NULL },
	{ "netdev",	NULL,		NULL },
};

/* One option; @value is NULL at the end. Return: how many strings it took, or an errno. */
static int take_option(struct parse *parse, const char *name, const char *value)
{
	struct qemu_opts opts = { 0 };
	int r = 0;

	if (!strcmp(name, "S"))
		parse->args->stopped = true;
	if (!strcmp(name, "incoming"))
		parse->args->incoming = true;
	if (!strcmp(name, "kernel") && value) {
		r = set(&parse->args->kernel, value);
		return r < 0 ? r : 2;
	}
	if (!strcmp(name, "enable-kvm")) {
		r = set_accel(parse->args, "kvm");
		return r < 0 ? r : 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(name, options[i].name) || !value)
			continue;
		if (options[i].take)
			r = qemu_opts_parse(value, options[i].implied, &opts, parse->err);
		if (options[i].take && r == 0)
			r = options[i].take(parse, &opts);
		qemu_opts_free(&opts);
		if (r == -EBADMSG)
			wrap(parse->err, r, "-%s", name);
		return r < 0 ? r : 2;
	}
	return 1;
}

/* The paths of the sockets on which QMP is spoken. */
static int join_monitors(struct parse *parse)
{
	for (size_t i = 0; i < parse->control.list.n; i++) {
		for (size_t j = 0; j < parse->sockets.n; j++) {
			int r;

			if (strcmp(parse->control.list.v[i], parse->sockets.v[j].id) != 0)
				continue;
			r = add_string(&parse->args->monitors, parse->sockets.v[j].path);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct qemu_node *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int qemu_args_parse(const char *cmdline, size_t len, struct qemu_args *args, struct err *err)
{
	struct parse parse = { .args = args, .err = err };
	const char *at = cmdline, *end = cmdline + len;
	int r;

	*args = (struct qemu_args){ .vcpus = 1 };
	if (!len || cmdline[len - 1] != '\0')
		return err_set(err, -EBADMSG, "not a command line");
	r = set(&args->binary, at);
	at += strlen(at) + 1;
	while (r >= 0 && at < end) {
		const char *value = at + strlen(at) + 1;

		if (at[0] != '-') {
			at = value;
			continue;
		}
		r = take_option(&parse, at + (at[1] == '-' ? 2 : 1), value < end ? value : NULL);
		at = r == 2 ? value + strlen(value) + 1 : value;
	}
	if (r >= 0)
		r = join_monitors(&parse);
	if (args->nodes.n)
		qsort(args->nodes.v, args->nodes.n, sizeof(*args->nodes.v), by_id);

	for (size_t i = 0; i < parse.sockets.n; i++) {
		free(parse.sockets.v[i].id);
		free(parse.sockets.v[i].path);
	}
	vec_free(&parse.sockets);
	free_strings(&parse.control);
	return r < 0 ? r : 0;
}

void qemu_args_free(struct qemu_args *args)
{
	char *strings[] = {
		args->binary, args->name, args->uuid, args->machine, args->accel, args->cpu,
		args->memory_backend, args->mem_path, args->kernel, args->confidential,
		args->readconfig,
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < args->backends.n; i++) {
		free(args->backends.v[i].id);
		free(args->backends.v[i].path);
	}
	for (size_t i = 0; i < args->nodes.n; i++)
		free(args->nodes.v[i].memdev);
	vec_free(&args->backends);
	vec_free(&args->nodes);
	free_strings(&args->monitors);
	*args = (struct qemu_args){ 0 };
}

const struct qemu_backend *qemu_args_backend(const struct qemu_args *args, const char *id)
{
	for (size_t i = 0; i < args->backends.n; i++)
		if (!strcmp(args->backends.v[i].id, id))
			return &args->backends.v[i];
	return NULL;
}

uint64_t qemu_args_ram_bytes(const struct qemu_args *args)
{
	const struct qemu_backend *backend = NULL;

	if (args->ram_bytes)
		return args->ram_bytes;
	if (args->memory_backend)
		backend = qemu_args_backend(args, args->memory_backend);
	return backend ? backend->size_bytes : QEMU_RAM_DEFAULT;
}

enum qemu_binary qemu_binary(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	if (*base == '.')	/* Nix: ".qemu-system-x86_64-wrapped" */
		base++;
	if (!strncmp(base, "qemu-system-x86_64", 18))
		return QEMU_BINARY_X86_64;
	if (!strncmp(base, "qemu-system-", 12))
		return QEMU_BINARY_OTHER;
	/* Red Hat and Proxmox; "(deleted)" follows after an update. */
	if (!strcmp(base, "qemu-kvm") || !strcmp(base, "kvm") ||
	    !strcmp(base, "qemu-kvm (deleted)") || !strcmp(base, "kvm (deleted)"))
		return QEMU_BINARY_X86_64;
	return QEMU_BINARY_NONE;
}
