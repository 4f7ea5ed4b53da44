/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/material.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/now.h"
#include "monitor/booted.h"
#include "monitor/journal.h"

/*
 * To unpack a package takes seconds, symbols and types 0.1 s; of a host that is busy, many times
 * that. Together less than a guest's start may take (ward.c).
 */
#define FIND_MAX_NS    (80 * 1000000000ull)
#define PREPARE_MAX_NS (20 * 1000000000ull)

/*
 * A guest that reboots, or whose scanner died, comes back with the same kernel: what nobody uses is
 * kept for so long, of a few kernels, for each has 60 MiB, and its modules.
 */
#define UNUSED_MAX_NS (60 * 1000000000ull)
#define UNUSED_MAX    4u

struct asked {
	const struct config *config;
	const struct fleet_guest *guest;
	const struct kernel *kernel;
	void (*said)(const char *text, void *ctx);
	void *ctx;
};

static void say(const struct asked *asked, const char *what, const struct err *why)
{
	char text[400];

	snprintf(text, sizeof(text), "%s: %s", what, why->text);
	asked->said(text, asked->ctx);
}

/* --- the kernels of a host --- */

static void end_preparing(struct material_kernel *kernel)
{
	/* The session may have closed it already. */
	if (kernel->fd >= 0)
		loop_remove(kernel->store->loop, kernel->fd);
	kernel->fd = -1;
	session_end(&kernel->preparing);
}

/* Nobody waits for its end: it has memory to give back, or a file that hangs. */
static void end_finding(struct material_kernel *kernel)
{
	struct finder *finder = &kernel->finder;
	struct spawned *leaving;

	if (finder->channel.fd < 0)
		return;
	if (kernel->fd >= 0)
		loop_remove(kernel->store->loop, kernel->fd);
	kernel->fd = -1;
	if (finder->process.pid > 0)
		kill(finder->process.pid, SIGKILL);
	leaving = finder->process.pid > 0 ? vec_add(&kernel->store->leaving) : NULL;
	if (leaving) {
		*leaving = finder->process;
		finder->process = SPAWNED_NONE;
	}
	finder_end(finder);
}

static void kernel_drop(struct material_kernel *kernel)
{
	end_finding(kernel);
	end_preparing(kernel);
	broker_files_free(&kernel->files);
	reference_close(&kernel->reference);
	blob_free(&kernel->request);
	free(kernel);
}

static void reap(struct material_store *store)
{
	char how[64];

	for (size_t i = store->leaving.n; i-- > 0;)
		if (spawn_wait(&store->leaving.v[i], false, how, sizeof(how)))
			store->leaving.v[i] = store->leaving.v[--store->leaving.n];
}

/* Who still leaves then ends with this process. */
void material_store_free(struct material_store *store)
{
	for (size_t i = 0; i < store->kernels.n; i++)
		kernel_drop(store->kernels.v[i]);
	vec_free(&store->kernels);
	reap(store);
	vec_free(&store->leaving);
}

/* --- symbols and types, once for all --- */

static void is_ready(struct material_kernel *kernel)
{
	kernel->state = MATERIAL_READY;
	kernel->store->prepared(kernel->store->ctx);
}

/* Where there is none, each scanner has more memory of its own. */
static void no_profile(const struct material_kernel *kernel, int code, const struct err *why)
{
	journal(LOG_NOTICE, "symbols and types of a kernel are not shared (%s): %s",
		reference_source(kernel->reference)->path,
		why->code ? why->text : strerror(-code));
}

static int on_prepared(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct material_kernel *kernel = ctx;
	struct session *session = &kernel->preparing;
	struct err why = { 0 };
	int r = session_next(session, 0, &why);

	(void)fd;
	(void)events;
	(void)err;
	if (r == -ETIMEDOUT || (r >= 0 && session->news != NEWS_PREPARED &&
				session->news != NEWS_FAILED))
		return 0;
	if (r >= 0 && session->news == NEWS_FAILED) {
		why = session->failed;
		r = why.code;
	}
	if (r < 0)
		no_profile(kernel, r, &why);
	else
		kernel->files.profile = take_fd(&session->profile);
	end_preparing(kernel);
	is_ready(kernel);
	return 0;
}

