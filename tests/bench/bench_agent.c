/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-agent AGENT TARGET - what following a measure agent, and verifying code, costs
 *
 * AGENT is the host's copy of the one that runs in the guest. Prints one JSON document: how long
 * the first look at the agent takes (all of its log) and the median of further ones (what is
 * new), how long comparing the code of all processes takes at first and again, and how long
 * SHA-256 of as many bytes takes in the same run. All is time of the processor, as one thread does
 * all of it and the guest runs beside it.
 */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/run.h"
#include "keeper/keeper.h"
#include "keeper/page_digests.h"
#include "ram/guests.h"
#include "median.h"

#define ROUNDS	    31u
#define CODE_ROUNDS 9u

struct target {
	struct guest guest;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct keeper *keeper;
};

static int look(struct target *t, uint64_t *took, struct err *err)
{
	uint64_t start;
	int r;

	view_refuel(t->view, VIEW_FUEL_SWEEP);
	view_refresh(t->view);
	start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	r = keeper_look(t->keeper, t->kernel, t->view, err);
	*took = now_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	return r;
}

/* The first look reads all of the log, the others what is new of it. */
static int measure_looks(struct target *t, json_t *all, struct err *err)
{
	uint64_t first, took[ROUNDS];
	const struct keeper_agent *agent;
	int r = look(t, &first, err);

	for (unsigned i = 0; i < ROUNDS && r >= 0; i++)
		r = look(t, &took[i], err);
	if (r < 0)
		return r;
	agent = keeper_agent(t->keeper);
	json_object_set_new(all, "looks", json_pack("{s:s, s:I, s:I, s:I, s:I}",
		"state", keeper_state_name(agent->state),
		"records", (json_int_t)agent->log_records,
		"bytes", (json_int_t)agent->log_bytes,
		"first_ns", (json_int_t)first,
		"median_ns", (json_int_t)median(took, ROUNDS)));
	return 0;
}

/* SHA-256 of as many pages, each of them once: what nobody can be faster than. */
static uint64_t sha256_ns(uint64_t pages)
{
	uint8_t digest[AGENT_DIGEST_BYTES], *data = malloc(pages * GUEST_PAGE_SIZE + 1);
	uint64_t start;

	if (!data)
		exit(2);
	memset(data, 0x5a, pages * GUEST_PAGE_SIZE);
	start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (uint64_t i = 0; i < pages; i++)
		page_digest_make(data + i * GUEST_PAGE_SIZE, digest);
	start = now_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	free(data);
	return start;
}

static uint64_t covered(const struct check_result *result, const char *what)
{
	for (size_t i = 0; i < result->covered.n; i++)
		if (!strcmp(result->covered.v[i].what, what))
			return result->covered.v[i].count;
	return 0;
}

/* Finding the agent is not what is measured: it is at hand, as when its own checks ran first. */
static json_t *verify(struct target *t, const struct check *check, struct err *err)
{
	const struct check_sources sources = { .keeper = t->keeper };
	const struct page_digests *pages = keeper_pages(t->keeper);
	struct check_result result = { .sources = &sources };
	uint64_t start;
	json_t *row;

	view_refuel(t->view, VIEW_FUEL_SWEEP);
	view_refresh(t->view);
	if (keeper_look(t->keeper, t->kernel, t->view, err) < 0)
		exit(2);
	start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	check_execute(check, t->kernel, t->view, &result);
	start = now_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	row = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I}",
		"clean", result.state == CHECK_CLEAN, "ns", (json_int_t)start,
		"processes", (json_int_t)covered(&result, "processes"),
		"resident", (json_int_t)covered(&result, "pages of code in memory"),
		"read", (json_int_t)pages->read, "hashed", (json_int_t)pages->hashed,
		"sha256_ns", (json_int_t)sha256_ns(pages->read));
	check_result_clear(&result);
	return row;
}

/* At first, with nothing known of any page; and again. */
static void measure_code(struct target *t, json_t *all, struct err *err)
{
	const struct check *check = check_by_id("process-code");
	json_t *first = json_array(), *again = json_array();

	if (!check)
		exit(2);
	for (unsigned i = 0; i < CODE_ROUNDS; i++) {
		page_digests_free(keeper_pages(t->keeper));
		json_array_append_new(first, verify(t, check, err));
		json_array_append_new(again, verify(t, check, err));
	}
	json_object_set_new(all, "first", first);
	json_object_set_new(all, "again", again);
}

static int open_target(struct target *t, const char *agent, const char *name, struct err *err)
{
	struct builds builds = {0};
	int r = builds_add(&builds, agent, err);

	if (r >= 0)
		r = keeper_open(&builds, &t->keeper, err);
	builds_free(&builds);
	if (r >= 0)
		r = guests_resolve(name, &t->guest, &t->ram, err);
	if (r >= 0)
		r = view_open(t->ram, VIEW_FUEL_ATTACH, &t->view);
	return r < 0 ? r : kernel_open(t->view, &t->kernel, err);
}

int main(int argc, char **argv)
{
	struct target target = {0};
	json_t *all = json_object();
	struct err err = {0};
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: bench-agent AGENT TARGET\n");
		return 2;
	}
	r = open_target(&target, argv[1], argv[2], &err);
	if (r >= 0)
		r = measure_looks(&target, all, &err);
	if (r >= 0)
		measure_code(&target, all, &err);
	if (r < 0)
		fprintf(stderr, "bench-agent: %s\n", err.text);
	else
		json_dumpf(all, stdout, JSON_COMPACT);
	json_decref(all);
	keeper_close(&target.keeper);
	kernel_close(&target.kernel);
	view_close(&target.view);
	ram_close(&target.ram);
	guest_free(&target.guest);
	return r < 0 ? 2 : 0;
}
