/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel fails those who keep records, hand memory over, and answer; and memory runs out. */
#include "monitor/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "check/check.h"
#include "make/faults.h"
#include "make/torture.h"
#include "monitor/audit_log.h"
#include "monitor/control.h"
#include "monitor/document.h"
#include "monitor/sealed.h"
#include "monitor/serve.h"
#include "report/ledger_parse.h"

static const int codes[] = { EIO, ENOSPC, EINTR, EAGAIN, EMFILE, FAULT_SHORT };

static char dir[] = "/tmp/hvsm-faults-XXXXXX";

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Each call of @work fails in each way; it says what went wrong, and leaves no descriptor. */
static void torture(int (*work)(struct err *err), unsigned calls_min)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		unsigned nth = 1, calls;

		do {
			const int first = next_fd();
			struct err err = { 0 };
			int r;

			fault_set(nth, codes[i]);
			r = work(&err);
			calls = fault_end(NULL);
			if (r < 0 && (err.code != r || !*err.text || codes[i] == EINTR))
				fail_msg("call %u, %d: %d, %s", nth, codes[i], r, err.text);
			assert_int_equal(next_fd(), first);
		} while (nth++ <= calls);
		assert_in_range(calls, codes[i] == EINTR ? 1 : calls_min, 1000);
	}
}

/* Which allocation fails once a work has let_memory_fail(), until memory_is_back(); 0: none. */
static uint64_t alloc_at, allocs;

static void let_memory_fail(void)
{
	torture_allocation(alloc_at);
}

static void memory_is_back(void)
{
	allocs = torture_allocations();
	torture_allocation(0);
}

/* Each allocation of @work fails: it says so, if only with a number, and leaves nothing. */
static void starve(int (*work)(struct err *err), uint64_t allocs_min)
{
	for (alloc_at = 1, allocs = 1; alloc_at <= allocs + 1; alloc_at++) {
		const int first = next_fd();
		struct err err = { 0 };
		int r = work(&err);

		if (r < 0 && r != -ENOMEM)
			fail_msg("allocation %llu: %d, %s", (unsigned long long)alloc_at, r, err.text);
		assert_int_equal(next_fd(), first);
	}
	alloc_at = 0;
	assert_in_range(allocs, allocs_min, 10000);
}

/* --- sealed.c, broker.c --- */

static int hand_over(struct err *err)
{
	static const char text[] = "hello, world";
	struct sealed sealed, before = { (const uint8_t *)text, 4711 };
	int fd = sealed_make("test", text, sizeof(text), err), r;

	if (fd < 0)
		return fd;
	sealed = before;
	r = sealed_map(fd, 100, &sealed, err);
	close(fd);
	if (r < 0) {
		assert_ptr_equal(sealed.data, before.data);
		assert_int_equal(sealed.size, before.size);
		return r;
	}
	assert_int_equal(sealed.size, sizeof(text));
	assert_memory_equal(sealed.data, text, sizeof(text));
	sealed_unmap(&sealed);
	return 0;
}

static void what_is_handed_over_is_whole(void **state)
{
	(void)state;
	torture(hand_over, 3);
}

/* All, or those before; none without its file. */
static int put_agents(struct err *err)
{
	struct broker_files files = BROKER_FILES_NONE;
	struct build builds[3] = { 0 }, *all[3];
	struct builds known = { .all = { .v = all, .n = ARRAY_SIZE(all) } };
	char text[] = "an agent";
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		builds[i].path = text;
		builds[i].file = (struct blob){ .data = (uint8_t *)text, .size = sizeof(text) };
		all[i] = &builds[i];
	}
	let_memory_fail();
	r = broker_put_agents(&files, &known, err);
	memory_is_back();
	assert_true(r < 0 || files.agents.n == ARRAY_SIZE(all));
	for (size_t i = 0; i < files.agents.n; i++)
		assert_true(files.agents.v[i].fd >= 0 && files.agents.v[i].path);
	broker_files_free(&files);
	return r;
}

static void no_agent_is_there_without_its_file(void **state)
{
	(void)state;
	torture(put_agents, 6);
	starve(put_agents, 4);
}

/* --- audit_log.c --- */

