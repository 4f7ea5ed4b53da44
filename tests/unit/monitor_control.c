/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/control.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"
#include "monitor/sealed.h"
#include "report/ledger.h"

/* The role in a process of its own, as the parent starts it; the test is the parent. */
struct setting {
	char directory[32];
	char ledger[64];
	pid_t pid;
	struct channel channel;
	struct channel_rule rules[LINK_RULES];
	struct sockaddr_un address;
	int listen;
	struct steady clock;	/* as the parent knows it */
};

#define WAIT_MS 60000	/* reached only where it hangs */

/* The next message, which must be this one; message_deinit(). */
static void expect(struct setting *s, enum link_type type, struct message *message)
{
	struct err err = { 0 };

	if (channel_receive(&s->channel, message, WAIT_MS, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(message->rule->type, type);
}

static void tell_guest(struct setting *s)
{
	const struct link_guest guest = {
		.number = 7, .state = GUEST_WATCHED, .key = "web1", .name = "web1",
		.target = "qemu:4711", .hypervisor = "QEMU 7.2",
	};

	assert_int_equal(link_send_guest(&s->channel, &guest, NULL), 0);
}

static void tell_config(struct setting *s, const char *text)
{
	assert_int_equal(link_send_config(&s->channel, "f", text, strlen(text), NULL), 0);
}

static void start(struct setting *s, const char *config)
{
	static const struct link_handlers nobody;
	const struct link_setup setup = {
		.uid = LINK_SELF, .gid = LINK_SELF, .ledger = s->ledger, .host_us_per_s = 1,
		.clock = s->clock,
	};
	struct message message;
	struct err err = { 0 };
	int fds[2];

	assert_int_equal(channel_pair(fds, &err), 0);
	s->pid = fork();
	if (!s->pid) {
		/* Its descriptor of the channel is as after an exec. */
		if (dup2(fds[1], CHANNEL_FD) < 0)
			_exit(99);
		if (fds[0] != CHANNEL_FD)
			close(fds[0]);
		if (fds[1] != CHANNEL_FD)
			close(fds[1]);
		_exit(control_run());
	}
	close(fds[1]);
	link_rules(&nobody, s->rules);
	channel_init(&s->channel, fds[0], ROLE_STARTER, ROLE_CONTROL, s->rules, LINK_RULES);
	assert_int_equal(link_send_setup(&s->channel, &setup, s->listen, &err), 0);
	tell_config(s, config);
	expect(s, LINK_READY, &message);
	message_deinit(&message);
	tell_guest(s);
}

/* Two reports of long ago, before control is started again. */
static void store_old_ones(const struct setting *s)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;

	assert_int_equal(ledger_open(s->ledger, true, &ledger, NULL), 0);
	for (uint64_t i = 1; i <= 2; i++) {
		const struct ledger_origin origin = { .boot = "b", .time_ns = i * 1000 };
		cleanup(freep) char *text = make_report("web1", i, "idt=clean");

		assert_int_equal(ledger_add(ledger, &origin, text, strlen(text), NULL, NULL), 0);
	}
}

static uint64_t removed(const struct setting *s)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct ledger_head head;

	assert_int_equal(ledger_open(s->ledger, false, &ledger, NULL), 0);
	assert_int_equal(ledger_head(ledger, &head, NULL), 0);
	return head.removed;
}

