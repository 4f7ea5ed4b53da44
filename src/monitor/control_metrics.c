/* SPDX-License-Identifier: Apache-2.0 */

/* What control knows, as numbers for Prometheus: docs/http.md lists them. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "monitor/control.h"
#include "monitor/document.h"
#include "report/ledger.h"

/* Of a label: longer names are cut. Prometheus has no limit by default, its users have. */
#define LABEL_MAX 256

#define VERDICTS (VERDICT_COMPROMISED + 1)

/* How the samples of one guest are told from those of the others. */
struct named {
	char guest[LABEL_MAX];	/* its name, else its target; escaped */
	char number[24];	/* where another one has the same name and key; "": none has */
};

struct writing {
	const struct control *control;
	const struct document_open *open;
	const struct named *named;
	struct metrics metrics;
};

/* Prometheus takes nothing at all where two samples have the same labels. */
static void name_guests(const struct picture *picture, struct named *named)
{
	for (size_t i = 0; i < picture->guests.n; i++) {
		const struct picture_guest *guest = picture->guests.v[i];
		const char *name = guest->name ? guest->name : guest->target ? guest->target : "";

		escape(name, strlen(name), named[i].guest, sizeof(named[i].guest));
		for (size_t j = 0; j < i && !*named[i].number; j++)
			if (!strcmp(named[j].guest, named[i].guest) &&
			    !strcmp(picture->guests.v[j]->key, guest->key))
				snprintf(named[i].number, sizeof(named[i].number), "%llu",
					 (unsigned long long)guest->number);
	}
}

/* A family that has one sample for each guest, and each value of one more label. */
typedef void guest_fn(const struct writing *w, size_t i, const struct metrics_label *labels);

/* The labels of a guest, and room for one more. */
enum { GUEST_LABELS = 3, LABELS };

static void family(struct writing *w, const char *name, enum metrics_type type, const char *help,
		   guest_fn *write)
{
	metrics_family(&w->metrics, name, type, help);
	for (size_t i = 0; i < w->control->picture.guests.n; i++) {
		const struct named *named = &w->named[i];
		const struct metrics_label labels[LABELS] = {
			{ "guest", named->guest },
			{ "key", w->control->picture.guests.v[i]->key },
			{ *named->number ? "number" : NULL, named->number },
		};

		write(w, i, labels);
	}
}

static const struct picture_guest *guest_of(const struct writing *w, size_t i)
{
	return w->control->picture.guests.v[i];
}

/* One of several values that a label has. */
static void one_of(const struct writing *w, const struct metrics_label *labels, const char *label,
		   const char *value, uint64_t count)
{
	struct metrics_label all[LABELS];

	memcpy(all, labels, sizeof(all));
	all[GUEST_LABELS] = (struct metrics_label){ label, value };
	metrics_count(&w->metrics, all, LABELS, count);
}

static void write_info(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	const struct picture_guest *guest = guest_of(w, i);
	struct metrics_label all[LABELS + 2];
	char target[LABEL_MAX], hypervisor[LABEL_MAX], uuid[LABEL_MAX];
	const struct { const char *name, *text; char *safe; } more[] = {
		{ "target", guest->target, target },
		{ "hypervisor", guest->hypervisor, hypervisor },
		{ "uuid", guest->uuid, uuid },
	};

	memcpy(all, labels, GUEST_LABELS * sizeof(*labels));
	for (size_t n = 0; n < ARRAY_SIZE(more); n++) {
		const char *text = more[n].text ? more[n].text : "";

		escape(text, strlen(text), more[n].safe, LABEL_MAX);
		all[GUEST_LABELS + n] = (struct metrics_label){ more[n].name, more[n].safe };
	}
	metrics_count(&w->metrics, all, ARRAY_SIZE(all), 1);
}

static void write_state(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	for (enum guest_state state = 0; state < GUEST_STATES; state++)
		one_of(w, labels, "state", guest_state_name(state), guest_of(w, i)->state == state);
}

static void write_verdict(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	enum verdict verdict = VERDICT_CLEAN;
	bool known = document_verdict(w->control, guest_of(w, i), &w->open[i], &verdict);

	for (enum verdict each = 0; each < VERDICTS; each++)
		one_of(w, labels, "verdict", verdict_name(each), known && verdict == each);
	one_of(w, labels, "verdict", "unknown", !known);
}

static void write_checks(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	uint64_t n[PICTURE_FINDING + 1] = { 0 };

	for (size_t check = 0; check < w->control->picture.ids_n; check++)
		n[guest_of(w, i)->checks[check].state]++;
	for (enum picture_state state = 0; state <= PICTURE_FINDING; state++)
		one_of(w, labels, "result", picture_state_name(state), n[state]);
}

static void write_open(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	for (enum severity severity = SEVERITY_LOW; severity <= SEVERITY_CRITICAL; severity++)
		one_of(w, labels, "severity", severity_name(severity), w->open[i].n[severity]);
}

static void write_allowed(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, w->open[i].allowed);
}

