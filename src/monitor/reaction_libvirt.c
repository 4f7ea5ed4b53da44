/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/reaction_kinds.h"

/*
 * A guest of libvirt's has its only monitor taken; libvirt itself is asked then, by its library
 * where that is installed. The numbers are of libvirt/libvirt-domain.h, and never change.
 */
enum {
	CORE_DUMP_FORMAT_RAW = 0,
	DUMP_MEMORY_ONLY = 1 << 4,
	AFFECT_LIVE = 1 << 0,
};

/* Where the system's daemon has NAME.pid for each domain that runs. */
#define PROCESSES "/run/libvirt/qemu"

struct libvirt {
	void *(*open)(const char *);
	void *(*lookup)(void *, const char *);
	int (*suspend)(void *);
	int (*shutdown)(void *);
	int (*destroy)(void *);
	int (*dump)(void *, const char *, unsigned, unsigned);
	char *(*xml)(void *, unsigned);
	int (*update)(void *, const char *, unsigned);
	const char *(*name)(void *);
	const char *(*problem)(void);
	void (*quiet)(void *, void *);
};

static int load(struct libvirt *v, struct err *err)
{
	const struct { const char *name; void *to; } functions[] = {
		{ "virConnectOpen", &v->open },
		{ "virDomainLookupByUUIDString", &v->lookup },
		{ "virDomainSuspend", &v->suspend },
		{ "virDomainShutdown", &v->shutdown },
		{ "virDomainDestroy", &v->destroy },
		{ "virDomainCoreDumpWithFormat", &v->dump },
		{ "virDomainGetXMLDesc", &v->xml },
		{ "virDomainUpdateDeviceFlags", &v->update },
		{ "virDomainGetName", &v->name },
		{ "virGetLastErrorMessage", &v->problem },
		{ "virSetErrorFunc", &v->quiet },
	};
	void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_set(err, -ENOTSUP, "libvirt is not installed");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return err_set(err, -ENOTSUP, "libvirt has no %s", functions[i].name);
		memcpy(functions[i].to, &function, sizeof(function));
	}
	return 0;
}

/* It prints errors to the standard one, unless somebody takes them. */
static void ignore(void *ctx, void *error)
{
	(void)ctx;
	(void)error;
}

static int refused(const struct libvirt *v, int code, struct err *err)
{
	return err_set(err, code, "%s", v->problem());
}

static int dump(const struct libvirt *v, void *domain, struct reaction_job *job, struct err *err)
{
	char path[PATH_MAX];
	cleanup(fd_close) int fd = reaction_dump_create(job, path, sizeof(path), err);
	int r = 0;

	if (fd < 0)
		return fd;
	if (v->dump(domain, path, CORE_DUMP_FORMAT_RAW, DUMP_MEMORY_ONLY) < 0)
		r = refused(v, -EIO, err);
	return reaction_dump_end(job, path, r, err);
}

/* One <interface> with its link down; libvirt's own words, so what is in it is well formed. */
static char *with_link_down(const char *from, size_t n)
{
	static const char link[] = "<link state='down'/></interface>", end[] = "</interface>";
	cleanup(freep) char *device = malloc(n + sizeof(link));
	char *old;

	if (!device)
		return NULL;
	memcpy(device, from, n - strlen(end));
	memcpy(device + n - strlen(end), link, sizeof(link));
	/* What it said before; the first counts. */
	old = strstr(device, "<link state='up'/>");
	if (old)
		memset(old, ' ', strlen("<link state='up'/>"));
	return take_ptr(&device);
}

static const char *next_interface(const char **at, size_t *n)
{
	static const char end[] = "</interface>";
	const char *from = strstr(*at, "<interface "), *last = from ? strstr(from, end) : NULL;

	if (!last)
		return NULL;
	*at = last + strlen(end);
	*n = (size_t)(*at - from);
	return from;
}

