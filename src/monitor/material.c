/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/material.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/booted.h"
#include "monitor/journal.h"

/* To unpack symbols and types takes 0.1 s; of a host that is busy, many times that. */
#define PREPARE_MAX_NS (20 * 1000000000ull)

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

static void end_preparing(struct material_kernel *kernel)
{
	/* The session may have closed it already. */
	if (kernel->fd >= 0)
		loop_remove(kernel->store->loop, kernel->fd);
	kernel->fd = -1;
	session_end(&kernel->preparing);
}

static void kernel_drop(struct material_kernel *kernel)
{
	end_preparing(kernel);
	broker_files_free(&kernel->files);
	free(kernel);
}

void material_store_free(struct material_store *store)
{
	for (size_t i = 0; i < store->kernels.n; i++)
		kernel_drop(store->kernels.v[i]);
	vec_free(&store->kernels);
}

void material_store_tend(struct material_store *store, uint64_t now)
{
	for (size_t i = 0; i < store->kernels.n; i++) {
		struct material_kernel *kernel = store->kernels.v[i];

		if (kernel->fd >= 0 && now - kernel->started > PREPARE_MAX_NS)
			spawn_kill(&kernel->preparing.process);
	}
}

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

/*
 * What was named may be for other guests: where it has not this one's kernel, the store and the
 * file that QEMU booted are asked.
 */
static int open_reference(const struct asked *asked, struct reference **ret)
{
	cleanup(booted_free) struct booted booted = BOOTED_NONE;
	cleanup(freep) const char **paths = NULL;
	struct reference_options options = { 0 };
	struct err err = { 0 };
	int r = list_paths(asked, &paths, &options.paths_n);

	if (r < 0)
		return r;
	options.paths = paths;
	options.store = asked->config->state_dir;
	r = -ENOENT;
	if (options.paths_n)
		r = reference_open(&options, asked->kernel, ret, &err);
	if (r < 0 && r != -ENOENT && r != -ENOMEM)
		say(asked, "a reference of the configuration is not used", &err);
	if (r < 0 && r != -ENOMEM) {
		booted_find(asked->guest->pid, &booted);
		options.paths_n = 0;
		options.kernel_file = *booted.path ? booted.path : NULL;
		options.kernel_name = booted.args.kernel;
		r = reference_open(&options, asked->kernel, ret, &err);
		if (r < 0 && r != -ENOENT && r != -ENOMEM)
			say(asked, "the reference is not used", &err);
	}
	return r == -ENOMEM ? r : 0;
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

/* Where there is none, each scanner has more memory of its own. */
static void no_profile(const struct material_kernel *kernel, int code, const struct err *why)
{
	journal(LOG_NOTICE, "symbols and types of kernel %s are not shared: %s", kernel->build_id,
		why->code ? why->text : strerror(-code));
}

static int on_prepared(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct material_kernel *kernel = ctx;
	struct material_store *store = kernel->store;
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
	store->prepared(store->ctx);
	return 0;
}

/* It takes a while, in which the others are not to wait. */
static void prepare(struct material_kernel *kernel)
{
	struct session *session = &kernel->preparing;
	struct err err = { 0 };
	int r = session_start(session, &err);

	kernel->started = now_ns(CLOCK_MONOTONIC);
	if (r >= 0)
		r = session_prepare(session, kernel->files.vmlinux, &err);
	if (r >= 0)
		r = loop_add(kernel->store->loop, session->channel.fd, EPOLLIN, on_prepared,
			     kernel, &err);
	if (r >= 0) {
		kernel->fd = session->channel.fd;
		return;
	}
	no_profile(kernel, r, &err);
	session_end(session);
}

bool material_is_ready(const struct material *material)
{
	return !material->kernel || material->kernel->fd < 0;
}

/*
 * The files for guests of this build. Who has the right file of a build is told by its digest:
 * a guest's own kernel file may say any build ID.
 */
static int share(struct material *material, const struct asked *asked, struct err *err)
{
	const char *sha256 = material->reference ?
			     reference_source(material->reference)->sha256 : "";
	const char *build_id = material->reference ? asked->kernel->build_id : "";
	struct material_kernel *kernel, **add;
	int r;

	for (size_t i = 0; i < material->store->kernels.n; i++) {
		kernel = material->store->kernels.v[i];
		if (strcmp(kernel->sha256, sha256) != 0 || strcmp(kernel->build_id, build_id) != 0)
			continue;
		if (material->reference)
			reference_release_vmlinux(material->reference);
		kernel->users++;
		material->kernel = kernel;
		return 0;
	}
	kernel = calloc(1, sizeof(*kernel));
	if (!kernel)
		return -ENOMEM;
	kernel->files = BROKER_FILES_NONE;
	kernel->preparing = SESSION_NONE;
	kernel->fd = -1;
	kernel->store = material->store;
	snprintf(kernel->sha256, sizeof(kernel->sha256), "%s", sha256);
	snprintf(kernel->build_id, sizeof(kernel->build_id), "%s", build_id);
	r = material->reference ? broker_put_kernel(&kernel->files, material->reference, err) : 0;
	if (r >= 0)
		r = put_agents(asked, &kernel->files, err);
	add = r >= 0 ? vec_add(&material->store->kernels) : NULL;
	if (!add) {
		kernel_drop(kernel);
		return r < 0 ? r : -ENOMEM;
	}
	*add = material->kernel = kernel;
	kernel->users = 1;
	if (material->reference)
		prepare(kernel);
	return 0;
}

int material_open(struct material_store *store, const struct config *config,
		  const struct fleet_guest *guest, const struct kernel *kernel,
		  void (*said)(const char *text, void *ctx), void *ctx, struct material *ret,
		  struct err *err)
{
	const struct asked asked = { config, guest, kernel, said, ctx };
	cleanup(material_close) struct material material = { .store = store };
	struct err why = { 0 };
	int r = open_reference(&asked, &material.reference);

	if (r >= 0)
		r = share(&material, &asked, err);
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

void material_lend(const struct material *material, struct broker *broker)
{
	broker->reference = material->reference;
	broker->baseline = material->baseline;
	broker->trust = material->trust;
	broker->files = material->kernel ? &material->kernel->files : NULL;
}

static void unshare(struct material_store *store, struct material_kernel *kernel)
{
	if (!kernel || --kernel->users)
		return;
	for (size_t i = 0; i < store->kernels.n; i++) {
		if (store->kernels.v[i] != kernel)
			continue;
		store->kernels.v[i] = store->kernels.v[--store->kernels.n];
		kernel_drop(kernel);
		return;
	}
}

void material_close(struct material *material)
{
	unshare(material->store, material->kernel);
	reference_close(&material->reference);
	baseline_close(&material->baseline);
	trust_close(&material->trust);
	*material = (struct material){ 0 };
}