static void write_sweeps(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, guest_of(w, i)->sweeps);
}

/* None where there was none: its age would be that of the epoch. */
static void write_swept(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	if (guest_of(w, i)->swept_ns)
		metrics_real(&w->metrics, labels, GUEST_LABELS,
			     (double)guest_of(w, i)->swept_ns / 1e9);
}

static void write_cpu(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_real(&w->metrics, labels, GUEST_LABELS, (double)guest_of(w, i)->cpu_ns / 1e9);
}

static void write_share(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_real(&w->metrics, labels, GUEST_LABELS, (double)guest_of(w, i)->share_ppm / 1e6);
}

static void write_budget(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	struct guest_config config;

	if (config_guest(w->control->config, guest_of(w, i)->name, guest_of(w, i)->uuid,
			 &config) < 0)
		return;
	metrics_real(&w->metrics, labels, GUEST_LABELS, config.cpu_permille / 1e3);
	guest_config_free(&config);
}

static void write_stretch(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_real(&w->metrics, labels, GUEST_LABELS, (double)guest_of(w, i)->stretch_ppm / 1e6);
}

static void write_memory(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, guest_of(w, i)->memory_bytes);
}

static void write_restarts(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, guest_of(w, i)->restarts);
}

static void write_reboots(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, guest_of(w, i)->reboots);
}

static void write_alarms(const struct writing *w, size_t i, const struct metrics_label *labels)
{
	metrics_count(&w->metrics, labels, GUEST_LABELS, guest_of(w, i)->alarms);
}

