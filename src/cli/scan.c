/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm scan - check guests, and report. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/sources.h"
#include "monitor/protocol.h"
#include "monitor/session.h"
#include "ram/qemu.h"
#include "report/encode.h"

static bool has_word(const words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->v[i], word))
			return true;
	return false;
}

static bool wanted(const struct check *check, const struct arguments *args)
{
	return (!args->only.n || has_word(&args->only, check->id)) &&
	       !has_word(&args->skip, check->id);
}

static const char *check_name(size_t i, const void *ctx)
{
	size_t n;

	(void)ctx;
	return checks_all(&n)[i]->id;
}

/* Does every word name a check? What does not is said on stderr. */
static bool are_checks(const words *w, const char *option)
{
	char near[256];
	size_t n;

	for (size_t i = 0; i < w->n; i++) {
		if (check_by_id(w->v[i]))
			continue;
		checks_all(&n);
		nearest(w->v[i], check_name, n, NULL, near, sizeof(near));
		say("scan: %s: no check '%s'%s%s%s; `hvsm checks` lists them", option, w->v[i],
		    *near ? " (near: " : "", near, *near ? ")" : "");
		return false;
	}
	return true;
}

static bool choice_is_sound(const struct arguments *args)
{
	size_t n, left = 0;
	const struct check *const *checks = checks_all(&n);

	if (!are_checks(&args->only, "--only") || !are_checks(&args->skip, "--skip"))
		return false;
	for (size_t i = 0; i < n; i++)
		left += wanted(checks[i], args);
	if (!left)
		say("scan: --only and --skip leave no check; `hvsm checks` lists them");
	return left;
}

/* One guest, from its name on the command line to its report. */
struct scan {
	struct guest guest;
	struct identity identity;	/* of @guest */
	struct ram *ram;
	struct session session;
	struct sources sources;
};

static void scan_end(struct scan *scan)
{
	session_end(&scan->session);
	sources_close(&scan->sources);
	ram_close(&scan->ram);
	guest_free(&scan->guest);
}

static void remark(const char *text)
{
	say("%s", text);
}

/* Who cannot be told from a scanner's end: it is of the guest's making, or a bug of ours. */
static const char *advice_for(int code)
{
	if (code == -EPROTO)
		return "treat the guest as compromised: its scanner was taken over";
	return code == -EPIPE ? "if it happens again, treat the guest as compromised" : NULL;
}

