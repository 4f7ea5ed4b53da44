/* SPDX-License-Identifier: Apache-2.0 */
#include "report/export.h"

#include <string.h>

#include "base/cleanup.h"
#include "report/encode.h"

#define OCSF_VERSION  "1.1.0"
#define OCSF_CATEGORY 2		/* Findings */
#define OCSF_CLASS    2004	/* Detection Finding */

enum { OCSF_CREATE = 1, OCSF_UPDATE = 2, OCSF_CLOSE = 3 };
enum { OCSF_NEW = 1, OCSF_IN_PROGRESS = 2, OCSF_RESOLVED = 4 };

#define SYSLOG_FACILITY 13	/* log audit */
#define SYSLOG_CLOSED   6	/* informational */

/* RFC 5612: the number for examples; hvsm has none of its own. */
#define SYSLOG_DATA_ID "hvsm@32473"

/* What each severity is to the others. */
static const struct level {
	const char *name;
	int ocsf;	/* severity_id */
	const char *ocsf_name;
	int syslog;
} levels[] = {
	{ "low", 2, "Low", 5 },
	{ "medium", 3, "Medium", 4 },
	{ "high", 4, "High", 3 },
	{ "critical", 5, "Critical", 2 },
};

static const struct level *level_of(const struct ledger_finding *finding)
{
	static const struct level unknown = { "", 0, "Unknown", 3 };

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcmp(finding->severity, levels[i].name))
			return &levels[i];
	return &unknown;
}

/* --- OCSF --- */

/* timestamp_t: milliseconds since 1970. */
static json_t *ocsf_time(uint64_t ns)
{
	return json_integer((json_int_t)(ns / 1000000));
}

/* ATT&CK names sub-techniques after their technique: T1574.013. */
static json_t *ocsf_attacks(const json_t *details)
{
	json_t *array = json_array();
	const json_t *technique;
	size_t i;

	json_array_foreach(json_object_get(details, "techniques"), i, technique)
		if (json_is_string(technique))
			encode_append(&array, json_pack("{s:s, s:{s:s}}", "version", "16",
							"technique", "uid",
							json_string_value(technique)));
	return array;
}

static json_t *ocsf_evidences(const json_t *details)
{
	json_t *array = json_array(), *fact;
	size_t i;

	json_array_foreach(json_object_get(details, "evidence"), i, fact)
		encode_append(&array, json_pack("{s:O}", "data", fact));
	return array;
}

static json_t *ocsf_info(const struct ledger_finding *finding, const json_t *details)
{
	uint64_t modified = finding->closed_ns ? finding->closed_ns : finding->last_seen_ns;

	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:[s], s:{s:s, s:s, s:i}, s:o}",
			 "uid", json_sprintf("%s/%s/%s", finding->guest, finding->boot,
					     finding->id),
			 "title", finding->title,
			 "created_time", ocsf_time(finding->first_seen_ns),
			 "first_seen_time", ocsf_time(finding->first_seen_ns),
			 "last_seen_time", ocsf_time(finding->last_seen_ns),
			 "modified_time", ocsf_time(modified),
			 "types", finding->check,
			 "analytic", "uid", finding->check, "type", "Rule", "type_id", 1,
			 "attacks", ocsf_attacks(details));
}

static json_t *ocsf_metadata(void)
{
	return json_pack("{s:s, s:{s:s, s:s, s:s}}", "version", OCSF_VERSION,
			 "product", "name", "hvsm", "vendor_name", "hvsm", "version", HVSM_VERSION);
}

json_t *export_ocsf(const struct ledger_finding *finding, const json_t *details,
		    uint64_t since_ns)
{
	const struct level *level = level_of(finding);
	bool fresh = finding->first_seen_ns >= since_ns;
	int activity = finding->closed_ns ? OCSF_CLOSE : fresh ? OCSF_CREATE : OCSF_UPDATE;
	int status = finding->closed_ns ? OCSF_RESOLVED : fresh ? OCSF_NEW : OCSF_IN_PROGRESS;
	uint64_t time = finding->closed_ns ? finding->closed_ns :
			fresh ? finding->first_seen_ns : finding->last_seen_ns;
	json_t *resource = json_pack("{s:s, s:s, s:s}", "uid", finding->guest, "name",
				     finding->name, "type", "virtual machine");

	return json_pack("{s:i, s:i, s:i, s:i, s:o, s:i, s:s, s:i, s:I, s:s, s:o, s:o, s:[o], s:o}",
			 "category_uid", OCSF_CATEGORY, "class_uid", OCSF_CLASS,
			 "activity_id", activity, "type_uid", OCSF_CLASS * 100 + activity,
			 "time", ocsf_time(time), "severity_id", level->ocsf,
			 "severity", level->ocsf_name, "status_id", status,
			 "count", (json_int_t)finding->sweeps, "message", finding->title,
			 "metadata", ocsf_metadata(), "finding_info", ocsf_info(finding, details),
			 "resources", resource, "evidences", ocsf_evidences(details));
}

/* --- syslog --- */

/* RFC 5424, 6.3.3: '"', '\' and ']' are escaped by a '\'. */
static void put_parameter(FILE *to, const char *name, const char *value)
{
	fprintf(to, " %s=\"", name);
	for (; *value; value++) {
		if (strchr("\"\\]", *value))
			putc('\\', to);
		putc(*value, to);
	}
	putc('"', to);
}

static void put_time(FILE *to, uint64_t ns)
{
	json_t *time = encode_time(ns);

	fputs(json_is_string(time) ? json_string_value(time) : "-", to);
	json_decref(time);
}

/* 6: HOSTNAME is of printable ASCII without blanks, 255 at most. */
static bool is_host(const char *host)
{
	size_t n = strlen(host);

	for (size_t i = 0; i < n; i++)
		if (host[i] < 33 || host[i] > 126)
			return false;
	return n && n <= 255;
}

void export_syslog(const struct ledger_finding *finding, const json_t *details, const char *host,
		   FILE *to)
{
	const json_t *object = json_object_get(details, "object");
	const char *name = json_string_value(json_object_get(object, "name"));
	bool closed = finding->closed_ns;

	fprintf(to, "<%d>1 ", SYSLOG_FACILITY * 8 +
		(closed ? SYSLOG_CLOSED : level_of(finding)->syslog));
	put_time(to, closed ? finding->closed_ns : finding->first_seen_ns);
	fprintf(to, " %s hvsm - %s [" SYSLOG_DATA_ID, is_host(host) ? host : "-",
		closed ? "finding-closed" : "finding-open");
	put_parameter(to, "guest", finding->guest);
	put_parameter(to, "name", finding->name);
	put_parameter(to, "boot", finding->boot);
	put_parameter(to, "id", finding->id);
	put_parameter(to, "check", finding->check);
	put_parameter(to, "severity", finding->severity);
	if (name)
		put_parameter(to, "object", name);
	fprintf(to, " sweeps=\"%llu\"] %s\n", (unsigned long long)finding->sweeps, finding->title);
}
