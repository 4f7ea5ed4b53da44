/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sources.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "ram/qemu.h"
#include "reference/baseline.h"
#include "reference/store.h"
#include "reference/trust.h"

/* What QEMU was told to boot. Its words, seen from inside of its root. */
struct booted {
	struct proc proc;
	struct qemu_args args;
	int fd;
	char path[64];
};

static void booted_free(struct booted *booted)
{
	fd_close(&booted->fd);
	qemu_args_free(&booted->args);
	proc_deinit(&booted->proc);
}

/* The file, or nothing: a guest that boots from its disk has none that we could read. */
static void find_booted(const struct guest *guest, struct booted *booted)
{
	struct err err = {0};

	if (!guest->pid || proc_init(&booted->proc, guest->pid, &err) < 0)
		return;
	if (qemu_describe(&booted->proc, &booted->args, &err) < 0 || !booted->args.kernel)
		return;
	booted->fd = proc_path(&booted->proc, booted->args.kernel, &err);
	if (booted->fd >= 0)
		snprintf(booted->path, sizeof(booted->path), "/proc/self/fd/%d", booted->fd);
}

const char *sources_store(const struct arguments *args)
{
	const char *named = getenv("HVSM_STORE");

	if (args->store.n)
		return args->store.v[args->store.n - 1];
	return named && *named ? named : STORE_DEFAULT;
}

static const char *advice_for(int code)
{
	switch (code) {
	case -ENOENT:
		return "`hvsm reference fetch` gets the right one";
	case -EBADMSG:
		return "get it again: it is damaged, or nothing of the kind";
	case -ELOOP:
		return "no kernel is that large: do not trust the file";
	case -ENOMEM:
		return NULL;
	default:
		return "is the path right, and may you read it?";
	}
}

/* Not of an image, which does not change, and is not scanned again; no store is no error. */
static struct baseline *open_baseline(const struct identity *identity,
				      const struct kernel *kernel, const char *store)
{
	const char *uuid = identity->uuid;
	struct baseline *baseline = NULL;
	struct err err = {0};

	if (baseline_open(store, uuid && *uuid ? uuid : identity_name(identity), kernel, &baseline,
			  &err) < 0)
		return NULL;
	return baseline;
}

/* What was named must be there; where `make install` puts it there may be none. */
static int put_agents(const struct arguments *args, struct broker_files *files)
{
	const char *named = getenv("HVSM_AGENT");
	cleanup(builds_free) struct builds builds = {0};
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; i < args->agent.n && r >= 0; i++)
		r = builds_add(&builds, args->agent.v[i], &err);
	if (!args->agent.n)
		r = builds_add(&builds, named && *named ? named : AGENTS_DEFAULT, &err);
	if (r == -ENOENT && !args->agent.n && !(named && *named))
		return 0;
	if (r >= 0)
		r = broker_put_agents(files, &builds, &err);
	if (r < 0)
		say_failed(r, &err, r == -ENOMEM ? NULL : "is it the program that guests run?",
			   "no agent to look for");
	return r;
}

/* No program need be trusted. A store that cannot be read is told; scans go on without it. */
static struct trust *open_trust(const char *store)
{
	struct trust *trust = NULL;
	struct err err = {0};
	int r = trust_open(store, false, &trust, &err);

	if (r < 0 && r != -ENOENT)
		say_failed(r, &err, r == -EBADMSG ? "remove its trust.db, and add again" :
			   "may you read it?", "no programs are known");
	return trust;
}

/* The kernel, to be handed over; what went wrong is said. */
static int open_reference(const struct guest *guest, const struct reference_options *options,
			  const struct kernel *kernel, struct sources *sources)
{
	cleanup(progress_end) struct progress *progress = progress_begin("reading the reference");
	struct err err = {0};
	int r = reference_open(options, kernel, &sources->reference, &err);

	if (r >= 0)
		r = broker_put_kernel(&sources->files, sources->reference, &err);
	progress_end(&progress);
	if (r >= 0 || (!options->paths_n && r == -ENOENT))
		return 0;
	say_failed(r, &err, advice_for(r), "no reference for '%s'", guest->target);
	return options->paths_n || r == -ENOMEM || sources->reference ? r : 0;
}

int sources_open(const struct guest *guest, const struct identity *identity, bool live,
		 const struct kernel *kernel, const struct arguments *args, struct sources *ret)
{
	cleanup(booted_free) struct booted booted = { .proc = PROC_NONE, .fd = -1 };
	cleanup(sources_close) struct sources sources = SOURCES_NONE;
	struct reference_options options = {
		.paths = (const char *const *)args->reference.v,
		.paths_n = args->reference.n,
		.store = sources_store(args),
	};
	int r;

	if (!options.paths_n)
		find_booted(guest, &booted);
	options.kernel_file = *booted.path ? booted.path : NULL;
	options.kernel_name = booted.args.kernel;
	r = open_reference(guest, &options, kernel, &sources);
	if (r >= 0)
		r = put_agents(args, &sources.files);
	if (r < 0)
		return r;
	if (sources.files.agents.n)
		sources.trust = open_trust(options.store);
	if (live)
		sources.baseline = open_baseline(identity, kernel, options.store);
	*ret = sources;
	sources = SOURCES_NONE;
	return 0;
}

void sources_lend(struct sources *sources, struct broker *broker)
{
	*broker = (struct broker){
		.reference = sources->reference, .baseline = sources->baseline,
		.trust = sources->trust, .files = &sources->files,
	};
}

void sources_close(struct sources *sources)
{
	reference_close(&sources->reference);
	baseline_close(&sources->baseline);
	trust_close(&sources->trust);
	broker_files_free(&sources->files);
}

void sources_commit(struct sources *sources, const struct session_report *report)
{
	struct err err = {0};
	int r;

	if (!sources->baseline || !report->steady || report->verdict == VERDICT_COMPROMISED)
		return;
	r = baseline_commit(sources->baseline, &err);
	if (r < 0)
		say("what the guest looks like could not be recorded: %s",
		    err.code ? err.text : strerror(-r));
}