/* It ends as it is told to, and well. */
static void stop(struct setting *s)
{
	int status;

	assert_int_equal(channel_send(&s->channel, LINK_QUIT, NULL, 0, NULL, 0, LINK_WAIT_MS,
				      NULL), 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	channel_close(&s->channel);
}

/* @mode: of a ledger's directory that is there already; 0: there is none. */
static void set_up_with(struct setting *s, const char *config, mode_t mode)
{
	*s = (struct setting){ .address = { .sun_family = AF_UNIX } };
	strcpy(s->directory, "/tmp/hvsm-role-XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	snprintf(s->ledger, sizeof(s->ledger), "%s/reports", s->directory);
	snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s/socket", s->directory);
	s->listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->listen, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	assert_int_equal(listen(s->listen, 8), 0);
	if (mode)
		assert_int_equal(mkdir(s->ledger, mode), 0);
	start(s, config);
}

static void set_up(struct setting *s, const char *config)
{
	set_up_with(s, config, 0);
}

static void remove_ledger(const struct setting *s)
{
	char command[128];

	snprintf(command, sizeof(command), "rm '%s'/*", s->ledger);
	assert_int_equal(system(command), 0);
}

static void tear_down(struct setting *s)
{
	char command[128];

	stop(s);
	close(s->listen);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->directory);
	assert_int_equal(system(command), 0);
}

/* A report comes; "reaction finding|" for each that is asked for before it was taken. */
static const char *report(struct setting *s, uint64_t sweep, const char *checks, bool stored)
{
	static char list[512];
	cleanup(freep) char *text = make_report("web1", sweep, checks);
	cleanup(freep) char *line = NULL;
	cleanup(fd_close) int fd = -1;
	struct message message;
	struct err err = { 0 };
	size_t n = 0;

	assert_true(asprintf(&line, "%s\n", text) > 0);
	fd = sealed_make("report", line, strlen(line), &err);
	assert_int_equal(link_send_report(&s->channel, 7, strchr(checks, ':') ?
					  VERDICT_COMPROMISED : VERDICT_CLEAN, fd, &err), 0);
	*list = '\0';
	for (;;) {
		struct link_react react;

		if (channel_receive(&s->channel, &message, WAIT_MS, &err) < 0)
			fail_msg("%s", err.text);
		if (message.rule->type == LINK_TAKEN)
			break;
		assert_int_equal(message.rule->type, LINK_REACT);
		assert_int_equal(link_read_react(&message, &react, &err), 0);
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s %s|", react.reaction,
				      *react.finding ? react.finding + 14 : "verdict");
		message_deinit(&message);
	}
	assert_true(bytes_u64(&message.body) == 7);
	assert_int_equal(bytes_u8(&message.body), stored);
	message_deinit(&message);
	return list;
}

static void taken(struct setting *s, enum link_taken how)
{
	struct message message;

	expect(s, LINK_TAKEN, &message);
	assert_true(bytes_u64(&message.body) == 7);
	assert_int_equal(bytes_u8(&message.body), how);
	message_deinit(&message);
}

static void send_report(struct setting *s, const char *text)
{
	cleanup(fd_close) int fd = sealed_make("report", text, strlen(text), NULL);

	assert_int_equal(link_send_report(&s->channel, 7, VERDICT_CLEAN, fd, NULL), 0);
}

/* Who says that is not our scanner any more: the parent is told so, and starts another. */
static void what_is_no_report_is_refused(void **state)
{
	cleanup(fd_close) int open_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' { }");
	send_report(&s, "{}\n");
	taken(&s, LINK_REFUSED);
	assert_int_equal(link_send_report(&s.channel, 7, VERDICT_CLEAN, open_fd, NULL), 0);
	taken(&s, LINK_REFUSED);
	/* Another one is heard. */
	assert_string_equal(report(&s, 1, "idt=clean", true), "");
	tear_down(&s);
}

/* However often it is said in one message: else control could wait for a parent that waits for it. */
static void pauses_without_end_are_one(void **state)
{
	static const char one[] = "{\"schema\":\"hvsm.event/1\",\"event\":\"resumed\"}\n"
				  "{\"schema\":\"hvsm.event/1\",\"event\":\"paused\"}\n";
	const size_t n = 2000;
	cleanup(freep) char *text = calloc(n, sizeof(one));
	cleanup(fd_close) int fd = -1;
	struct message message;
	struct setting s;
	char *at = text;

	(void)state;
	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, one);
	set_up(&s, "guest '*' { }");
	fd = sealed_make("events", text, strlen(text), NULL);
	assert_int_equal(link_send_number(&s.channel, LINK_EVENTS, 7, &fd, NULL), 0);
	expect(&s, LINK_PAUSED, &message);
	assert_true(bytes_u64(&message.body) == 7);
	assert_int_equal(bytes_u8(&message.body), 1);
	message_deinit(&message);
	send_report(&s, "{}\n");
	taken(&s, LINK_REFUSED);
	tear_down(&s);
}

