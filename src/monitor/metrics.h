/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_METRICS_H
#define HVSM_MONITOR_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Prometheus's text format, 0.0.4: families of samples. Errors of writing are those of the stream:
 * ask ferror() at the end.
 */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metrics_type {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
};

/* A family, being written. */
struct metrics {
	FILE *to;
	const char *name;
};

/* All samples of a family follow it, until the next one. */
void metrics_family(struct metrics *metrics, const char *name, enum metrics_type type,
		    const char *help);

/* Values may hold anything that is valid UTF-8: they are quoted here. */
struct metrics_label {
	const char *name, *value;	/* name NULL: none, not written */
};

void metrics_count(const struct metrics *metrics, const struct metrics_label *labels, size_t n,
		   uint64_t value);
void metrics_real(const struct metrics *metrics, const struct metrics_label *labels, size_t n,
		  double value);

/* How long something took. Start with {0}. */
#define METRICS_BUCKETS 12

struct metrics_durations {
	uint64_t n[METRICS_BUCKETS + 1];	/* up to each bound, and beyond */
	uint64_t sum_us;
};

void metrics_took(struct metrics_durations *durations, uint64_t us);

/* The samples of a family of type METRICS_HISTOGRAM. */
void metrics_durations(const struct metrics *metrics, const struct metrics_durations *durations);

#endif
