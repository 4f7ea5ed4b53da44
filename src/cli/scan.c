/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm scan - check guests, and report. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/sweep.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/nearest.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "ram/qemu.h"
#include "cli/sources.h"
#include "keeper/keeper.h"
#include "report/encode.h"
#include "report/report.h"
#include "report/text.h"
#include "report/verdict.h"

static bool has_word(const words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->v[i], word))
			return true;
	return false;
}

static bool wanted(const struct check *check, void *ctx)
{
	const struct arguments *args = ctx;

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
		left += wanted(checks[i], (void *)args);
	if (!left)
		say("scan: --only and --skip leave no check; `hvsm checks` lists them");
	return left;
}

static int sweep(struct attached *guest, const struct arguments *args,
		 const struct check_sources *sources, struct sweep **ret, struct err *err)
{
	cleanup(progress_end) struct progress *progress = NULL;
	const struct sweep_options options = {
		.wanted = wanted, .ctx = (void *)args, .sources = *sources,
	};
	char what[256];

	snprintf(what, sizeof(what), "scanning %s", identity_name(&guest->identity));
	progress = progress_begin(what);
	return sweep_run(guest->kernel, guest->view, &options, ret, err);
}

static int print(const struct report *report, const struct arguments *args, struct err *err)
{
	static bool another;
	int r = 0;

	if (args->json) {
		r = encode_print(report_json(report), stdout, err);
	} else {
		if (another)
			putchar('\n');
		text_report(report, output_colour(), stdout);
		another = true;
	}
	fflush(stdout);	/* the next target may take long */
	return r;
}

static enum exit_status scan_one(const char *target, const struct arguments *args)
{
	cleanup(attached_free) struct attached *guest = NULL;
	cleanup(sources_close) struct check_sources sources = {0};
	cleanup(sweep_free) struct sweep *swept = NULL;
	struct report report;
	struct err err = {0};
	int r;

	if (attach(target, &guest) < 0 || sources_open(guest, args, &sources) < 0)
		return EXIT_UNSCANNED;
	/* An image has them in its notes, or not at all. */
	if (args->registers && guest->guest.pid) {
		r = qemu_read_registers(guest->guest.pid, guest->ram, &err);
		if (r < 0) {
			say_failed(r, &err, NULL, "cannot read the registers of '%s'", target);
			return EXIT_UNSCANNED;
		}
	}
	r = sweep(guest, args, &sources, &swept, &err);
	if (r >= 0) {
		sources_commit(&sources, swept);
		report = (struct report){
			.guest = &guest->identity, .kernel = guest->kernel, .sweep = swept,
			.reference = sources.reference ? reference_source(sources.reference) :
							 NULL,
			.agent = sources.keeper ? keeper_agent(sources.keeper) : NULL,
		};
		r = print(&report, args, &err);
	}
	if (r < 0) {
		say_failed(r, &err, NULL, "cannot scan '%s'", target);
		return EXIT_UNSCANNED;
	}
	return verdict_exit_status(verdict_of(swept));
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