/* What it answers; the caller's reference. */
static json_t *ask(const struct setting *s, const char *request)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup(file_close) FILE *file = NULL;
	cleanup(freep) char *line = NULL;
	size_t room = 0;
	json_t *answer;

	assert_int_equal(connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)), 0);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	file = fdopen(fd, "r");
	assert_non_null(file);
	assert_true(getline(&line, &room, file) > 0);
	answer = json_loads(line, 0, NULL);
	assert_non_null(answer);
	return answer;
}

static void answer_that_is_too_long_is_an_error(void **state)
{
	char path[128], sql[512];
	struct setting s;
	sqlite3 *sqlite;
	json_t *answer;

	(void)state;
	set_up(&s, "guest '*' { }");
	assert_string_equal(report(&s, 1, "idt=finding?:1", true), "");
	snprintf(path, sizeof(path), "%s/ledger.db", s.ledger);
	snprintf(sql, sizeof(sql), "INSERT INTO finding WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL"
		 " SELECT i + 1 FROM n WHERE i < 30000) SELECT guest, boot, printf('%%016x', i),"
		 " check_id, severity, title, first_seen, last_seen, closed, sweeps, opened_in,"
		 " last_in, closed_in FROM finding, n");
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
	answer = ask(&s, "{\"request\":\"findings\"}\n");
	assert_string_equal(json_string_value(json_object_get(answer, "code")), "EFBIG");
	json_decref(answer);
	tear_down(&s);
}

/* "verdict, open, allowed" of the guest. */
static const char *status(const struct setting *s)
{
	static char text[128];
	json_t *answer = ask(s, "{\"request\":\"status\"}\n");
	const json_t *guest = json_array_get(json_object_get(answer, "guests"), 0);
	const char *verdict = json_string_value(json_object_get(guest, "verdict"));

	snprintf(text, sizeof(text), "%s, %d, %d", verdict ? verdict : "null",
		 (int)json_integer_value(json_object_get(guest, "open_findings")),
		 (int)json_integer_value(json_object_get(guest, "allowed_findings")));
	json_decref(answer);
	return text;
}

/* A member of what the policy said of a report in the ledger. */
static const char *stored_verdict(const struct setting *s, uint64_t seq)
{
	static char text[32];
	struct ledger *ledger = NULL;
	struct blob blob;
	json_t *root;

	assert_int_equal(ledger_open(s->ledger, false, &ledger, NULL), 0);
	assert_int_equal(ledger_report(ledger, seq, &blob, NULL), 0);
	root = json_loadb((const char *)blob.data, blob.size, 0, NULL);
	snprintf(text, sizeof(text), "%s", json_string_value(
		 json_object_get(json_object_get(root, "policy"), "verdict")));
	json_decref(root);
	blob_free(&blob);
	ledger_close(&ledger);
	return text;
}

#define PAGE "reaction page { kind = run\n program = /bin/x }\n"
#define RULE(object)                                                                   \
	"allow { check = idt\n object = '" object "'\n reason = 'ours'\n expires = never }\n"

static void what_is_allowed_does_not_count(void **state)
{
	struct setting s;
	json_t *answer, *items;

	(void)state;
	set_up(&s, PAGE "guest '*' { reactions = { page }\n" RULE("1") "}");
	assert_string_equal(status(&s), "null, 0, 0");
	assert_string_equal(report(&s, 1, "idt=finding:1", true), "");
	assert_string_equal(status(&s), "clean, 0, 1");
	assert_string_equal(stored_verdict(&s, 1), "clean");
	assert_string_equal(report(&s, 2, "idt=finding:1,2", true), "page 02|");
	assert_string_equal(status(&s), "compromised, 1, 1");
	assert_string_equal(stored_verdict(&s, 2), "compromised");
	answer = ask(&s, "{\"request\":\"findings\"}\n");
	items = json_object_get(answer, "items");
	assert_int_equal(json_array_size(items), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *item = json_array_get(items, i);
		const char *id = json_string_value(json_object_get(item, "id"));

		assert_int_equal(json_is_true(json_object_get(item, "allowed")), id[15] == '1');
	}
	json_decref(answer);
	/* The same again is no news. */
	assert_string_equal(report(&s, 3, "idt=finding:2,1", false), "");
	assert_string_equal(report(&s, 4, "idt=clean", true), "");
	assert_string_equal(status(&s), "clean, 0, 0");
	tear_down(&s);
}