/* The guest's memory, who it is, and what it runs. */
static int open_target(const char *target, struct scan *scan, bool *found, struct err *err)
{
	struct guest *guest = &scan->guest;
	int r = guests_resolve_unread(target, guest, &scan->ram, err);

	if (r < 0)
		return r;
	*found = true;
	scan->identity = (struct identity){
		.name = guest->name,
		.uuid = guest->uuid,
		.target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	r = session_start(&scan->session, err);
	if (r >= 0)
		r = session_open(&scan->session, scan->ram, &scan->identity, err);
	return r < 0 ? r : session_wait(&scan->session, NEWS_READY, remark, err);
}

static int attach_scanner(const char *target, struct scan *scan)
{
	cleanup(progress_end) struct progress *progress = NULL;
	const char *advice;
	struct err err = {0};
	bool found = false;
	char what[256];
	int r;

	snprintf(what, sizeof(what), "attaching to %s", target);
	progress = progress_begin(what);
	r = open_target(target, scan, &found, &err);
	progress_end(&progress);
	if (r >= 0)
		return r;
	advice = advice_for(r);
	if (r == -ENOENT && found)
		advice = scan->guest.pid ? "if it is still starting, try again in a moment" :
					   "is it an image of all of a Linux guest's memory?";
	say_failed(r, &err, advice, "cannot attach to '%s'", target);
	return r;
}

/* Which checks are to run, in their order. */
static size_t choose(const struct arguments *args, const char **ids)
{
	size_t n, chosen = 0;
	const struct check *const *checks = checks_all(&n);

	for (size_t i = 0; i < n; i++)
		if (wanted(checks[i], args))
			ids[chosen++] = checks[i]->id;
	return chosen;
}

static int sweep(struct scan *scan, const struct arguments *args, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	cleanup(freep) const char **ids = NULL;
	struct session *session = &scan->session;
	uint32_t flags = args->json ? SWEEP_JSON : output_colour() ? SWEEP_COLOUR : 0;
	char what[256];
	size_t n;
	int r;

	checks_all(&n);
	ids = calloc(n, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	snprintf(what, sizeof(what), "scanning %s", identity_name(&scan->identity));
	progress = progress_begin(what);
	r = session_grant(session, err);
	if (r >= 0)
		r = session_sweep(session, flags, ids, choose(args, ids), scan->ram->cpus,
				  scan->ram->cpus_n, err);
	/* An end that came between two messages is told by what is received. */
	return r < 0 && r != -EPIPE ? r : session_wait(session, NEWS_REPORT, remark, err);
}

static int print(const struct session_report *report, struct err *err)
{
	static bool another;
	int r = 0;

	if (report->json) {
		r = encode_print(json_incref(report->json), stdout, err);
	} else {
		if (another)
			putchar('\n');
		fwrite(report->text.data, 1, report->text.size, stdout);
		another = true;
	}
	fflush(stdout);	/* the next target may take long */
	return r;
}

static enum exit_status scan_one(const char *target, const struct arguments *args)
{
	cleanup(scan_end) struct scan scan = { .session = SESSION_NONE, .sources = SOURCES_NONE };
	struct err err = {0};
	int r;

	if (attach_scanner(target, &scan) < 0 ||
	    sources_open(&scan.guest, &scan.identity, scan.guest.pid, &scan.session.kernel, args,
			 &scan.sources) < 0)
		return EXIT_UNSCANNED;
	sources_lend(&scan.sources, &scan.session.broker);
	/* An image has them in its notes, or not at all. */
	if (args->registers && scan.guest.pid) {
		r = qemu_read_registers(scan.guest.pid, scan.ram, &err);
		if (r < 0) {
			say_failed(r, &err, NULL, "cannot read the registers of '%s'", target);
			return EXIT_UNSCANNED;
		}
	}
	r = sweep(&scan, args, &err);
	if (r >= 0) {
		sources_commit(&scan.sources, &scan.session.report);
		r = print(&scan.session.report, &err);
	}
	if (r < 0) {
		say_failed(r, &err, advice_for(r), "cannot scan '%s'", target);
		return EXIT_UNSCANNED;
	}
	return verdict_exit_status(scan.session.report.verdict);
}

static int scan_run(const struct arguments *args)
{
	enum exit_status status = EXIT_CLEAN;

	if (!choice_is_sound(args))
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < args->operands_n; i++)
		status = exit_status_worse(status, scan_one(args->operands[i], args));
	return (int)status;
}

const struct command scan_command = {
	.name = "scan",
	.operands = "TARGET...",
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.options = OPTION_ONLY | OPTION_SKIP | OPTION_REFERENCE | OPTION_STORE |
		   OPTION_AGENT | OPTION_REGISTERS | OPTION_JSON,
	.summary = "check guests for tampering and for what is hidden",
	.about =
		"Sweep each guest once and report what the checks found: evidence for each\n"
		"finding, a verdict, and what each check covered. With --json, one report per\n"
		"line (hvsm.report/1).\n"
		"\n"
		"Exit status: 0 every guest is clean; 1 there are findings; 2 usage, or a guest\n"
		"could not be scanned; 3 no finding, but a check is inconclusive. Of several\n"
		"guests the gravest counts: 1, then 2, then 3.",
	.example = "  hvsm scan web1 db1\n  hvsm scan qemu:4711 --only syscall-table --json",
	.run = scan_run,
};