static void write_guests(struct writing *w)
{
	static const struct {
		const char *name;
		enum metrics_type type;
		const char *help;
		guest_fn *write;
	} families[] = {
		{ "hvsm_guest_info", METRICS_GAUGE, "What a guest is, always 1.", write_info },
		{ "hvsm_guest_state", METRICS_GAUGE, "1 for the state that a guest is in.",
		  write_state },
		{ "hvsm_guest_verdict", METRICS_GAUGE, "1 for the verdict about a guest.",
		  write_verdict },
		{ "hvsm_guest_checks", METRICS_GAUGE,
		  "Checks by their result when they ran last.", write_checks },
		{ "hvsm_guest_open_findings", METRICS_GAUGE,
		  "Open findings by severity, without those that are allowed.", write_open },
		{ "hvsm_guest_allowed_findings", METRICS_GAUGE,
		  "Open findings that the policy allows.", write_allowed },
		{ "hvsm_guest_sweeps_total", METRICS_COUNTER, "Sweeps that were reported.",
		  write_sweeps },
		{ "hvsm_guest_last_sweep_timestamp_seconds", METRICS_GAUGE,
		  "When a sweep was reported last, since 1970.", write_swept },
		{ "hvsm_guest_cpu_seconds_total", METRICS_COUNTER,
		  "CPU time of a guest's scanners.", write_cpu },
		{ "hvsm_guest_cpu_ratio", METRICS_GAUGE,
		  "CPUs that jobs of a guest took lately.", write_share },
		{ "hvsm_guest_cpu_budget_ratio", METRICS_GAUGE,
		  "CPUs that jobs of a guest may take.", write_budget },
		{ "hvsm_guest_period_stretch_ratio", METRICS_GAUGE,
		  "Periods as configured are 1; longer where the budget is too small.",
		  write_stretch },
		{ "hvsm_guest_scanner_memory_bytes", METRICS_GAUGE,
		  "Memory of a guest's scanner, without what it shares.", write_memory },
		{ "hvsm_guest_scanner_restarts_total", METRICS_COUNTER,
		  "How often a guest's scanner died and was started again.", write_restarts },
		{ "hvsm_guest_reboots_total", METRICS_COUNTER, "How often a guest booted again.",
		  write_reboots },
		{ "hvsm_guest_sentinel_alarms_total", METRICS_COUNTER,
		  "Looks that saw code or constants change, so that checks ran at once.",
		  write_alarms },
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		family(w, families[i].name, families[i].type, families[i].help, families[i].write);
}

/* --- the daemon --- */

static void count(struct writing *w, const char *name, enum metrics_type type, const char *help,
		  uint64_t value)
{
	metrics_family(&w->metrics, name, type, help);
	metrics_count(&w->metrics, NULL, 0, value);
}

static void real(struct writing *w, const char *name, enum metrics_type type, const char *help,
		 double value)
{
	metrics_family(&w->metrics, name, type, help);
	metrics_real(&w->metrics, NULL, 0, value);
}

static void write_daemon(struct writing *w)
{
	const struct metrics_label version = { "version", HVSM_VERSION };
	const struct control *control = w->control;
	uint64_t states[GUEST_STATES] = { 0 };
	uint64_t cpu_ns = control->counts.gone_cpu_ns;

	for (size_t i = 0; i < control->picture.guests.n; i++) {
		states[guest_of(w, i)->state]++;
		cpu_ns += guest_of(w, i)->cpu_ns;
	}
	metrics_family(&w->metrics, "hvsm_build_info", METRICS_GAUGE, "Of hvsmd, always 1.");
	metrics_count(&w->metrics, &version, 1, 1);
	real(w, "hvsm_start_time_seconds", METRICS_GAUGE, "When hvsmd was started, since 1970.",
	     (double)control->started_ns / 1e9);
	metrics_family(&w->metrics, "hvsm_guests", METRICS_GAUGE, "Guests by state.");
	for (enum guest_state state = 0; state < GUEST_STATES; state++) {
		const struct metrics_label label = { "state", guest_state_name(state) };

		metrics_count(&w->metrics, &label, 1, states[state]);
	}
	real(w, "hvsm_cpu_budget_ratio", METRICS_GAUGE,
	     "CPUs that jobs of all guests may take.", control->host_us_per_s / 1e6);
	real(w, "hvsm_cpu_seconds_total", METRICS_COUNTER,
	     "CPU time of all scanners, also of guests that went.", (double)cpu_ns / 1e9);
}

static void write_reactions(struct writing *w)
{
	const struct control_counts *counts = &w->control->counts;

	metrics_family(&w->metrics, "hvsm_reactions_total", METRICS_COUNTER,
		       "Steps of reactions by kind and outcome.");
	for (size_t kind = 0; kind < CONTROL_KINDS; kind++)
		for (enum audit_outcome outcome = 0; outcome < CONTROL_OUTCOMES; outcome++) {
			const struct metrics_label labels[] = {
				{ "kind", kind == CONTROL_KINDS - 1 ? "none" :
					  reaction_kind_name((enum reaction_kind)kind) },
				{ "outcome", audit_outcome_name(outcome) },
			};

			metrics_count(&w->metrics, labels, ARRAY_SIZE(labels),
				      counts->reactions[kind][outcome]);
		}
}

static void write_http(struct writing *w)
{
	metrics_family(&w->metrics, "hvsm_http_requests_total", METRICS_COUNTER,
		       "Answers over HTTP by status; \"other\": of another one.");
	for (size_t i = 0; i < HTTP_STATUSES; i++) {
		char code[16] = "other";
		const struct metrics_label label = { "code", code };

		if (http_statuses[i])
			snprintf(code, sizeof(code), "%u", http_statuses[i]);
		metrics_count(&w->metrics, &label, 1, w->control->counts.http[i]);
	}
}

static int write_ledger(struct writing *w, struct err *err)
{
	const struct control *control = w->control;
	const struct control_counts *counts = &control->counts;
	struct ledger_head head = { 0 };
	uint64_t bytes = 0;
	int r = ledger_head(control->ledger, &head, err);

	if (r >= 0)
		r = ledger_bytes(control->ledger, &bytes, err);
	/* That it cannot be read is what somebody is waiting to be told. */
	if (r == -ENOMEM)
		return r;
	metrics_family(&w->metrics, "hvsm_sweep_duration_seconds", METRICS_HISTOGRAM,
		       "How long sweeps took, as they say.");
	metrics_durations(&w->metrics, &counts->sweeps);
	count(w, "hvsm_reports_received_total", METRICS_COUNTER, "Reports of scanners.",
	      control->received);
	count(w, "hvsm_reports_stored_total", METRICS_COUNTER,
	      "Reports that were stored: in which anything was new.", control->stored);
	count(w, "hvsm_reports_refused_total", METRICS_COUNTER,
	      "Reports that were not taken: they are not what reports have to be.",
	      counts->refused);
	count(w, "hvsm_findings_opened_total", METRICS_COUNTER, "Findings that opened.",
	      counts->opened);
	count(w, "hvsm_findings_closed_total", METRICS_COUNTER, "Findings that closed.",
	      counts->closed);
	count(w, "hvsm_incidents_total", METRICS_COUNTER, "Things that a person should know.",
	      control->incidents_n);
	count(w, "hvsm_ledger_records", METRICS_GAUGE, "Records that the ledger has.",
	      head.seq - head.removed);
	count(w, "hvsm_ledger_bytes", METRICS_GAUGE, "Bytes that the ledger takes.", bytes);
	count(w, "hvsm_ledger_failing", METRICS_GAUGE,
	      "1: the last report could not be stored.", r < 0 || *control->trouble);
	return 0;
}

int control_metrics(const struct control *control, FILE *to, struct err *err)
{
	size_t n = control->picture.guests.n;
	cleanup(freep) struct document_open *open = NULL;
	cleanup(freep) struct named *named = calloc(n + 1, sizeof(*named));
	struct writing w = { control, NULL, named, { .to = to } };
	int r = named ? document_open(control, &open, err) :
			err_set(err, -ENOMEM, "no memory for metrics");

	if (r < 0)
		return r;
	w.open = open;
	name_guests(&control->picture, named);
	write_daemon(&w);
	r = write_ledger(&w, err);
	if (r < 0)
		return r;
	write_reactions(&w);
	write_http(&w);
	write_guests(&w);
	return 0;
}
