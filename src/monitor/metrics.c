/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/metrics.h"

#include <inttypes.h>

/* A sweep of the cheap checks takes some ms, one of all checks up to seconds. */
static const struct {
	uint64_t us;
	const char *seconds;
} bounds[METRICS_BUCKETS] = {
	{ 1000, "0.001" }, { 2500, "0.0025" }, { 5000, "0.005" }, { 10000, "0.01" },
	{ 25000, "0.025" }, { 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1" }, { 5000000, "5" }, { 30000000, "30" },
};

void metrics_family(struct metrics *metrics, const char *name, enum metrics_type type,
		    const char *help)
{
	static const char *const types[] = {
		[METRICS_COUNTER] = "counter",
		[METRICS_GAUGE] = "gauge",
		[METRICS_HISTOGRAM] = "histogram",
	};

	metrics->name = name;
	fprintf(metrics->to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type]);
}

static void write_value(FILE *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", to);
			continue;
		}
		if (*value == '\\' || *value == '"')
			fputc('\\', to);
		fputc(*value, to);
	}
}

static void write_labels(const struct metrics *metrics, const struct metrics_label *labels,
			 size_t n)
{
	const char *before = "{";

	fputs(metrics->name, metrics->to);
	for (size_t i = 0; i < n; i++) {
		if (!labels[i].name)
			continue;
		fprintf(metrics->to, "%s%s=\"", before, labels[i].name);
		write_value(metrics->to, labels[i].value);
		fputc('"', metrics->to);
		before = ",";
	}
	if (*before == ',')
		fputc('}', metrics->to);
}

void metrics_count(const struct metrics *metrics, const struct metrics_label *labels, size_t n,
		   uint64_t value)
{
	write_labels(metrics, labels, n);
	fprintf(metrics->to, " %" PRIu64 "\n", value);
}

void metrics_real(const struct metrics *metrics, const struct metrics_label *labels, size_t n,
		  double value)
{
	write_labels(metrics, labels, n);
	fprintf(metrics->to, " %.9f\n", value);
}

void metrics_took(struct metrics_durations *durations, uint64_t us)
{
	size_t i = 0;

	while (i < METRICS_BUCKETS && us > bounds[i].us)
		i++;
	durations->n[i]++;
	durations->sum_us += us;
}

void metrics_durations(const struct metrics *metrics, const struct metrics_durations *durations)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		sum += durations->n[i];
		fprintf(metrics->to, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", metrics->name,
			bounds[i].seconds, sum);
	}
	sum += durations->n[METRICS_BUCKETS];
	fprintf(metrics->to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", metrics->name, sum);
	fprintf(metrics->to, "%s_sum %.6f\n", metrics->name, (double)durations->sum_us / 1e6);
	fprintf(metrics->to, "%s_count %" PRIu64 "\n", metrics->name, sum);
}
