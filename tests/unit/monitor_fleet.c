/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/fleet.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

/* What was told, one letter for each change and the number of the guest: "C1 W1". */
struct told {
	char text[256];
};

static void note(enum fleet_change change, struct fleet_guest *guest, void *ctx)
{
	struct told *told = ctx;
	size_t n = strlen(told->text);

	snprintf(told->text + n, sizeof(told->text) - n, "%s%c%d", n ? " " : "",
		 "CRAW"[change], (int)guest->number);
}

static struct guest process(pid_t pid, const char *name, const char *uuid)
{
	return (struct guest){ .pid = pid, .name = (char *)name, .uuid = (char *)uuid,
			       .target = (char *)"qemu:1", .hypervisor = (char *)"QEMU" };
}

/* Update with up to two guests; @b NULL: only one, both NULL: none. */
static void update(struct fleet *fleet, const struct guest *a, const struct guest *b,
		   uint64_t started, const char *expected)
{
	struct fleet_seen seen[2] = { { a, started }, { b, started } };
	struct told told = { "" };

	assert_int_equal(fleet_update(fleet, seen, b ? 2 : a ? 1 : 0, note, &told), 0);
	assert_string_equal(told.text, expected);
}

static void guests_come_and_go(void **state)
{
	struct guest a = process(100, "web", "u-1"), b = process(200, "db", NULL);
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, NULL, NULL, 0, "");
	update(&fleet, &a, NULL, 5, "C1");
	update(&fleet, &a, NULL, 5, "");
	update(&fleet, &b, &a, 5, "C2");
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "u-1");
	assert_string_equal(fleet_by_number(&fleet, 2)->key, "db");
	update(&fleet, &b, NULL, 5, "W1");
	assert_null(fleet_by_number(&fleet, 1));
	update(&fleet, NULL, NULL, 5, "W2");
	fleet_free(&fleet);
}

static void a_pid_that_is_used_again_is_another_guest(void **state)
{
	struct guest a = process(100, "web", "u-1");
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, &a, NULL, 5, "C1");
	update(&fleet, &a, NULL, 6, "W1 C2");
	assert_string_equal(fleet_by_number(&fleet, 2)->key, "u-1");
	fleet_free(&fleet);
}

static void two_of_one_name_or_uuid_have_keys_of_their_own(void **state)
{
	struct guest a = process(100, "web", NULL), b = process(200, "web", NULL);
	struct guest source = process(300, "m", "u-1"), target = process(400, "m", "u-1");
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, &a, &b, 5, "C1 C2");
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "web");
	assert_string_equal(fleet_by_number(&fleet, 2)->key, "web@200.5");
	/* Migrated within the host: two processes for a while. */
	update(&fleet, &source, &target, 7, "W2 W1 C3 C4");
	assert_string_equal(fleet_by_number(&fleet, 3)->key, "u-1");
	assert_string_equal(fleet_by_number(&fleet, 4)->key, "u-1@400.7");
	fleet_free(&fleet);
}

static void who_is_renamed_stays_the_same_guest(void **state)
{
	struct guest a = process(100, "web", "u-1"), renamed = process(100, "www", "u-1");
	struct guest other = process(100, "www", "u-2");
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, &a, NULL, 5, "C1");
	update(&fleet, &renamed, NULL, 5, "R1");
	assert_string_equal(fleet_by_number(&fleet, 1)->name, "www");
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "u-1");
	update(&fleet, &renamed, NULL, 5, "");
	update(&fleet, &other, NULL, 5, "R1");
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "u-2");
	fleet_free(&fleet);
}

static void what_cannot_be_attached_may_be_later(void **state)
{
	struct guest a = process(100, "web", "u-1");
	struct fleet fleet = { 0 };

	(void)state;
	err_set(&a.why_not, -EACCES, "not yet");
	update(&fleet, &a, NULL, 5, "C1");
	assert_int_equal(fleet_by_number(&fleet, 1)->why_not.code, -EACCES);
	a.why_not.code = 0;
	update(&fleet, &a, NULL, 5, "A1");
	assert_int_equal(fleet_by_number(&fleet, 1)->why_not.code, 0);
	fleet_free(&fleet);
}

static void an_end_is_told_at_once_and_once(void **state)
{
	struct guest a = process(100, "web", "u-1");
	struct fleet fleet = { 0 };
	struct told told = { "" };

	(void)state;
	update(&fleet, &a, NULL, 5, "C1");
	fleet_ended(&fleet, 1, note, &told);
	fleet_ended(&fleet, 1, note, &told);
	assert_string_equal(told.text, "W1");
	update(&fleet, NULL, NULL, 5, "");
	fleet_free(&fleet);
}

static void the_host_can_be_looked_at(void **state)
{
	struct fleet fleet = { 0 };
	struct told told = { "" };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(fleet_scan(&fleet, note, &told, &err), 0);
	for (size_t i = 0; i < fleet.guests.n; i++)
		assert_true(fleet.guests.v[i]->started > 0);
	fleet_free(&fleet);
}

static struct guest domain(const char *target, const char *uuid)
{
	return (struct guest){ .xen = true, .name = (char *)"web", .uuid = (char *)uuid,
			       .target = (char *)target, .hypervisor = (char *)"Xen (pvh)" };
}

