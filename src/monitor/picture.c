/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/picture.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/hash.h"

#define KEY_MAX 256

static void guest_drop(struct picture_guest *guest)
{
	if (!guest)
		return;
	free(guest->key);
	free(guest->name);
	free(guest->uuid);
	free(guest->target);
	free(guest->hypervisor);
	free(guest->reason);
	free(guest->checks);
	policy_memory_free(&guest->memory);
	free(guest);
}

static void guest_dropp(struct picture_guest **guest)
{
	guest_drop(*guest);
}

void picture_free(struct picture *picture)
{
	for (size_t i = 0; i < picture->guests.n; i++)
		guest_drop(picture->guests.v[i]);
	vec_free(&picture->guests);
}

struct picture_guest *picture_guest(const struct picture *picture, uint64_t number)
{
	for (size_t i = 0; i < picture->guests.n; i++)
		if (picture->guests.v[i]->number == number)
			return picture->guests.v[i];
	return NULL;
}

void picture_remove(struct picture *picture, uint64_t number)
{
	for (size_t i = 0; i < picture->guests.n; i++) {
		if (picture->guests.v[i]->number != number)
			continue;
		guest_drop(picture->guests.v[i]);
		memmove(&picture->guests.v[i], &picture->guests.v[i + 1],
			(picture->guests.n - i - 1) * sizeof(*picture->guests.v));
		picture->guests.n--;
		return;
	}
}

static int copy(const char *text, char **ret)
{
	char *made = text ? strdup(text) : NULL;

	if (text && !made)
		return -ENOMEM;
	free(*ret);
	*ret = made;
	return 0;
}

/* What the ledger takes for a key. */
static void write_key(const char *text, char key[KEY_MAX])
{
	escape(text ? text : "", text ? strlen(text) : 0, key, KEY_MAX);
}

bool picture_has_key(const struct picture_guest *guest, const char *text)
{
	char key[KEY_MAX];

	write_key(text, key);
	return !strcmp(guest->key, key);
}

static int fill(struct picture_guest *guest, const struct link_guest *told)
{
	char key[KEY_MAX];

	write_key(told->key, key);
	if (copy(key, &guest->key) < 0 || copy(told->name, &guest->name) < 0 ||
	    copy(told->uuid, &guest->uuid) < 0 || copy(told->target, &guest->target) < 0 ||
	    copy(told->hypervisor, &guest->hypervisor) < 0 ||
	    copy(told->reason, &guest->reason) < 0)
		return -ENOMEM;
	guest->number = told->number;
	guest->state = told->state;
	guest->share_ppm = told->share_ppm;
	guest->stretch_ppm = told->stretch_ppm;
	guest->cpu_ns = told->cpu_ns;
	guest->memory_bytes = told->memory_bytes;
	guest->restarts = told->restarts;
	guest->reboots = told->reboots;
	guest->alarms = told->alarms;
	return 0;
}

int picture_set(struct picture *picture, const struct link_guest *told)
{
	cleanup(guest_dropp) struct picture_guest *made = NULL;
	struct picture_guest *guest = picture_guest(picture, told->number), **add;

	if (guest)
		return fill(guest, told);
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->checks = calloc(picture->ids_n + 1, sizeof(*made->checks));
	if (!made->checks || fill(made, told) < 0)
		return -ENOMEM;
	add = vec_add(&picture->guests);
	if (!add)
		return -ENOMEM;
	*add = take_ptr(&made);
	return 0;
}

const char *picture_state_name(enum picture_state state)
{
	static const char *const names[] = {
		[PICTURE_UNKNOWN] = "not_run",
		[PICTURE_CLEAN] = "clean",
		[PICTURE_NOT_COVERED] = "not_covered",
		[PICTURE_INCONCLUSIVE] = "inconclusive",
		[PICTURE_FINDING] = "finding",
	};

	return names[state];
}

static bool number_of(const struct picture *picture, const char *id, size_t *ret)
{
	for (size_t i = 0; id && i < picture->ids_n; i++) {
		if (strcmp(picture->ids[i], id) != 0)
			continue;
		*ret = i;
		return true;
	}
	return false;
}

static bool state_of(const char *result, enum picture_state *ret)
{
	static const char *const names[] = {
		[PICTURE_CLEAN] = "clean",
		[PICTURE_NOT_COVERED] = "not-covered",
		[PICTURE_INCONCLUSIVE] = "inconclusive",
		[PICTURE_FINDING] = "finding",
	};

	for (size_t i = PICTURE_CLEAN; result && i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], result) != 0)
			continue;
		*ret = (enum picture_state)i;
		return true;
	}
	return false;
}