static void a_configuration_that_is_read_again_holds_at_once(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, PAGE "guest '*' { reactions = { page } }");
	assert_string_equal(report(&s, 1, "idt=finding:1", true), "page 01|");
	assert_string_equal(status(&s), "compromised, 1, 0");
	/* What it says is news, though the guest is as it was. */
	tell_config(&s, PAGE "guest '*' { reactions = { page }\n" RULE("1") "}");
	assert_string_equal(report(&s, 2, "idt=finding:1", true), "");
	assert_string_equal(status(&s), "clean, 0, 1");
	tell_config(&s, PAGE "guest '*' { reactions = { page }\n severity_low = { idt } }");
	assert_string_equal(report(&s, 3, "idt=finding:1", true), "");
	assert_string_equal(status(&s), "suspicious, 1, 0");
	tear_down(&s);
}

static void a_check_that_is_switched_off_says_no_more(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' { }");
	assert_string_equal(report(&s, 1, "idt=finding:1 vdso=inconclusive", true), "");
	assert_string_equal(status(&s), "compromised, 1, 0");
	tell_config(&s, "guest '*' { skip = { idt } }");
	assert_string_equal(status(&s), "inconclusive, 0, 0");
	tell_config(&s, "guest '*' { skip = { idt, vdso } }");
	assert_string_equal(status(&s), "inconclusive, 0, 0");	/* nothing is looked at */
	/* A sweep that began before. */
	assert_string_equal(report(&s, 2, "idt=finding:1 syscall-table=clean", true), "");
	assert_string_equal(status(&s), "clean, 0, 0");
	/* It is on again: what is open counts, until it has run. */
	tell_config(&s, "guest '*' { }");
	assert_string_equal(status(&s), "compromised, 1, 0");
	assert_string_equal(report(&s, 3, "idt=clean", true), "");
	assert_string_equal(status(&s), "clean, 0, 0");
	tear_down(&s);
}

static void what_is_open_counts_after_a_restart(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' { severity_low = { vdso } }");
	assert_string_equal(report(&s, 1, "vdso=finding:1", true), "");
	stop(&s);
	start(&s, "guest '*' { severity_low = { vdso } }");
	assert_string_equal(status(&s), "suspicious, 1, 0");
	assert_string_equal(report(&s, 2, "idt=clean", true), "");
	assert_string_equal(status(&s), "suspicious, 1, 0");
	assert_string_equal(report(&s, 3, "vdso=clean", true), "");
	assert_string_equal(status(&s), "clean, 0, 0");
	tear_down(&s);
}

static void what_was_not_done_is_asked_for_again(void **state)
{
	const struct link_audit audit = {
		.time_ns = 1, .told = true, .outcome = AUDIT_FAILED, .guest = "web1",
		.reaction = "page", .kind = "run", .finding = "0000000000000001", .text = "no",
	};
	struct setting s;
	char path[128];
	json_t *line;

	(void)state;
	set_up(&s, PAGE "guest '*' { reactions = { page } }");
	assert_string_equal(report(&s, 1, "idt=finding:1", true), "page 01|");
	assert_string_equal(report(&s, 2, "idt=finding:1", false), "");
	assert_int_equal(link_send_audit(&s.channel, &audit, NULL), 0);
	assert_string_equal(report(&s, 3, "idt=finding:1", false), "page 01|");
	snprintf(path, sizeof(path), "%s/%s", s.ledger, AUDIT_LOG_NAME);
	line = json_load_file(path, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "outcome")), "failed");
	json_decref(line);
	tear_down(&s);
}

