/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include <sodium.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/encode.h"
#include "report/processes.h"
#include "report/verdict.h"

static json_t *techniques_json(const char *const *techniques)
{
	json_t *array = json_array();

	for (; techniques && *techniques; techniques++)
		encode_append(&array, json_string(*techniques));
	return array;
}

static json_t *evidence_json(const struct finding *finding)
{
	json_t *array = json_array();

	for (size_t i = 0; i < finding->evidence.n; i++) {
		const struct evidence *e = &finding->evidence.v[i];

		encode_append(&array, json_pack("{s:o, s:o, s:o, s:o, s:o}",
						"what", encode_text(e->what),
						"address", encode_address_or_null(e->at),
						"symbol", encode_text(e->symbol),
						"expected", encode_text(e->expected),
						"found", encode_text(e->found)));
	}
	return array;
}

static json_t *object_json(const struct finding *finding)
{
	return json_pack("{s:o, s:o, s:o}",
			 "kind", encode_text(finding->object_kind),
			 "name", encode_text(finding->object_name),
			 "address", encode_address_or_null(finding->object_at));
}

static json_t *finding_json(const struct finding *finding)
{
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "id", finding->id,
			 "check", encode_text(finding->check),
			 "severity", severity_name(finding->severity),
			 "title", encode_text(finding->title),
			 "techniques", techniques_json(finding->techniques),
			 "object", object_json(finding),
			 "evidence", evidence_json(finding),
			 "owner", encode_text(finding->owner),
			 "first_seen", encode_time(finding->first_seen_ns));
}

static json_t *findings_json(const struct sweep *sweep)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sweep->results_n; i++) {
		const struct check_result *result = &sweep->results[i];

		for (size_t j = 0; j < result->findings.n; j++)
			encode_append(&array, finding_json(result->findings.v[j]));
	}
	return array;
}

static json_t *covered_json(const struct check_result *result)
{
	json_t *object = json_object();

	for (size_t i = 0; i < result->covered.n; i++) {
		const struct covered *covered = &result->covered.v[i];

		encode_set(&object, covered->what, encode_count(covered->count));
	}
	return object;
}

static json_t *check_json(const struct check_result *result)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
			 "id", result->check->id,
			 "result", check_state_name(result->state),
			 "reason", encode_text_or_null(result->reason),
			 "covered", covered_json(result),
			 "duration_us", encode_count(result->duration_ns / 1000),
			 "cpu_us", encode_count(result->cpu_ns / 1000),
			 "repeats", encode_count(result->repeats));
}

static json_t *checks_json(const struct sweep *sweep)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sweep->results_n; i++)
		encode_append(&array, check_json(&sweep->results[i]));
	return array;
}

static json_t *sweep_json(const struct sweep *sweep)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}",
			 "started", encode_time(sweep->started_ns),
			 "duration_us", encode_count(sweep->duration_ns / 1000),
			 "pages_read", encode_count(sweep->pages_read),
			 "bytes_read", encode_count(sweep->bytes_read),
			 "repeats", encode_count(sweep->repeats));
}

json_t *report_kernel_json(const struct kernel *kernel)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:o}",
			 "os", "linux",
			 "release", encode_text(kernel->release),
			 "banner", encode_text(kernel->banner),
			 "build_id", encode_text_or_null(kernel->build_id),
			 "text_base", encode_address(kernel->text),
			 "paging_levels", (int)kernel->space.levels,
			 "symbols", json_sprintf("kallsyms: %s",
						 symbols_layout(kernel->symbols)));
}

/* Paths and packages are the host's; a kernel file's path is what QEMU was given. */
static json_t *reference_json(const struct reference_source *source)
{
	if (!source)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
			 "source", encode_text(source->source),
			 "path", encode_text(source->path),
			 "package", encode_text_or_null(source->package),
			 "version", encode_text_or_null(source->version),
			 "sha256", encode_text_or_null(source->sha256),
			 "signature", encode_text_or_null(source->signature));
}

/*
 * Later checks may look again, at an agent that is just writing. Where each of its own checks saw
 * all that it is about, in whichever look, nothing was hidden.
 */
enum keeper_state report_agent_state(const struct report *report)
{
	const struct sweep *sweep = report->sweep;

	for (size_t i = 0; i < sweep->results_n; i++)
		if (sweep->results[i].check->group == GROUP_AGENT &&
		    sweep->results[i].state == CHECK_INCONCLUSIVE)
			return report->agent->state;
	return report->agent->apparent;
}

/* What is not known is null: of an agent that is not there, all but its state. */
static json_t *agent_json(const struct report *report)
{
	const struct keeper_agent *agent = report->agent;
	char digest[2 * AGENT_DIGEST_BYTES + 1] = "";

	if (!agent)
		return json_null();
	if (agent->log_records)
		sodium_bin2hex(digest, sizeof(digest), agent->log_digest, AGENT_DIGEST_BYTES);
	return json_pack("{s:s, s:o, s:o, s:o}",
			 "state", keeper_state_name(report_agent_state(report)),
			 "build_id", encode_text_or_null(agent->build_id),
			 "log_length", encode_count(agent->log_records),
			 "log_digest", encode_text_or_null(digest));
}

/* A check that ended so has seen all that it is about. */
static bool has_ended(const struct check_result *result)
{
	return result->state == CHECK_CLEAN || result->state == CHECK_FINDING;
}

static const struct check_result *result_of(const struct sweep *sweep, const char *id)
{
	for (size_t i = 0; i < sweep->results_n; i++)
		if (!strcmp(sweep->results[i].check->id, id))
			return &sweep->results[i];
	return NULL;
}

enum assurance report_assurance(const struct report *report)
{
	/* Together: every byte of the kernel's code and constants. */
	static const char *const whole[] = { "kernel-code", "kernel-rodata", "module-code" };
	const struct sweep *sweep = report->sweep;
	enum assurance least = ASSURANCE_REFERENCE;
	const struct check_result *result;

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		result = result_of(sweep, whole[i]);
		if (!result || !has_ended(result))
			return ASSURANCE_NONE;
	}
	result = result_of(sweep, whole[0]);
	if (!result->has_assurance)
		return ASSURANCE_NONE;
	for (size_t i = 0; i < sweep->results_n; i++) {
		result = &sweep->results[i];
		if (!result->has_assurance)
			continue;
		if (!has_ended(result))
			return ASSURANCE_NONE;
		if (result->assurance < least)
			least = result->assurance;
	}
	return least;
}

json_t *report_json(const struct report *report)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o}",
			 "schema", "hvsm.report/1",
			 "guest", identity_json(report->guest),
			 "kernel", report_kernel_json(report->kernel),
			 "reference", reference_json(report->reference),
			 "agent", agent_json(report),
			 "sweep", sweep_json(report->sweep),
			 "verdict", verdict_name(verdict_of(report->sweep)),
			 "assurance", assurance_name(report_assurance(report)),
			 "checks", checks_json(report->sweep),
			 "findings", findings_json(report->sweep),
			 "processes", processes_json(report->sweep));
}
