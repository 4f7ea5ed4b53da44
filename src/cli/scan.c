/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm scan - check guests, and report. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/opened.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/sources.h"
#include "monitor/protocol.h"
#include "ram/qemu.h"
#include "ram/served.h"
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
	struct opened opened;
	struct sources sources;
};

static void scan_end(struct scan *scan)
{
	opened_end(&scan->opened);
	sources_close(&scan->sources);
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

/* What no vCPU notices, and the scanner has no right to. Without them one check says less. */
static void read_registers(struct scan *scan)
{
	struct err err = {0};

	if (ram_is_served(scan->opened.ram) && ram_read_registers(scan->opened.ram, &err) < 0)
		say("the registers of '%s' are not read: %s", scan->opened.guest.target, err.text);
}

static int sweep(struct scan *scan, const struct arguments *args, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	cleanup(freep) const char **ids = NULL;
	struct session *session = &scan->opened.session;
	uint32_t flags = args->json ? SWEEP_JSON : output_colour() ? SWEEP_COLOUR : 0;
	char what[256];
	size_t n;
	int r;

	checks_all(&n);
	ids = calloc(n, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	snprintf(what, sizeof(what), "scanning %s", identity_name(&scan->opened.identity));
	progress = progress_begin(what);
	read_registers(scan);
	r = session_grant(session, err);
	if (r >= 0)
		r = session_sweep(session, flags, ids, choose(args, ids), scan->opened.ram->cpus,
				  scan->opened.ram->cpus_n, err);
	/* An end that came between two messages is told by what is received. */
	return r < 0 && r != -EPIPE ? r : session_wait(session, NEWS_REPORT, opened_remark, err);
}

/* How often a scan begins anew as memory comes and goes. */
#define ANEW_MAX 3u

/*
 * Memory may be plugged in or out while a guest is scanned: what was found, or not seen, is of half
 * a guest then.
 */
static bool was_plugged(const struct scan *scan)
{
	const struct ram *was = scan->opened.ram;
	cleanup(ram_close) struct ram *ram = NULL;
	struct guest guest;

	if (!was->room.size_bytes || scan->opened.session.report.verdict == VERDICT_CLEAN ||
	    guests_resolve_unread(scan->opened.guest.target, &guest, &ram, NULL) < 0)
		return false;
	guest_free(&guest);
	return ram->places != was->places;
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

static enum exit_status scan_one(const char *target, const struct arguments *args,
				 bool may_change, bool *again)
{
	cleanup(scan_end) struct scan scan = { .opened = OPENED_NONE, .sources = SOURCES_NONE };
	struct err err = {0};
	int r;

	if (opened_start(target, &scan.opened) < 0 ||
	    sources_open(&scan.opened.guest, &scan.opened.identity, ram_is_live(scan.opened.ram),
			 &scan.opened.session.kernel, args, &scan.sources) < 0)
		return EXIT_UNSCANNED;
	sources_lend(&scan.sources, &scan.opened.session.broker);
	/* An image has them in its notes, or not at all. */
	if (args->registers && scan.opened.guest.pid) {
		r = qemu_read_registers(scan.opened.guest.pid, scan.opened.ram, &err);
		if (r < 0) {
			say_failed(r, &err, NULL, "cannot read the registers of '%s'", target);
			return EXIT_UNSCANNED;
		}
	}
	r = sweep(&scan, args, &err);
	if (r >= 0 && was_plugged(&scan)) {
		r = err_set(&err, -ESTALE, "its memory is another than before each time");
		*again = may_change;
	}
	if (*again) {
		say("'%s' has other memory than before: it is scanned again", target);
		return EXIT_CLEAN;
	}
	if (r >= 0) {
		sources_commit(&scan.sources, &scan.opened.session.report);
		r = print(&scan.opened.session.report, &err);
	}
	if (r < 0) {
		say_failed(r, &err, opened_advice(r), "cannot scan '%s'", target);
		return EXIT_UNSCANNED;
	}
	return verdict_exit_status(scan.opened.session.report.verdict);
}

static int scan_run(const struct arguments *args)
{
	enum exit_status status = EXIT_CLEAN;

	if (!choice_is_sound(args))
		return EXIT_UNSCANNED;
	for (size_t i = 0; i < args->operands_n; i++) {
		enum exit_status one = EXIT_CLEAN;
		bool again = true;

		for (unsigned n = 0; again; n++) {
			again = false;
			one = scan_one(args->operands[i], args, n < ANEW_MAX, &again);
		}
		status = exit_status_worse(status, one);
	}
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