static const struct link_audit audit = {
	.time_ns = 1780315200000000000, .duration_ns = 5000, .told = true, .outcome = AUDIT_DONE,
	.guest = "web", .reaction = "page", .kind = "run", .finding = "00000000000000aa",
	.text = "",
};

/* Lines that are JSON; those that are not, but a torn one's, must not be. */
static unsigned lines_in(const char *name)
{
	cleanup(file_close) FILE *file = NULL;
	char path[128], line[1024];
	unsigned good = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		json_t *json = json_loads(line, 0, NULL);

		good += json != NULL;
		/* What is torn is a line of its own. */
		assert_true(json || !strstr(line, "}{"));
		json_decref(json);
	}
	return good;
}

static void remove_audits(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, AUDIT_LOG_NAME);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s.1", dir, AUDIT_LOG_NAME);
	unlink(path);
}

/* Five lines, with a turn-over after some: what was acknowledged is there. */
static int record(struct err *err)
{
	cleanup(audit_log_close) struct audit_log log = AUDIT_LOG_NONE;
	unsigned done = 0, there;
	int r, failed = 0;

	remove_audits();
	let_memory_fail();
	r = audit_log_open(dir, &log, err);
	if (r < 0) {
		memory_is_back();
		assert_true(log.fd < 0 && log.directory < 0);
		return r;
	}
	log.size_max = 700;
	for (unsigned i = 0; i < 5; i++) {
		struct err why = { 0 };

		r = audit_log_add(&log, &audit, &why);
		done += r >= 0;
		if (r < 0) {
			assert_true(r == -ENOMEM || (why.code == r && *why.text));
			*err = why;
			failed = r;
		}
	}
	memory_is_back();
	fault_end(NULL);
	there = lines_in(AUDIT_LOG_NAME) + lines_in(AUDIT_LOG_NAME ".1");
	/* One whose fdatasync() failed is there, but that is not known. */
	assert_in_range(there, done, 5);
	return failed;
}

static void a_reaction_that_was_recorded_stays_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		for (unsigned nth = 1; nth < 24; nth++) {
			const int first = next_fd();
			struct err err = { 0 };

			/* What was written in part cannot be taken back, either. */
			if (codes[i] == EIO || codes[i] == ENOSPC)
				fault_set_on(nth, codes[i]);
			else
				fault_set(nth, codes[i]);
			(void)!record(&err);
			fault_end(NULL);
			assert_int_equal(next_fd(), first);
		}
	starve(record, 20);
	remove_audits();
}

/* A line in part, which cannot be taken back: the next one does not go on in it. */
static void a_torn_line_is_one_of_its_own(void **state)
{
	cleanup(audit_log_close) struct audit_log log = AUDIT_LOG_NONE;
	struct err err = { 0 };

	(void)state;
	remove_audits();
	assert_int_equal(audit_log_open(dir, &log, &err), 0);
	fault_set_short_then(1, EIO);
	assert_int_equal(audit_log_add(&log, &audit, &err), -ENOSPC);
	fault_end(NULL);
	assert_int_equal(audit_log_add(&log, &audit, &err), 0);
	assert_int_equal(audit_log_add(&log, &audit, &err), 0);
	assert_int_equal(lines_in(AUDIT_LOG_NAME), 2);
	remove_audits();
}

/* --- serve.c --- */

struct talk {
	struct loop loop;
	struct server server;
	unsigned passes, requests;
};

static int echo(struct client *client, const char *line, void *ctx, struct err *err)
{
	(void)err;
	((struct talk *)ctx)->requests++;
	return serve_write(client, line, strlen(line));
}

static int count_pass(void *ctx, struct err *err)
{
	struct talk *talk = ctx;

	(void)err;
	serve_tick(&talk->server, now_ns(CLOCK_MONOTONIC));
	if (++talk->passes == 4)
		loop_stop(&talk->loop);
	return 0;
}

