/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/broker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "make/torture.h"
#include "monitor/need.h"
#include "monitor/protocol.h"
#include "monitor/sealed.h"

/* A broker in a thread, and somebody who asks it as a scanner does. */

#define RELEASE "6.1.0-99-amd64"
#define LARGE (100u << 10)

static char dir[64], package[96], store[96];
static uint8_t known_digest[TRUST_DIGEST_BYTES];

struct both {
	struct broker broker;
	struct channel starter, scanner;
	pthread_t thread;
	int end;		/* of the broker */
};

static void *serve(void *ctx)
{
	struct both *both = ctx;
	int r;

	do {
		struct message message;

		r = channel_receive(&both->starter, &message, -1, NULL);
		if (r < 0)
			break;
		r = broker_answer(&both->broker, &both->starter, &message, NULL);
		message_deinit(&message);
	} while (r >= 0);
	both->end = r;
	/* As its process would: whoever waits for an answer learns that none will come. */
	channel_close(&both->starter);
	return NULL;
}

static void begin(struct both *both)
{
	int fds[2];

	assert_int_equal(channel_pair(fds, NULL), 0);
	channel_init(&both->starter, fds[0], ROLE_STARTER, ROLE_SCANNER, protocol_rules,
		     protocol_rules_n);
	channel_init(&both->scanner, fds[1], ROLE_SCANNER, ROLE_STARTER, protocol_rules,
		     protocol_rules_n);
	assert_int_equal(pthread_create(&both->thread, NULL, serve, both), 0);
}

/* How the broker ended. */
static int finish(struct both *both)
{
	channel_close(&both->scanner);
	assert_int_equal(pthread_join(both->thread, NULL), 0);
	return both->end;
}

static void open_all(struct both *both)
{
	const char *const paths[] = { package };
	const struct reference_options options = { .paths = paths, .paths_n = 1 };
	struct kernel kernel = { .release = RELEASE, .boot = { .canary = 7 } };

	make_build_id(0x11, kernel.build_id);
	memset(both, 0, sizeof(*both));
	assert_int_equal(reference_open(&options, &kernel, &both->broker.reference, NULL), 0);
	assert_int_equal(baseline_open(store, "guest", &kernel, &both->broker.baseline, NULL), 0);
	assert_int_equal(trust_open(store, false, &both->broker.trust, NULL), 0);
}

static void close_all(struct both *both)
{
	reference_close(&both->broker.reference);
	baseline_close(&both->broker.baseline);
	trust_close(&both->broker.trust);
}

static int take_digest(const struct trust_file *file, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	memcpy(known_digest, file->digest, sizeof(known_digest));
	return 0;
}

static int take_source(const struct trust_entry *entry, void *ctx, struct err *err)
{
	return trust_each_file(ctx, entry->source.sha256, take_digest, NULL, err);
}