static void a_domain_is_its_number_and_its_uuid(void **state)
{
	struct guest a = domain("xen:7", "u-1"), rebooted = domain("xen:8", "u-1");
	struct guest another = domain("xen:8", "u-2"), nobody = domain("xen:9", NULL);
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, &a, NULL, 0, "C1");
	update(&fleet, &a, NULL, 0, "");
	assert_true(fleet_by_number(&fleet, 1)->xen);
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "u-1");
	/* It is a new one, which the ledger knows; so is one that has its number later. */
	update(&fleet, &rebooted, NULL, 0, "W1 C2");
	assert_string_equal(fleet_by_number(&fleet, 2)->key, "u-1");
	update(&fleet, &another, NULL, 0, "W2 C3");
	update(&fleet, &another, &nobody, 0, "C4");
	assert_string_equal(fleet_by_number(&fleet, 4)->key, "web");
	fleet_free(&fleet);
}

static void two_domains_of_one_uuid_have_keys_of_their_own(void **state)
{
	struct guest source = domain("xen:7", "u-1"), target = domain("xen:8", "u-1");
	struct fleet fleet = { 0 };

	(void)state;
	update(&fleet, &source, &target, 0, "C1 C2");
	assert_string_equal(fleet_by_number(&fleet, 1)->key, "u-1");
	assert_string_equal(fleet_by_number(&fleet, 2)->key, "u-1@xen:8");
	fleet_free(&fleet);
}

static void found(struct fleet *fleet, struct guest *list, size_t n, int xen,
		  const char *expected)
{
	struct guests guests = { .xen.code = xen };
	struct told told = { "" };

	guests.list.v = (void *)list;
	guests.list.n = n;
	assert_int_equal(fleet_update_found(fleet, &guests, note, &told), 0);
	assert_string_equal(told.text, expected);
	assert_int_equal(fleet->xen.code, xen);
}

static void a_silent_xenstore_is_no_end_of_its_domains(void **state)
{
	struct guest own = process(getpid(), "q", "u-9");
	struct guest all[] = { domain("xen:7", "u-1"), domain("xen:8", "u-2") };
	struct fleet fleet = { 0 };

	(void)state;
	err_set(&all[1].why_not, -ENOTSUP, "a PV guest");
	found(&fleet, all, 2, 0, "C1 C2");
	/* One was found before it fell silent; a guest of QEMU comes all the same. */
	found(&fleet, all, 1, -EIO, "");
	found(&fleet, &own, 1, -EIO, "C3");
	assert_int_equal(fleet_by_number(&fleet, 2)->why_not.code, -ENOTSUP);
	found(&fleet, all, 1, 0, "W3 W2");
	fleet_free(&fleet);
}

static void the_domain_we_are_in_is_no_guest(void **state)
{
	struct guest all[] = { domain("xen:0", NULL), domain("xen:7", "u-1") };
	struct fleet fleet = { 0 };

	(void)state;
	all[0].self = true;
	found(&fleet, all, 2, 0, "C1");
	assert_string_equal(fleet_by_number(&fleet, 1)->target, "xen:7");
	fleet_free(&fleet);
}

/* How it is when the first descriptor that is asked for is one too many, or a later one is. */
static void without_descriptors_nobody_goes(void **state)
{
	struct guest self = process(getpid(), "web", "u-1");
	const struct guests found = { .list = { .v = &self, .n = 1 } };
	struct fleet fleet = { 0 };
	struct told told = { "" };
	struct rlimit before, limit;
	int next = dup(0);

	(void)state;
	close(next);
	assert_int_equal(fleet_update_found(&fleet, &found, note, &told), 0);
	assert_string_equal(told.text, "C1");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t more = 0; more < 4; more++) {
		struct err err = { 0 };
		int r;

		limit = (struct rlimit){ (rlim_t)next + more, before.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r = fleet_update_found(&fleet, &found, note, &told);
		assert_int_equal(r, more ? 0 : -EMFILE);
		/* The host's processes want up to three at once, and there is at least ours. */
		if (more < 3)
			assert_int_equal(fleet_scan(&fleet, note, &told, &err), -EMFILE);
		assert_string_equal(told.text, "C1");
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fleet_free(&fleet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_come_and_go),
		cmocka_unit_test(a_pid_that_is_used_again_is_another_guest),
		cmocka_unit_test(two_of_one_name_or_uuid_have_keys_of_their_own),
		cmocka_unit_test(who_is_renamed_stays_the_same_guest),
		cmocka_unit_test(what_cannot_be_attached_may_be_later),
		cmocka_unit_test(an_end_is_told_at_once_and_once),
		cmocka_unit_test(the_host_can_be_looked_at),
		cmocka_unit_test(a_domain_is_its_number_and_its_uuid),
		cmocka_unit_test(two_domains_of_one_uuid_have_keys_of_their_own),
		cmocka_unit_test(a_silent_xenstore_is_no_end_of_its_domains),
		cmocka_unit_test(the_domain_we_are_in_is_no_guest),
		cmocka_unit_test(without_descriptors_nobody_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