/* It takes a while, in which the others are not to wait. */
static int prepare(struct material_kernel *kernel, struct err *err)
{
	struct session *session = &kernel->preparing;
	int r = session_start(session, err);

	kernel->state = MATERIAL_PREPARING;
	kernel->started = now_ns(CLOCK_MONOTONIC);
	if (r >= 0)
		r = session_prepare(session, kernel->files.vmlinux, err);
	if (r >= 0)
		r = loop_add(kernel->store->loop, session->channel.fd, EPOLLIN, on_prepared,
			     kernel, err);
	if (r < 0)
		return r;
	kernel->fd = session->channel.fd;
	return 0;
}

/*
 * Guests that were asked for in other words may have the same kernel. Who has the right file of a
 * build is told by its digest: a guest's own kernel file may say any build ID.
 */
static bool has_same_files(const struct material_kernel *a, const struct material_kernel *b)
{
	return a != b && a->reference && a->state == MATERIAL_READY &&
	       !strcmp(reference_source(a->reference)->sha256,
		       reference_source(b->reference)->sha256) &&
	       !strcmp(a->build_id, b->build_id);
}

/* Return: are its files those of another one now? */
static bool share_files(struct material_kernel *kernel)
{
	struct broker_files *files = &kernel->files;

	for (size_t i = 0; i < kernel->store->kernels.n; i++) {
		const struct material_kernel *other = kernel->store->kernels.v[i];
		cleanup(fd_close) int vmlinux = -1;
		cleanup(fd_close) int profile = -1;

		if (!has_same_files(other, kernel) || other->files.profile < 0)
			continue;
		vmlinux = fcntl(other->files.vmlinux, F_DUPFD_CLOEXEC, 0);
		profile = fcntl(other->files.profile, F_DUPFD_CLOEXEC, 0);
		if (vmlinux < 0 || profile < 0)
			return false;
		fd_close(&files->vmlinux);
		files->vmlinux = take_fd(&vmlinux);
		files->profile = take_fd(&profile);
		return true;
	}
	return false;
}

/* --- the reference --- */

static int on_found(int fd, uint32_t events, void *ctx, struct err *err)
{
	cleanup(finder_found_free) struct finder_found found = FINDER_FOUND_NONE;
	cleanup(freep) const char **paths = NULL;
	struct material_kernel *kernel = ctx;
	struct finder_wanted wanted;
	struct err why = { 0 };
	int r = finder_read_request(kernel->request.data, kernel->request.size, &wanted, &paths,
				    &why);

	(void)fd;
	(void)events;
	(void)err;
	if (r >= 0)
		r = finder_take(&kernel->finder, &wanted, &found, &why);
	if (r == -ETIMEDOUT)
		return 0;
	end_finding(kernel);
	memcpy(kernel->remarks, found.remarks, sizeof(kernel->remarks));
	if (r < 0)
		snprintf(kernel->remarks[0], sizeof(kernel->remarks[0]),
			 "no reference: %.224s", why.code ? why.text : strerror(-r));
	kernel->reference = take_ptr(&found.reference);
	kernel->files.vmlinux = take_fd(&found.vmlinux);
	if (!kernel->reference || share_files(kernel)) {
		is_ready(kernel);
		return 0;
	}
	r = prepare(kernel, &why);
	if (r >= 0)
		return 0;
	no_profile(kernel, r, &why);
	end_preparing(kernel);
	is_ready(kernel);
	return 0;
}

static int find(struct material_kernel *kernel, int booted, struct err *err)
{
	struct finder *finder = &kernel->finder;
	int r = finder_start(finder, &kernel->request, booted, err);

	kernel->started = now_ns(CLOCK_MONOTONIC);
	if (r >= 0)
		r = loop_add(kernel->store->loop, finder->channel.fd, EPOLLIN, on_found, kernel,
			     err);
	if (r < 0)
		return r;
	kernel->fd = finder->channel.fd;
	return 0;
}

static void forget(struct material_store *store, size_t i)
{
	struct material_kernel *kernel = store->kernels.v[i];

	store->kernels.v[i] = store->kernels.v[--store->kernels.n];
	kernel_drop(kernel);
}

/* The one that is unused for longest; @n: how many are. */
static size_t oldest_unused(const struct material_store *store, size_t *n)
{
	size_t oldest = 0;

	*n = 0;
	for (size_t i = 0; i < store->kernels.n; i++) {
		const struct material_kernel *kernel = store->kernels.v[i];

		if (kernel->users)
			continue;
		if (!(*n)++ || kernel->started < store->kernels.v[oldest]->started)
			oldest = i;
	}
	return oldest;
}