/* The next line that a connection says: its member. */
static const char *next_line(FILE *file, const char *key)
{
	static char text[256];
	cleanup(freep) char *line = NULL;
	size_t room = 0;
	json_t *json;
	const json_t *value;

	assert_true(getline(&line, &room, file) > 0);
	json = json_loads(line, 0, NULL);
	value = json_object_get(json, key);
	if (json_is_object(value))
		value = json_object_get(value, "name");
	snprintf(text, sizeof(text), "%s", json_string_value(value) ? json_string_value(value) :
		 "none");
	json_decref(json);
	return text;
}

static void who_watches_is_told_of_events_and_findings(void **state)
{
	static const char events[] = "{\"schema\":\"hvsm.event/1\",\"event\":\"exec\",\"guest\":"
				     "{\"name\":\"another\"},\"object\":{}}\n";
	const char *request = "{\"request\":\"watch\"}\n";
	cleanup(file_close) FILE *file = NULL;
	cleanup(fd_close) int lines = -1;
	struct setting s;
	int fd;

	(void)state;
	set_up(&s, "");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&s.address, sizeof(s.address)), 0);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	file = fdopen(fd, "r");
	assert_string_equal(next_line(file, "schema"), "hvsm.watching/1");
	lines = sealed_make("events", events, sizeof(events) - 1, NULL);
	assert_int_equal(link_send_number(&s.channel, LINK_EVENTS, 7, &lines, NULL), 0);
	/* A scanner tells of its own guest, whatever it says. */
	assert_string_equal(next_line(file, "guest"), "web1");
	assert_string_equal(report(&s, 1, "idt=finding:1", true), "");
	assert_string_equal(next_line(file, "change"), "opened");
	assert_string_equal(report(&s, 2, "idt=clean", true), "");
	assert_string_equal(next_line(file, "change"), "closed");
	tear_down(&s);
}

/* --- over HTTP --- */

/* A Unix socket beside the other; what control says of it: NULL: it is served. */
static void serve_http(struct setting *s, const uint8_t *token)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct link_http http = { .serial = 3, .socket = fd, .token = token };
	struct message message;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/http", s->directory);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(link_send_http(&s->channel, &http, NULL), 0);
	expect(s, LINK_SERVING, &message);
	assert_int_equal(bytes_u32(&message.body), 3);
	assert_null(bytes_text(&message.body));
	message_deinit(&message);
}

/* All of the answer to a GET; free(). */
static char *get(const struct setting *s, const char *target, const char *headers)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup(file_close) FILE *file = fdopen(fd, "r+");
	char *text = NULL;
	size_t room = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/http", s->directory);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(dprintf(fd, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, headers) > 0);
	/* There is no NUL in it. */
	assert_true(getdelim(&text, &room, 0, file) > 0);
	return text;
}

static void expect_in(const struct setting *s, const char *target, const char *what)
{
	cleanup(freep) char *text = get(s, target, "");

	if (!strstr(text, what))
		fail_msg("no '%s' in: %s", what, text);
}

