/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sources.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "keeper/keeper.h"
#include "ram/qemu.h"
#include "reference/baseline.h"
#include "reference/store.h"
#include "reference/trust.h"
#include "report/verdict.h"

#define AGENT_ITEM "agent"	/* of the baseline */

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
static void find_booted(const struct attached *guest, struct booted *booted)
{
	struct err err = {0};

	if (!guest->guest.pid || proc_init(&booted->proc, guest->guest.pid, &err) < 0)
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

/* An image does not change, and is not scanned again; no store is no error. */
static struct baseline *open_baseline(const struct attached *guest, const char *store)
{
	const char *uuid = guest->identity.uuid;
	struct baseline *baseline = NULL;
	struct err err = {0};

	if (!ram_is_live(guest->ram))
		return NULL;
	if (baseline_open(store, uuid && *uuid ? uuid : identity_name(&guest->identity),
			  guest->kernel, &baseline, &err) < 0)
		return NULL;
	return baseline;
}

/* What was named must be there; where `make install` puts it there may be none. */
static int open_keeper(const struct arguments *args, struct keeper **ret)
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
		r = keeper_open(&builds, ret, &err);
	if (r < 0)
		say_failed(r, &err, r == -ENOMEM ? NULL : "is it the program that guests run?",
			   "no agent to look for");
	return r;
}

/* What earlier sweeps knew of the agent. */
static void recall(const struct check_sources *sources)
{
	cleanup(blob_free) struct blob blob = {0};
	struct err err = {0};
	int r;

	if (!sources->baseline || !sources->keeper)
		return;
	r = baseline_noted(sources->baseline, AGENT_ITEM, &blob, &err);
	if (r >= 0)
		r = keeper_recall(sources->keeper, blob.data, blob.size, &err);
	if (r < 0 && r != -ENOENT)
		say("what was known of the agent is not used: %s", err.text);
}

/*
 * … and what the next ones need to. It says which agent was followed and how far, so it is kept
 * of a guest that is compromised as well: only a log that grew is ever noted.
 */
static void remember(const struct check_sources *sources)
{
	cleanup(blob_free) struct blob blob = {0};
	struct err err = {0};
	int r;

	if (!sources->baseline || !sources->keeper)
		return;
	r = keeper_remember(sources->keeper, &blob, &err);
	if (r >= 0 && blob.size)
		r = baseline_note(sources->baseline, AGENT_ITEM, blob.data, blob.size, &err);
	if (r < 0)
		say("what is known of the agent could not be recorded: %s",
		    err.code ? err.text : strerror(-r));
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

int sources_open(const struct attached *guest, const struct arguments *args,
		 struct check_sources *ret)
{
	cleanup(booted_free) struct booted booted = { .proc = PROC_NONE, .fd = -1 };
	cleanup(progress_end) struct progress *progress = NULL;
	struct check_sources sources = {0};
	struct reference_options options = {
		.paths = (const char *const *)args->reference.v,
		.paths_n = args->reference.n,
		.store = sources_store(args),
	};
	struct err err = {0};
	int r;

	if (!options.paths_n)
		find_booted(guest, &booted);
	options.kernel_file = *booted.path ? booted.path : NULL;
	options.kernel_name = booted.args.kernel;
	progress = progress_begin("reading the reference");
	r = reference_open(&options, guest->kernel, &sources.reference, &err);
	progress_end(&progress);
	if (r < 0 && (options.paths_n || r != -ENOENT)) {
		say_failed(r, &err, advice_for(r), "no reference for '%s'", guest->guest.target);
		if (options.paths_n || r == -ENOMEM)
			return r;
	}
	r = open_keeper(args, &sources.keeper);
	if (r < 0) {
		sources_close(&sources);
		return r;
	}
	if (sources.keeper)
		sources.trust = open_trust(options.store);
	sources.baseline = open_baseline(guest, options.store);
	recall(&sources);
	*ret = sources;
	return 0;
}

void sources_close(struct check_sources *sources)
{
	reference_close(&sources->reference);
	baseline_close(&sources->baseline);
	keeper_close(&sources->keeper);
	trust_close(&sources->trust);
}

void sources_commit(struct check_sources *sources, const struct sweep *sweep)
{
	struct err err = {0};
	int r;

	if (sweep->steady)
		remember(sources);
	if (!sources->baseline || !sweep->steady || verdict_of(sweep) == VERDICT_COMPROMISED)
		return;
	r = baseline_commit(sources->baseline, &err);
	if (r < 0)
		say("what the guest looks like could not be recorded: %s",
		    err.code ? err.text : strerror(-r));
}