/* One client asks; what comes back is what it said, or it is dropped. */
static int answer_one(struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int at = -1, client = -1;
	struct talk talk = { 0 };
	char text[16] = "";
	ssize_t n;
	int r;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	unlink(address.sun_path);
	at = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(at, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(at, 8), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(syscall(SYS_sendto, client, "hello\n", 6, 0, NULL, 0), 6);
	assert_int_equal(loop_init(&talk.loop, 5, err), 0);
	assert_int_equal(loop_every(&talk.loop, count_pass, &talk, err), 0);
	assert_int_equal(serve_start(&talk.server, &talk.loop, at, (gid_t)-1, echo, &talk, err), 0);
	let_memory_fail();
	r = loop_run(&talk.loop, err);
	memory_is_back();
	n = syscall(SYS_recvfrom, client, text, sizeof(text), MSG_DONTWAIT, NULL, NULL);
	/* Dropped, or answered, and once. */
	assert_true(n <= 0 || (n == 6 && !memcmp(text, "hello\n", 6)));
	assert_true(talk.requests <= 1);
	if (r >= 0 && n < 0 && errno == EAGAIN)
		r = err_set(err, -EIO, "neither answered nor dropped");
	serve_stop(&talk.server);
	loop_deinit(&talk.loop);
	unlink(address.sun_path);
	return r;
}

static void who_asks_is_answered_or_dropped(void **state)
{
	(void)state;
	torture(answer_one, 3);
	starve(answer_one, 2);
}

/* --- what control makes of a report --- */

#define CONFIG "guest \"web*\" {\n cheap_period_ms = 500\n allow {\n check = idt\n reason = r\n object = x\n expires = 2999-01-01\n }\n}\n"

static const char report[] =
	"{\"schema\":\"hvsm.report/1\",\"guest\":{\"name\":\"web-1\"},\"kernel\":{},"
	"\"verdict\":\"compromised\",\"checks\":[{\"id\":\"idt\",\"result\":\"finding\","
	"\"reason\":null,\"duration_us\":5}],\"findings\":[{\"id\":\"00000000000000aa\","
	"\"check\":\"idt\",\"severity\":\"high\",\"title\":\"A gate\",\"object\":"
	"{\"kind\":\"gate\",\"name\":\"idt[3]\"}}]}";

static void json_drop(json_t **json)
{
	json_decref(*json);
}

/* All of it, or -ENOMEM. */
static int judge(struct control *control, json_t *root, struct err *err)
{
	const struct link_guest told = {
		.number = 7, .state = GUEST_WATCHED, .key = "k\x1b", .name = "web-1",
	};
	cleanup(judgement_free) struct judgement judgement = { 0 };
	cleanup(picture_report_free) struct picture_report read = { 0 };
	struct picture_guest *guest;
	int r = picture_set(&control->picture, &told);

	guest = r < 0 ? NULL : picture_guest(&control->picture, 7);
	if (r >= 0)
		r = control_judge(control, guest, root, &judgement, err);
	if (r >= 0)
		r = picture_read(&control->picture, guest, root, &read, err);
	if (r >= 0)
		picture_take(guest, &read);
	return r;
}

static int understand(struct err *err)
{
	static const char *const ids[] = { "idt" };
	struct control control = { .picture = { .ids = ids, .ids_n = 1 } };
	cleanup(json_drop) json_t *root = NULL, *told = NULL;
	cleanup(freep) char *text = NULL;
	int r;

	let_memory_fail();
	r = config_parse("f", CONFIG, strlen(CONFIG), &control.config, err);
	if (r >= 0)
		r = parsed_load(report, strlen(report), &root, err);
	if (r >= 0)
		r = judge(&control, root, err);
	told = r < 0 ? NULL : document_status(&control, err);
	text = told ? json_dumps(told, JSON_COMPACT) : NULL;
	memory_is_back();
	if (r >= 0 && !text)
		r = -ENOMEM;
	/* What is said is the truth, whatever failed. */
	assert_true(r < 0 || strstr(text, "\"finding\":1"));
	picture_free(&control.picture);
	config_free(&control.config);
	return r;
}

static void what_cannot_be_understood_is_not_told(void **state)
{
	(void)state;
	starve(understand, 100);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_handed_over_is_whole),
		cmocka_unit_test(no_agent_is_there_without_its_file),
		cmocka_unit_test(a_reaction_that_was_recorded_stays_so),
		cmocka_unit_test(a_torn_line_is_one_of_its_own),
		cmocka_unit_test(who_asks_is_answered_or_dropped),
		cmocka_unit_test(what_cannot_be_understood_is_not_told),
	};
	size_t checks_n;

	json_set_alloc_funcs(malloc, free);
	checks_all(&checks_n);	/* at its first use, as in the daemon: never without memory */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