static void forget_unused(struct material_store *store, uint64_t now)
{
	size_t n, oldest = oldest_unused(store, &n);

	while (n > UNUSED_MAX ||
	       (n && now - store->kernels.v[oldest]->started > UNUSED_MAX_NS)) {
		forget(store, oldest);
		oldest = oldest_unused(store, &n);
	}
}

static void tend(struct material_kernel *kernel, uint64_t now)
{
	uint64_t most = kernel->state == MATERIAL_FINDING ? FIND_MAX_NS : PREPARE_MAX_NS;

	if (kernel->state == MATERIAL_READY || now - kernel->started < most)
		return;
	/* Its end is read from its channel. */
	if (kernel->state == MATERIAL_PREPARING) {
		spawn_kill(&kernel->preparing.process);
		return;
	}
	end_finding(kernel);
	snprintf(kernel->remarks[0], sizeof(kernel->remarks[0]),
		 "no reference: it was not found in %llu s", FIND_MAX_NS / 1000000000ull);
	is_ready(kernel);
}

void material_store_tend(struct material_store *store, uint64_t now)
{
	reap(store);
	forget_unused(store, now);
	/* Who is ready may have guests that are given up, and it with them. */
	for (size_t i = store->kernels.n; i-- > 0;)
		if (i < store->kernels.n)
			tend(store->kernels.v[i], now);
}

/* --- what is asked for --- */

/* References of the guest's sections come before those for all. */
static int list_paths(const struct asked *asked, const char ***ret, size_t *n)
{
	struct guest_config guest;
	size_t room = asked->config->reference.n, at = 0;
	const char **paths;
	int r = config_guest(asked->config, asked->guest->name, asked->guest->uuid, &guest);

	if (r < 0)
		return r;
	for (size_t i = 0; i < guest.sections.n; i++)
		room += guest.sections.v[i]->reference.n;
	paths = calloc(room + 1, sizeof(*paths));
	for (size_t i = 0; paths && i < guest.sections.n; i++)
		for (size_t j = 0; j < guest.sections.v[i]->reference.n; j++)
			paths[at++] = guest.sections.v[i]->reference.v[j];
	for (size_t j = 0; paths && j < asked->config->reference.n; j++)
		paths[at++] = asked->config->reference.v[j];
	guest_config_free(&guest);
	if (!paths)
		return -ENOMEM;
	*ret = paths;
	*n = at;
	return 0;
}