/* Whoever has more than can be unlinked is not unlinked. */
static int unlinked_all(const char *rest, unsigned n, struct reaction_job *job, struct err *err)
{
	if (strstr(rest, "<interface "))
		return err_set(err, -ELOOP, "it has more network interfaces than the %u that were "
			       "unlinked", n);
	if (!n)
		return err_set(err, -ENODEV, "it has no network interface");
	snprintf(job->done, sizeof(job->done), "%u network interface%s", n, n == 1 ? "" : "s");
	return 0;
}

int reaction_unlink_each(const char *xml, reaction_update_fn *update, void *ctx,
			 struct reaction_job *job, struct err *err)
{
	const char *at = xml, *interface;
	unsigned n = 0;
	size_t length;
	int r;

	while (n < REACTION_NICS_MAX && (interface = next_interface(&at, &length))) {
		cleanup(freep) char *device = with_link_down(interface, length);

		if (!device)
			return err_set(err, -ENOMEM, "no memory");
		r = update(device, ctx, err);
		if (r < 0)
			return r;
		n++;
	}
	return unlinked_all(at, n, job, err);
}

struct domain {
	const struct libvirt *v;
	void *domain;
};

static int update(const char *device, void *ctx, struct err *err)
{
	const struct domain *at = ctx;

	return at->v->update(at->domain, device, AFFECT_LIVE) < 0 ? refused(at->v, -EIO, err) : 0;
}

static int unlink_all(const struct libvirt *v, void *domain, struct reaction_job *job,
		      struct err *err)
{
	struct domain at = { v, domain };
	const char *xml = v->xml(domain, 0);

	return xml ? reaction_unlink_each(xml, update, &at, job, err) : refused(v, -EIO, err);
}

/*
 * A UUID is what a command line says, and whoever may start a QEMU can say another guest's. Where
 * libvirt keeps its processes' numbers, the domain's must be the one that was looked into.
 */
int reaction_libvirt_is(const char *directory, const char *name, pid_t pid, struct err *err)
{
	cleanup(file_close) FILE *file = NULL;
	char path[PATH_MAX];
	int found, n = snprintf(path, sizeof(path), "%s/%s.pid", directory, name);

	if (!pid || strchr(name, '/') || n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, -ENOENT, "libvirt's domain is not that process");
	file = fopen(path, "re");
	/* Another driver than QEMU's, or one of a user. */
	if (!file && errno == ENOENT)
		return 0;
	if (!file || fscanf(file, "%d", &found) != 1)
		return err_set(err, -EIO, "libvirt does not say which process its domain is");
	return found == (int)pid ? 0 :
		err_set(err, -ENOENT, "libvirt's domain of this UUID is process %d, not %d", found,
			(int)pid);
}

int reaction_libvirt(struct reaction_job *job, struct err *err)
{
	struct libvirt v;
	void *connection, *domain;
	int r = load(&v, err);

	if (r < 0)
		return r;
	v.quiet(NULL, (void *)(uintptr_t)ignore);
	if (!job->uuid)
		return err_set(err, -ENOENT, "it has no UUID");
	connection = v.open(job->libvirt);
	if (!connection)
		return refused(&v, -ENOTSUP, err);
	domain = v.lookup(connection, job->uuid);
	if (!domain)
		return refused(&v, -ENOENT, err);
	r = reaction_libvirt_is(PROCESSES, v.name(domain) ? v.name(domain) : "/", job->pid, err);
	if (r < 0)
		return r;
	switch (job->reaction->kind) {
	case REACTION_PAUSE:
		r = v.suspend(domain);
		break;
	case REACTION_DUMP:
		return dump(&v, domain, job, err);
	case REACTION_UNLINK:
		return unlink_all(&v, domain, job, err);
	case REACTION_SHUTDOWN:
		r = v.shutdown(domain);
		break;
	case REACTION_POWEROFF:
		r = v.destroy(domain);
		break;
	default:
		return err_set(err, -EINVAL, "not a reaction that touches a guest");
	}
	return r < 0 ? refused(&v, -EIO, err) : 0;
}