static int set_up(void **state)
{
	struct blob deb = make_kernel_deb(0x11, RELEASE, "6.1.9-1");
	struct trust_addition addition = {0};
	struct trust *trust = NULL;

	(void)state;
	strcpy(dir, "/tmp/hvsm-broker-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	make_file(dir, "a.deb", &deb);
	blob_free(&deb);
	snprintf(package, sizeof(package), "%s/a.deb", dir);
	snprintf(store, sizeof(store), "%s/store", dir);
	assert_int_equal(trust_open(store, true, &trust, NULL), 0);
	assert_int_equal(trust_add(trust, package, &addition, NULL), 0);
	vec_free(&addition.list);
	assert_int_equal(trust_each(trust, take_source, trust, NULL), 0);
	trust_close(&trust);
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* --- what is asked and answered --- */

static void modules_come_from_the_starter(void **state)
{
	struct both both;
	struct reference *reference;
	struct blob vmlinux = {0}, module = {0}, here = {0};
	const struct reference_source source = { .source = "package" };
	struct reference_elsewhere elsewhere;
	struct err err = {0};

	(void)state;
	open_all(&both);
	begin(&both);
	elsewhere = need_reference(&both.scanner);
	assert_int_equal(reference_ask(&source, &vmlinux, true, &elsewhere, &reference, NULL), 0);
	assert_true(reference_has_modules(reference));
	assert_string_equal(reference_source(reference)->source, "package");
	assert_int_equal(reference_module(reference, "snd-hda-intel", NULL, &module, NULL), 0);
	assert_int_equal(reference_module(both.broker.reference, "snd_hda_intel", NULL, &here,
					  NULL), 0);
	assert_int_equal(module.size, here.size);
	assert_memory_equal(module.data, here.data, here.size);
	blob_free(&module);
	blob_free(&here);
	/* Errors come with their words. */
	assert_int_equal(reference_module(reference, "xfs", NULL, &module, &err), -ENOENT);
	assert_string_equal(err.text, "the reference has no module 'xfs'");
	assert_int_equal(reference_module(reference, "ext4", "00ff", &module, &err), -ENOENT);
	assert_string_equal(err.text, "the reference has another build of the module 'ext4'");
	reference_close(&reference);
	assert_int_equal(finish(&both), -EPIPE);
	close_all(&both);
}

/* Small and large, what is compared and what is noted; and where the starter commits, it stays. */
static void baseline_lies_with_the_starter(void **state)
{
	cleanup(freep) uint8_t *large = calloc(1, LARGE);
	struct both both;
	struct baseline_elsewhere elsewhere;
	struct baseline *baseline;
	struct blob blob = {0};

	(void)state;
	open_all(&both);
	begin(&both);
	elsewhere = need_baseline(&both.scanner);
	assert_int_equal(baseline_ask(&elsewhere, &baseline, NULL), 0);
	assert_int_equal(baseline_compare(baseline, "a", "x", 1, NULL, NULL), BASELINE_NEW);
	assert_int_equal(baseline_compare(baseline, "b", large, LARGE, NULL, NULL), BASELINE_NEW);
	assert_int_equal(baseline_compare(baseline, "c", "y", 1, NULL, NULL), BASELINE_NEW);
	baseline_drop(baseline, "c");
	assert_int_equal(baseline_noted(baseline, BASELINE_AGENT_ITEM, &blob, NULL), -ENOENT);
	assert_int_equal(baseline_note(baseline, BASELINE_AGENT_ITEM, large, LARGE, NULL), 0);
	assert_int_equal(baseline_noted(baseline, BASELINE_AGENT_ITEM, &blob, NULL), 0);
	assert_int_equal(blob.size, LARGE);
	blob_free(&blob);
	assert_int_equal(baseline_commit(both.broker.baseline, NULL), 0);
	assert_int_equal(baseline_compare(baseline, "a", "x", 1, NULL, NULL), BASELINE_SAME);
	assert_int_equal(baseline_compare(baseline, "a", "z", 1, NULL, NULL), BASELINE_DIFFERS);
	assert_int_equal(baseline_compare(baseline, "c", "z", 1, NULL, NULL), BASELINE_NEW);
	large[LARGE - 1] = 1;
	assert_int_equal(baseline_compare(baseline, "b", large, LARGE, &blob, NULL),
			 BASELINE_DIFFERS);
	assert_int_equal(blob.size, LARGE);
	assert_int_equal(blob.data[LARGE - 1], 0);
	blob_free(&blob);
	assert_int_equal(baseline_commit(baseline, NULL), 0);	/* not ours to do */
	baseline_close(&baseline);
	assert_int_equal(finish(&both), -EPIPE);
	close_all(&both);
}

static void known_programs_are_asked_for_once(void **state)
{
	struct both both;
	struct trust_elsewhere elsewhere;
	const struct trust_known *known = NULL;
	const uint8_t unknown[TRUST_DIGEST_BYTES] = { 1 };
	struct trust *trust;

	(void)state;
	open_all(&both);
	begin(&both);
	elsewhere = need_trust(&both.scanner);
	assert_int_equal(trust_ask(&elsewhere, &trust, NULL), 0);
	assert_int_equal(trust_is_empty(trust, NULL), 0);
	assert_int_equal(trust_find(trust, unknown, NULL, NULL), 0);
	assert_int_equal(trust_find(trust, known_digest, &known, NULL), 1);
	assert_int_equal(known->kind, TRUST_MODULE);
	assert_non_null(strstr(known->by, "6.1.9-1"));
	assert_int_equal(trust_find(trust, known_digest, NULL, NULL), 1);
	assert_int_equal(finish(&both), -EPIPE);
	assert_int_equal(both.broker.asked, 3);
	/* Nobody is there to ask, and what was asked is known all the same. */
	assert_int_equal(trust_find(trust, known_digest, NULL, NULL), 1);
	trust_close(&trust);
	close_all(&both);
}

/* --- a starter that has nothing, or is gone --- */

static void nothing_there_is_an_answer(void **state)
{
	struct both both = {0};
	struct blob blob = {0};
	struct reference_elsewhere reference;
	struct baseline_elsewhere baseline;
	struct trust_elsewhere trust;

	(void)state;
	begin(&both);
	reference = need_reference(&both.scanner);
	baseline = need_baseline(&both.scanner);
	trust = need_trust(&both.scanner);
	assert_int_equal(reference.module(reference.ctx, "ext4", "", &blob, NULL), -ENOENT);
	assert_int_equal(baseline.compare(baseline.ctx, "a", "x", 1, NULL, NULL), -ENOENT);
	assert_int_equal(trust.is_empty(trust.ctx, NULL), -ENOENT);
	channel_close(&both.starter);
	shutdown(both.scanner.fd, SHUT_RDWR);
	assert_int_equal(trust.is_empty(trust.ctx, NULL), -EPIPE);
	finish(&both);
}

/* --- what is no question --- */

static void ask_raw(uint32_t type, const void *body, size_t size, int fd)
{
	struct both both;

	open_all(&both);
	begin(&both);
	assert_int_equal(channel_send(&both.scanner, type, body, size, &fd, fd >= 0, -1, NULL), 0);
	assert_int_equal(pthread_join(both.thread, NULL), 0);
	assert_int_equal(both.end, -EPROTO);
	channel_close(&both.scanner);
	close_all(&both);
}

static void what_is_no_question_ends_the_scanner(void **state)
{
	cleanup(fd_close) int open_fd = memfd_create("x", 0);
	cleanup(fd_close) int sealed = sealed_make("x", "x", 1, NULL);

	(void)state;
	ask_raw(MSG_NEED_MODULE, "\4\0\0\0ext4\0\377\377\377\377", 13, -1);	/* no build ID */
	ask_raw(MSG_NEED_MODULE, "\4\0\0\0ext", 8, -1);
	ask_raw(MSG_NEED_MODULE, "\1\0\0\0a\0\1\0\0\0b\0c", 13, -1);		/* more */
	ask_raw(MSG_NEED_BASELINE, "\7\0\0\0\1\0\0\0a\0\1", 11, -1);		/* no such op */
	ask_raw(MSG_NEED_BASELINE, "\0\0\0\0\377\377\377\377\1x", 10, -1);	/* no item */
	ask_raw(MSG_NEED_BASELINE, "\0\0\0\0\1\0\0\0a\0\0", 11, -1);		/* no bytes */
	ask_raw(MSG_NEED_BASELINE, "\0\0\0\0\1\0\0\0a\0\1", 11, sealed);	/* twice */
	ask_raw(MSG_NEED_BASELINE, "\0\0\0\0\1\0\0\0a\0\0", 11, open_fd);	/* not sealed */
	ask_raw(MSG_NEED_TRUST, "0123456789", 10, -1);
}

static void too_many_questions_end_the_scanner(void **state)
{
	struct both both = {0};
	struct trust_elsewhere trust;

	(void)state;
	both.broker.asked = BROKER_QUESTIONS_MAX;
	begin(&both);
	trust = need_trust(&both.scanner);
	assert_true(trust.is_empty(trust.ctx, NULL) < 0);
	assert_int_equal(finish(&both), -EPROTO);
}

/* It asks on and on: the broker must be done with it before its thread is waited for. */
static void answers_that_nobody_reads_end_the_scanner(void **state)
{
	struct both both;

	(void)state;
	open_all(&both);
	begin(&both);
	while (channel_send(&both.scanner, MSG_NEED_TRUST, NULL, 0, NULL, 0, -1, NULL) >= 0)
		;
	assert_int_equal(pthread_join(both.thread, NULL), 0);
	assert_int_equal(both.end, -EPROTO);
	channel_close(&both.scanner);
	close_all(&both);
}

static void questions_that_take_too_long_end_the_scanner(void **state)
{
	struct both both = {0};
	struct trust_elsewhere trust;

	(void)state;
	both.broker.cpu_ns = BROKER_CPU_NS_MAX + 1;
	begin(&both);
	trust = need_trust(&both.scanner);
	assert_true(trust.is_empty(trust.ctx, NULL) < 0);
	assert_int_equal(finish(&both), -EPROTO);
	/* That was in this sweep; another one may ask again, and all of it is on the bill. */
	broker_renew(&both.broker);
	begin(&both);
	trust = need_trust(&both.scanner);
	assert_int_equal(trust.is_empty(trust.ctx, NULL), -ENOENT);
	assert_int_equal(finish(&both), -EPIPE);
	assert_true(both.broker.cpu_ns > BROKER_CPU_NS_MAX);
}

/* What the guest looked like stays what was recorded, whoever has the scanner. */
static void a_note_replaces_nothing_that_is_compared(void **state)
{
	struct both both;
	struct baseline_elsewhere elsewhere;

	(void)state;
	open_all(&both);
	assert_int_equal(baseline_compare(both.broker.baseline, "ro_after_init", "as it was", 9,
					  NULL, NULL), BASELINE_NEW);
	assert_int_equal(baseline_commit(both.broker.baseline, NULL), 0);
	begin(&both);
	elsewhere = need_baseline(&both.scanner);
	assert_true(elsewhere.note(elsewhere.ctx, "ro_after_init", "tampered", 8, NULL) < 0);
	assert_int_equal(finish(&both), -EPROTO);
	assert_int_equal(baseline_compare(both.broker.baseline, "ro_after_init", "as it was", 9,
					  NULL, NULL), BASELINE_SAME);
	close_all(&both);
}

static void notes_without_end_end_the_scanner(void **state)
{
	struct both both;
	struct baseline_elsewhere elsewhere;

	(void)state;
	open_all(&both);
	begin(&both);
	elsewhere = need_baseline(&both.scanner);
	for (unsigned i = 0; i < BROKER_NOTES_MAX; i++)
		assert_int_equal(elsewhere.note(elsewhere.ctx, BASELINE_AGENT_ITEM, "x", 1, NULL),
				 0);
	assert_true(elsewhere.note(elsewhere.ctx, BASELINE_AGENT_ITEM, "x", 1, NULL) < 0);
	assert_int_equal(finish(&both), -EPROTO);
	close_all(&both);
}

/* --- memory runs out --- */

static int ask_everything(struct both *both)
{
	struct reference_elsewhere reference = need_reference(&both->scanner);
	struct baseline_elsewhere baseline = need_baseline(&both->scanner);
	struct trust_elsewhere elsewhere = need_trust(&both->scanner);
	cleanup(blob_free) struct blob module = {0}, was = {0};
	cleanup(trust_close) struct trust *trust = NULL;
	int r = reference.module(reference.ctx, "ext4", "", &module, NULL);

	if (r >= 0)
		r = baseline.compare(baseline.ctx, "a", "changed", 7, &was, NULL);
	if (r >= 0)
		assert_int_equal(r, BASELINE_DIFFERS);
	if (r >= 0)
		r = baseline.note(baseline.ctx, BASELINE_AGENT_ITEM, "x", 1, NULL);
	if (r >= 0)
		r = trust_ask(&elsewhere, &trust, NULL);
	if (r >= 0)
		r = trust_find(trust, known_digest, NULL, NULL);
	return r;
}

/* On either side: the end is an error or the right answer, and the next question is answered. */
static void no_memory_anywhere(void **state)
{
	uint64_t nth = 0;

	(void)state;
	for (bool failed = true; failed;) {
		struct both both;
		int r;

		open_all(&both);
		begin(&both);
		torture_allocation(++nth);
		r = ask_everything(&both);
		failed = torture_allocations() >= nth;
		torture_allocation(0);
		assert_true(r == 1 || (failed && r < 0));
		assert_int_equal(ask_everything(&both), 1);
		assert_int_equal(finish(&both), -EPIPE);
		close_all(&both);
		assert_true(nth < 1000);
	}
	assert_true(nth > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modules_come_from_the_starter),
		cmocka_unit_test(baseline_lies_with_the_starter),
		cmocka_unit_test(known_programs_are_asked_for_once),
		cmocka_unit_test(nothing_there_is_an_answer),
		cmocka_unit_test(what_is_no_question_ends_the_scanner),
		cmocka_unit_test(too_many_questions_end_the_scanner),
		cmocka_unit_test(answers_that_nobody_reads_end_the_scanner),
		cmocka_unit_test(questions_that_take_too_long_end_the_scanner),
		cmocka_unit_test(a_note_replaces_nothing_that_is_compared),
		cmocka_unit_test(notes_without_end_end_the_scanner),
		cmocka_unit_test(no_memory_anywhere),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