static uint64_t stamp_of(uint64_t before, const struct stat *st)
{
	const uint64_t all[] = {
		before, st->st_dev, st->st_ino, (uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
	};

	return hash_bytes(all, sizeof(all), hash_secret());
}

/* A file that is another by now, or a directory with others in it, is opened anew. */
static int request_of(const struct asked *asked, const struct booted *booted, struct blob *ret)
{
	cleanup(freep) const char **paths = NULL;
	struct finder_wanted wanted = { .store = asked->config->state_dir };
	struct stat st;
	int r = list_paths(asked, &paths, &wanted.paths_n);

	if (r < 0)
		return r;
	wanted.paths = paths;
	for (size_t i = 0; i < wanted.paths_n; i++)
		if (stat(paths[i], &st) == 0)
			wanted.stamp = stamp_of(wanted.stamp, &st);
	if (stat(asked->config->agents_dir, &st) == 0)
		wanted.stamp = stamp_of(wanted.stamp, &st);
	if (booted->fd >= 0 && fstat(booted->fd, &st) == 0) {
		wanted.kernel_name = booted->args.kernel;
		wanted.stamp = stamp_of(wanted.stamp, &st);
	}
	strcpy(wanted.build_id, asked->kernel->build_id);
	strcpy(wanted.release, asked->kernel->release);
	return finder_request(&wanted, ret);
}

/* No agent need be there. */
static int put_agents(const struct asked *asked, struct broker_files *files, struct err *err)
{
	cleanup(builds_free) struct builds builds = { 0 };
	int r = builds_add(&builds, asked->config->agents_dir, err);

	if (r >= 0)
		return broker_put_agents(files, &builds, err);
	if (r != -ENOENT && r != -ENOMEM)
		say(asked, "no agent to look for", err);
	return r == -ENOMEM ? r : 0;
}

/* Where none was found there may be one by now. */
static struct material_kernel *known(const struct material_store *store,
				     const struct blob *request)
{
	for (size_t i = 0; i < store->kernels.n; i++) {
		struct material_kernel *kernel = store->kernels.v[i];

		if ((kernel->reference || kernel->state == MATERIAL_FINDING) &&
		    kernel->request.size == request->size &&
		    !memcmp(kernel->request.data, request->data, request->size))
			return kernel;
	}
	return NULL;
}

/* @request becomes its own. */
static int kernel_new(struct material_store *store, const struct asked *asked,
		      struct blob *request, int booted, struct material_kernel **ret,
		      struct err *err)
{
	struct material_kernel *kernel = calloc(1, sizeof(*kernel)), **add;
	int r;

	if (!kernel)
		return -ENOMEM;
	kernel->files = BROKER_FILES_NONE;
	kernel->preparing = SESSION_NONE;
	kernel->finder = FINDER_NONE;
	kernel->fd = -1;
	kernel->store = store;
	kernel->request = *request;
	*request = (struct blob){ NULL, 0 };
	strcpy(kernel->build_id, asked->kernel->build_id);
	r = put_agents(asked, &kernel->files, err);
	if (r >= 0)
		r = find(kernel, booted, err);
	add = r >= 0 ? vec_add(&store->kernels) : NULL;
	if (!add) {
		kernel_drop(kernel);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = *add = kernel;
	return 0;
}

/* The files for guests of this build. */
static int share(struct material *material, const struct asked *asked, struct err *err)
{
	cleanup(booted_free) struct booted booted = BOOTED_NONE;
	cleanup(blob_free) struct blob request = { NULL, 0 };
	struct material_kernel *kernel;
	int r;

	booted_find(asked->guest->pid, &booted);
	r = request_of(asked, &booted, &request);
	if (r < 0)
		return r;
	kernel = known(material->store, &request);
	if (!kernel)
		r = kernel_new(material->store, asked, &request, booted.fd, &kernel, err);
	if (r < 0)
		return r;
	kernel->users++;
	material->kernel = kernel;
	return 0;
}

/* --- one guest's --- */

int material_open(struct material_store *store, const struct config *config,
		  const struct fleet_guest *guest, const struct kernel *kernel,
		  void (*said)(const char *text, void *ctx), void *ctx, struct material *ret,
		  struct err *err)
{
	const struct asked asked = { config, guest, kernel, said, ctx };
	cleanup(material_close) struct material material = { .store = store };
	struct err why = { 0 };
	int r = share(&material, &asked, err);

	if (r < 0)
		return r;
	r = trust_open(config->state_dir, false, &material.trust, &why);
	if (r < 0 && r != -ENOENT)
		say(&asked, "no programs are known", &why);
	r = baseline_open(config->state_dir, guest->key, kernel, &material.baseline, &why);
	if (r < 0)
		say(&asked, "what the guest looks like is not recorded", &why);
	*ret = material;
	material = (struct material){ 0 };
	return 0;
}

bool material_is_ready(const struct material *material)
{
	return !material->kernel || material->kernel->state == MATERIAL_READY;
}

void material_lend(const struct material *material, struct broker *broker,
		   void (*said)(const char *text, void *ctx), void *ctx)
{
	struct material_kernel *kernel = material->kernel;

	broker->reference = kernel->reference;
	broker->baseline = material->baseline;
	broker->trust = material->trust;
	broker->files = &kernel->files;
	for (size_t i = 0; i < FINDER_REMARKS; i++)
		if (*kernel->remarks[i])
			said(kernel->remarks[i], ctx);
}

static void unshare(struct material_store *store, struct material_kernel *kernel)
{
	if (!kernel || --kernel->users)
		return;
	kernel->started = now_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < store->kernels.n; i++)
		if (store->kernels.v[i] == kernel &&
		    (kernel->state != MATERIAL_READY || !kernel->reference)) {
			forget(store, i);
			return;
		}
	forget_unused(store, kernel->started);
}

void material_close(struct material *material)
{
	unshare(material->store, material->kernel);
	baseline_close(&material->baseline);
	trust_close(&material->trust);
	*material = (struct material){ 0 };
}