static void what_happened_is_counted(void **state)
{
	static const char *const expected[] = {
		"\nhvsm_guests{state=\"watched\"} 1\n",
		"\nhvsm_guest_verdict{guest=\"web1\",key=\"web1\",verdict=\"compromised\"} 1\n",
		"\nhvsm_guest_verdict{guest=\"web1\",key=\"web1\",verdict=\"clean\"} 0\n",
		"\nhvsm_guest_open_findings{guest=\"web1\",key=\"web1\",severity=\"high\"} 1\n",
		"\nhvsm_guest_allowed_findings{guest=\"web1\",key=\"web1\"} 1\n",
		"\nhvsm_guest_sweeps_total{guest=\"web1\",key=\"web1\"} 2\n",
		"\nhvsm_sweep_duration_seconds_count 2\n",
		"\nhvsm_reports_received_total 2\n", "\nhvsm_reports_stored_total 2\n",
		"\nhvsm_findings_opened_total 3\n", "\nhvsm_findings_closed_total 1\n",
		"\nhvsm_reactions_total{kind=\"run\",outcome=\"done\"} 1\n",
		"\nhvsm_reactions_total{kind=\"none\",outcome=\"failed\"} 1\n",
		"\nhvsm_ledger_records 2\n",
	};
	const struct link_audit done = {
		.told = true, .outcome = AUDIT_DONE, .guest = "web1", .reaction = "page",
		.kind = "run", .finding = "", .text = "",
	}, failed = {
		.told = true, .outcome = AUDIT_FAILED, .guest = "web1", .reaction = "gone",
		.kind = "none", .finding = "", .text = "",
	};
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' {\n" RULE("1") "}");
	serve_http(&s, NULL);
	report(&s, 1, "idt=finding:1,2", true);
	report(&s, 2, "idt=finding:1,3", true);
	assert_int_equal(link_send_audit(&s.channel, &done, NULL), 0);
	assert_int_equal(link_send_audit(&s.channel, &failed, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		expect_in(&s, "/metrics", expected[i]);
	expect_in(&s, "/v1/findings?state=closed", "\"closed_in\":2");
	expect_in(&s, "/v1/guests/web1", "\"verdict\":\"compromised\"");
	tear_down(&s);
}

static void twins_have_metrics_of_their_own(void **state)
{
	struct link_guest twin = {
		.number = 8, .state = GUEST_PAUSED, .key = "web1", .name = "web1",
	};
	struct setting s;

	(void)state;
	set_up(&s, "");
	serve_http(&s, NULL);
	assert_int_equal(link_send_guest(&s.channel, &twin, NULL), 0);
	expect_in(&s, "/metrics", "\nhvsm_guest_sweeps_total{guest=\"web1\",key=\"web1\"} 0\n"
				  "hvsm_guest_sweeps_total{guest=\"web1\",key=\"web1\",number=\"8\"} 0\n");
	expect_in(&s, "/v1/guests/web1", "HTTP/1.1 409 ");
	tear_down(&s);
}

static void who_serves_may_be_told_of_another_place(void **state)
{
	cleanup(freep) char *refused = NULL, *answered = NULL;
	uint8_t digest[HTTP_TOKEN_BYTES];
	struct setting s;

	(void)state;
	set_up(&s, "");
	serve_http(&s, NULL);
	expect_in(&s, "/v1/status", "HTTP/1.1 200 ");
	http_token_digest("0123456789abcdef", 16, digest);
	serve_http(&s, digest);
	refused = get(&s, "/v1/status", "Authorization: Bearer 0123456789abcdeF\r\n");
	assert_non_null(strstr(refused, "HTTP/1.1 401 "));
	answered = get(&s, "/v1/status", "Authorization: bearer  0123456789abcdef\r\n");
	assert_non_null(strstr(answered, "HTTP/1.1 200 "));
	tear_down(&s);
}

/* --- without a ledger --- */

/* Reports until one is stored: the ledger is tried again once a second. */
static uint64_t report_until_stored(struct setting *s, uint64_t sweep)
{
	struct message message;
	bool stored = false;

	for (unsigned tries = 0; !stored && tries < 6000; tries++) {
		cleanup(freep) char *text = make_report("web1", ++sweep, "idt=finding:1");
		cleanup(freep) char *line = NULL;
		cleanup(fd_close) int fd = -1;

		assert_true(asprintf(&line, "%s\n", text) > 0);
		fd = sealed_make("report", line, strlen(line), NULL);
		assert_int_equal(link_send_report(&s->channel, 7, VERDICT_COMPROMISED, fd, NULL),
				 0);
		expect(s, LINK_TAKEN, &message);
		assert_true(bytes_u64(&message.body) == 7);
		stored = bytes_u8(&message.body);
		message_deinit(&message);
		usleep(10000);
	}
	assert_true(stored);
	return sweep;
}

static const char *trouble(const struct setting *s)
{
	static char text[256];
	json_t *answer = ask(s, "{\"request\":\"status\"}\n");
	const char *trouble = json_string_value(json_object_get(json_object_get(answer, "reports"),
							       "trouble"));

	snprintf(text, sizeof(text), "%s", trouble ? trouble : "");
	json_decref(answer);
	return text;
}

static void without_a_ledger_it_does_all_the_rest(void **state)
{
	struct setting s;
	uint64_t sweep;

	(void)state;
	umask(0);
	set_up_with(&s, PAGE "guest '*' { mode = enforce\n reactions = { page } }", 0777);
	assert_non_null(strstr(trouble(&s), "others may write"));
	/* It judges, asks for reactions, and answers. */
	assert_string_equal(report(&s, 1, "idt=finding:1", false), "page 01|");
	assert_string_equal(status(&s), "compromised, 0, 0");
	assert_int_equal(chmod(s.ledger, 0700), 0);
	sweep = report_until_stored(&s, 1);
	assert_string_equal(status(&s), "compromised, 1, 0");
	assert_string_equal(trouble(&s), "");
	/* It is taken away: another one has all of what is so now. */
	remove_ledger(&s);
	sweep = report_until_stored(&s, sweep);
	assert_string_equal(status(&s), "compromised, 1, 0");
	assert_string_equal(trouble(&s), "");
	tear_down(&s);
}

static void code_that_comes_into_a_kernel_is_told_at_once(void **state)
{
	static const struct { const char *event; bool alarms; } cases[] = {
		{ "module-load", true }, { "exec", false }, { "module-unload", true },
		{ "bpf-load", true }, { "log", false },
	};
	struct setting s;

	(void)state;
	set_up(&s, "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup(fd_close) int lines = -1;
		struct message message;
		char text[128];

		snprintf(text, sizeof(text), "{\"schema\":\"hvsm.event/1\",\"event\":\"%s\"}\n",
			 cases[i].event);
		lines = sealed_make("events", text, strlen(text), NULL);
		assert_int_equal(link_send_number(&s.channel, LINK_EVENTS, 7, &lines, NULL), 0);
		if (!cases[i].alarms)
			continue;	/* else the next message would not be the one after */
		expect(&s, LINK_ALARM, &message);
		assert_true(bytes_u64(&message.body) == 7);
		message_deinit(&message);
	}
	assert_string_equal(report(&s, 1, "idt=clean", true), "");
	tear_down(&s);
}

/* Else whoever has it end again and again keeps what is too old. */
static void who_is_started_anew_knows_that_the_clock_stood(void **state)
{
	struct setting s;
	uint64_t real, boot;

	(void)state;
	set_up(&s, "retention_days = 1");
	stop(&s);
	store_old_ones(&s);
	assert_true(steady_read(&real, &boot));
	s.clock = (struct steady){
		.begun = true, .known = true, .stands = true, .base_ns = (int64_t)(real - boot),
		.seen_ns = (int64_t)(real - boot), .since_ns = boot,
	};
	start(&s, "retention_days = 1");
	for (int ms = 0; !removed(&s); ms += 20) {
		assert_true(ms < WAIT_MS);
		usleep(20000);
	}
	assert_int_equal(removed(&s), 1);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_that_is_too_long_is_an_error),
		cmocka_unit_test(what_is_no_report_is_refused),
		cmocka_unit_test(pauses_without_end_are_one),
		cmocka_unit_test(what_is_allowed_does_not_count),
		cmocka_unit_test(a_configuration_that_is_read_again_holds_at_once),
		cmocka_unit_test(a_check_that_is_switched_off_says_no_more),
		cmocka_unit_test(what_is_open_counts_after_a_restart),
		cmocka_unit_test(what_was_not_done_is_asked_for_again),
		cmocka_unit_test(code_that_comes_into_a_kernel_is_told_at_once),
		cmocka_unit_test(who_watches_is_told_of_events_and_findings),
		cmocka_unit_test(what_happened_is_counted),
		cmocka_unit_test(twins_have_metrics_of_their_own),
		cmocka_unit_test(who_serves_may_be_told_of_another_place),
		cmocka_unit_test(without_a_ledger_it_does_all_the_rest),
		cmocka_unit_test(who_is_started_anew_knows_that_the_clock_stood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