static int read_check(const struct picture *picture, const json_t *check,
		      struct picture_report *report, bool *ran, struct err *err)
{
	const char *id = json_string_value(json_object_get(check, "id"));
	const char *result = json_string_value(json_object_get(check, "result"));
	json_int_t us = json_integer_value(json_object_get(check, "cpu_us"));
	enum picture_state state;
	size_t n;

	if (!number_of(picture, id, &n) || !state_of(result, &state) || ran[n] || us < 0)
		return err_set(err, -EBADMSG, "a report of a check that there is not, or twice");
	ran[n] = true;
	report->checks[n] = (struct picture_check){ .state = state, .print = state };
	report->costs[report->costs_n++] = (struct schedule_cost){
		.check = (uint32_t)n, .duration_ns = (uint64_t)us * 1000,
	};
	return 0;
}

/* The findings of a check, in whatever order: their sum. */
static int read_finding(const struct picture *picture, const json_t *finding,
			struct picture_report *report, const bool *ran, struct err *err)
{
	const char *check = json_string_value(json_object_get(finding, "check"));
	const char *id = json_string_value(json_object_get(finding, "id"));
	const char *severity = json_string_value(json_object_get(finding, "severity"));
	const json_t *policy = json_object_get(finding, "policy");
	const char *as = json_string_value(json_object_get(policy, "severity"));
	size_t n;

	if (!id || !severity || !number_of(picture, check, &n) || !ran[n])
		return err_set(err, -EBADMSG, "a finding of no check that ran");
	report->checks[n].print += hash_bytes(id, strlen(id), hash_secret()) +
				   hash_bytes(severity, strlen(severity), hash_secret() + 2);
	/* A sum would not tell whose mark it is. */
	report->checks[n].print += hash_number(
		hash_bytes(id, strlen(id), hash_secret() + 4) +
			(as ? hash_bytes(as, strlen(as), hash_secret() + 6) : 0),
		hash_secret()) * (json_is_object(json_object_get(policy, "allowed")) ? 3 : 1);
	return 0;
}

static int read_parts(const struct picture *picture, const json_t *root,
		      struct picture_report *report, bool *ran, struct err *err)
{
	const json_t *checks = json_object_get(root, "checks");
	const json_t *findings = json_object_get(root, "findings");
	const json_t *one;
	size_t i;
	int r = 0;

	if (!json_is_array(checks) || !json_is_array(findings) ||
	    json_array_size(checks) > picture->ids_n)
		return err_set(err, -EBADMSG, "a report without checks and findings");
	json_array_foreach(checks, i, one) {
		r = read_check(picture, one, report, ran, err);
		if (r < 0)
			return r;
	}
	json_array_foreach(findings, i, one) {
		r = read_finding(picture, one, report, ran, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int picture_read(const struct picture *picture, const struct picture_guest *guest,
		 const json_t *root, struct picture_report *ret, struct err *err)
{
	cleanup(picture_report_free) struct picture_report report = { 0 };
	cleanup(freep) bool *ran = calloc(picture->ids_n + 1, sizeof(*ran));
	int r;

	report.checks = calloc(picture->ids_n + 1, sizeof(*report.checks));
	report.costs = calloc(picture->ids_n + 1, sizeof(*report.costs));
	if (!ran || !report.checks || !report.costs)
		return err_set(err, -ENOMEM, "no memory for a report");
	memcpy(report.checks, guest->checks, picture->ids_n * sizeof(*report.checks));
	r = read_parts(picture, root, &report, ran, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < picture->ids_n; i++)
		report.changed |= report.checks[i].state != guest->checks[i].state ||
				  report.checks[i].print != guest->checks[i].print;
	*ret = report;
	report = (struct picture_report){ 0 };
	return 0;
}

void picture_take(struct picture_guest *guest, struct picture_report *report)
{
	free(guest->checks);
	guest->checks = take_ptr(&report->checks);
}

void picture_forget(const struct picture *picture, struct picture_guest *guest)
{
	memset(guest->checks, 0, picture->ids_n * sizeof(*guest->checks));
	guest->stored_ns = 0;
}

void picture_report_free(struct picture_report *report)
{
	free(report->checks);
	free(report->costs);
	*report = (struct picture_report){ 0 };
}

bool picture_swept(const struct picture *picture, const struct picture_guest *guest)
{
	for (size_t i = 0; i < picture->ids_n; i++)
		if (guest->checks[i].state > PICTURE_NOT_COVERED ||
		    guest->checks[i].state == PICTURE_CLEAN)
			return true;
	return false;
}
