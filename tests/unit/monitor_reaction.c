/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/reaction.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/reaction_kinds.h"
#include "monitor/trusted.h"

#define HOUR 3600000000000ull

/* What was audited: "outcome reaction finding text|". */
struct told {
	char text[4096];
	char message[4096];	/* the last */
	enum audit_outcome last;
};

static void tell(const struct audit *audit, void *ctx)
{
	struct told *told = ctx;
	size_t n = strlen(told->text);

	assert_true(audit->time_ns > 0);
	assert_string_equal(audit->guest, "g");
	snprintf(told->text + n, sizeof(told->text) - n, "%s %s %s %s|",
		 audit_outcome_name(audit->outcome), audit->reaction, audit->finding, audit->text);
	if (audit->message)
		snprintf(told->message, sizeof(told->message), "%s", audit->message);
	told->last = audit->outcome;
}

struct setting {
	struct config *config;
	struct reactor *reactor;
	struct told told;
	char dir[64];
};

static void set_up(struct setting *s, const char *fmt, ...)
{
	struct err err = {0};
	char text[4096];
	va_list args;

	memset(s, 0, sizeof(*s));
	strcpy(s->dir, "/tmp/hvsm-reaction-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (config_parse("f", text, strlen(text), &s->config, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(reactor_create(tell, &s->told, NULL, &s->reactor, &err), 0);
}

static void tear_down(struct setting *s)
{
	char command[128];

	reactor_free(&s->reactor);
	config_free(&s->config);
	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	assert_int_equal(system(command), 0);
}

static enum audit_outcome submit(struct setting *s, const char *reaction, enum config_mode mode)
{
	const struct reaction_guest guest = { .key = "g" };

	return reactor_submit(s->reactor, config_reaction(s->config, reaction), &guest, mode,
			      "00000000000000aa", "{\"finding\": 1}");
}

/* Until nothing is under way; what should never end is ended by the test's own limit. */
static void finish(struct setting *s)
{
	while (reactor_running(s->reactor)) {
		struct pollfd poller = { .fd = reactor_fd(s->reactor), .events = POLLIN };

		poll(&poller, 1, -1);
		reactor_dispatch(s->reactor);
	}
}

#define SH(name, more, script)                                                          \
	"reaction " name " {\nkind = run\nprogram = /usr/bin/dash\n" more               \
	"\narguments = { '-c', \"" script "\", 'name', 'a b' }\n}\n"

static char *contents(const char *dir, const char *name)
{
	char path[128];
	cleanup(file_close) FILE *file = NULL;
	char *text = calloc(1, 8192);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	if (file)
		assert_true(fread(text, 1, 8191, file) < 8191);
	return text;
}

static void a_program_gets_the_finding_and_nothing_else(void **state)
{
	cleanup(freep) char *input = NULL, *environment = NULL, *fds = NULL, *argument = NULL;
	cleanup(freep) char *limit = NULL;
	struct rlimit most;
	cleanup(fd_close) int secret = -1;
	struct setting s;
	char text[512];

	(void)state;
	/* A descriptor that is not even close-on-exec, and a variable of the environment. */
	secret = open("/dev/zero", O_RDONLY);
	assert_int_equal(setenv("HVSM_SECRET", "x", 1), 0);
	/* As many as there may be, as the daemon has it. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
	most.rlim_cur = most.rlim_max;
	assert_true(setrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_max > 1024);
	set_up(&s, "");
	snprintf(text, sizeof(text), SH("tell", "", "umask 0; cd %s; cat >input; env >environment; "
					"ls -l /proc/self/fd >fds; echo $1 >argument; "
					"ulimit -n >limit"), s.dir);
	config_free(&s.config);
	assert_int_equal(config_parse("f", text, strlen(text), &s.config, NULL), 0);
	assert_int_equal(submit(&s, "tell", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_string_equal(s.told.text, "started tell 00000000000000aa |"
					 "done tell 00000000000000aa |");
	limit = contents(s.dir, "limit");
	assert_string_equal(limit, "1024\n");
	input = contents(s.dir, "input");
	assert_string_equal(input, "{\"finding\": 1}");
	argument = contents(s.dir, "argument");
	assert_string_equal(argument, "a b\n");
	environment = contents(s.dir, "environment");
	assert_null(strstr(environment, "HVSM_SECRET"));
	assert_non_null(strstr(environment, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"));
	fds = contents(s.dir, "fds");
	assert_non_null(strstr(fds, "hvsm-finding"));
	assert_null(strstr(fds, "/dev/zero"));
	assert_null(strstr(fds, "socket:"));
	assert_null(strstr(fds, "eventpoll"));
	tear_down(&s);
	unsetenv("HVSM_SECRET");
}

static void how_a_program_ended_is_audited(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, SH("fails", "", "echo no such pager >&2; echo more >&2; exit 3")
	       SH("dies", "", "kill -SEGV $$")
	       SH("floods", "", "head -c 100000 /dev/zero >&2; exit 0"));
	assert_int_equal(submit(&s, "fails", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_non_null(strstr(s.told.text, "|failed fails 00000000000000aa exit status 3: no such "
					    "pager|"));
	assert_int_equal(submit(&s, "dies", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_non_null(strstr(s.told.text, "|failed dies 00000000000000aa killed by signal 11|"));
	assert_true(audit_is_undone(s.told.last));
	assert_int_equal(submit(&s, "floods", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_int_equal(s.told.last, AUDIT_DONE);
	tear_down(&s);
}

/* A zombie has ended, too: who inherits it may never ask. */
static bool is_alive(int pid)
{
	char path[64], state = 'X';
	cleanup(file_close) FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	return file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && state != 'Z' && state != 'X';
}

/* What ends at no request, and what that started. Return: the latter's PID; 0: it got not so far. */
static int hang(int timeout_s)
{
	cleanup(freep) char *child = NULL;
	struct setting s;
	char text[512];
	int pid;

	set_up(&s, "");
	snprintf(text, sizeof(text), SH("hangs", "timeout_s = %d", "trap '' TERM; sleep 1000 & echo "
					"$! >%s/child; while :; do sleep 1; done"), timeout_s, s.dir);
	config_free(&s.config);
	assert_int_equal(config_parse("f", text, strlen(text), &s.config, NULL), 0);
	assert_int_equal(submit(&s, "hangs", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_non_null(strstr(s.told.text, "|timed-out hangs 00000000000000aa its time was over"));
	assert_true(audit_is_undone(s.told.last));
	child = contents(s.dir, "child");
	pid = atoi(child);
	tear_down(&s);
	return pid;
}

static void a_program_ends_with_its_time(void **state)
{
	int pid = 0;

	(void)state;
	/* On a busy host a second is over before the program has begun. */
	for (int timeout_s = 1; !pid && timeout_s < 100; timeout_s *= 2)
		pid = hang(timeout_s);
	assert_true(pid > 1);
	while (is_alive(pid))
		usleep(1000);
}

static void what_cannot_be_executed_has_failed(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "reaction none { kind = run\nprogram = /usr/bin/there-is-none\n}\n"
		   "reaction link { kind = run\nprogram = /proc/self/exe\n}\n");
	assert_int_equal(submit(&s, "none", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	assert_non_null(strstr(s.told.text, "|failed none 00000000000000aa exit status 1: "
					    "/usr/bin/there-is-none: No such file"));
	tear_down(&s);
}

static void observe_lets_only_the_log_pass(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, SH("run", "", "exit 0") "reaction log { kind = log }\n"
	       "reaction stop { kind = pause }\nreaction off { kind = poweroff }\n");
	assert_int_equal(submit(&s, "run", MODE_OBSERVE), AUDIT_OBSERVED);
	assert_int_equal(submit(&s, "stop", MODE_OBSERVE), AUDIT_OBSERVED);
	assert_int_equal(submit(&s, "off", MODE_OBSERVE), AUDIT_OBSERVED);
	assert_int_equal(submit(&s, "log", MODE_OBSERVE), AUDIT_DONE);
	assert_int_equal(reactor_running(s.reactor), 0);
	assert_false(audit_is_undone(AUDIT_OBSERVED));
	assert_string_equal(s.told.text, "observed run 00000000000000aa |"
		"observed stop 00000000000000aa |observed off 00000000000000aa |"
		"done log 00000000000000aa |");
	assert_string_equal(s.told.message, "{\"finding\": 1}");
	tear_down(&s);
}

static void a_rate_is_kept_and_told_once(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "reaction log { kind = log\nper_hour = 2 }\nreaction other { kind = log }");
	for (int i = 0; i < 5; i++)
		submit(&s, "log", MODE_OBSERVE);
	submit(&s, "other", MODE_OBSERVE);
	assert_string_equal(s.told.text, "done log 00000000000000aa |done log 00000000000000aa |"
		"rate-limited log 00000000000000aa |done other 00000000000000aa |");
	tear_down(&s);
}

static void a_bucket_fills_again(void **state)
{
	uint64_t full = 0, now = 5 * HOUR;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_true(rate_take(&full, 4, now));
	assert_false(rate_take(&full, 4, now));
	assert_false(rate_take(&full, 4, now + HOUR / 4 - 1));
	assert_true(rate_take(&full, 4, now + HOUR / 4));
	assert_false(rate_take(&full, 4, now + HOUR / 4));
	/* Full is full, however long nothing was taken. */
	now += 100 * HOUR;
	for (int i = 0; i < 4; i++)
		assert_true(rate_take(&full, 4, now));
	assert_false(rate_take(&full, 4, now));
	/* At another rate after a reload. */
	full = 0;
	assert_true(rate_take(&full, 1, now));
	assert_false(rate_take(&full, 1, now + HOUR - 1));
	assert_true(rate_take(&full, 1, now + HOUR));
}

static void no_more_at_once_than_allowed(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, SH("slow", "per_hour = 100", "exec sleep 1000") "reaction log { kind = log }");
	for (unsigned i = 0; i < REACTIONS_AT_ONCE_MAX; i++)
		assert_int_equal(submit(&s, "slow", MODE_ENFORCE), AUDIT_STARTED);
	assert_int_equal(submit(&s, "slow", MODE_ENFORCE), AUDIT_BUSY);
	assert_int_equal(submit(&s, "log", MODE_ENFORCE), AUDIT_DONE);
	reactor_dispatch(s.reactor);
	assert_int_equal(reactor_running(s.reactor), REACTIONS_AT_ONCE_MAX);
	/* They end with the reactor. */
	reactor_free(&s.reactor);
	assert_int_equal(s.told.last, AUDIT_FAILED);
	assert_non_null(strstr(s.told.text, "|failed slow 00000000000000aa the daemon ends|"));
	tear_down(&s);
}

/* A server for one request. */
struct server {
	int fd, port;
	const char *answer;	/* NULL: it says nothing */
	char heard[8192];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *server = arg;
	int fd = accept(server->fd, NULL, NULL);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return NULL;
	while (!strstr(server->heard, "{\"finding\": 1}") && n < sizeof(server->heard) - 1 &&
	       (got = read(fd, server->heard + n, sizeof(server->heard) - 1 - n)) > 0)
		n += (size_t)got;
	if (server->answer)
		assert_true(write(fd, server->answer, strlen(server->answer)) > 0);
	else
		while (read(fd, server->heard + n, 1) > 0)
			;
	close(fd);
	return NULL;
}

static void serve_start(struct server *server, const char *answer)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	*server = (struct server){ .answer = answer };
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server->fd, 1), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
	server->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void serve_end(struct server *server)
{
	/* Whoever was to come may have been ended before. */
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
}

#define HOOK "reaction hook { kind = webhook\nurl = http://127.0.0.1:%d/alarm\n%s }"

static void a_webhook_posts_the_finding(void **state)
{
	struct server server;
	struct setting s;

	(void)state;
	serve_start(&server, "HTTP/1.1 204 No Content\r\n\r\n");
	set_up(&s, HOOK, server.port, "");
	assert_int_equal(submit(&s, "hook", MODE_ENFORCE), AUDIT_STARTED);
	finish(&s);
	serve_end(&server);
	assert_non_null(strstr(s.told.text, "|done hook 00000000000000aa the answer is 204|"));
	assert_int_equal(strncmp(server.heard, "POST /alarm HTTP/1.1\r\n", 22), 0);
	assert_non_null(strstr(server.heard, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(server.heard, "\r\nContent-Length: 14\r\n"));
	assert_non_null(strstr(server.heard, "\r\n\r\n{\"finding\": 1}"));
	assert_null(strstr(server.heard, "Authorization"));
	tear_down(&s);
}

static void a_webhook_has_its_token(void **state)
{
	char path[64] = "/tmp/hvsm-token-XXXXXX", more[128];
	cleanup(fd_close) int fd = mkstemp(path);
	struct server server;
	struct setting s;

	(void)state;
	assert_int_equal(write(fd, "s3cret\n", 7), 7);
	snprintf(more, sizeof(more), "token_file = %s\n", path);
	serve_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	set_up(&s, HOOK, server.port, more);
	submit(&s, "hook", MODE_ENFORCE);
	finish(&s);
	serve_end(&server);
	assert_int_equal(s.told.last, AUDIT_DONE);
	assert_non_null(strstr(server.heard, "\r\nAuthorization: Bearer s3cret\r\n"));
	unlink(path);
	tear_down(&s);
}

/* An error, a redirection to somewhere else, and nobody who listens. */
static void a_webhook_that_fails_is_told(void **state)
{
	struct server server;
	char wanted[64];
	struct setting s;

	(void)state;
	serve_start(&server, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
	set_up(&s, HOOK, server.port, "");
	submit(&s, "hook", MODE_ENFORCE);
	finish(&s);
	serve_end(&server);
	assert_int_equal(s.told.last, AUDIT_FAILED);
	/* Where it is told: without what may be a secret. */
	snprintf(wanted, sizeof(wanted), " http://127.0.0.1:%d: the answer is 500|", server.port);
	assert_non_null(strstr(s.told.text, wanted));
	submit(&s, "hook", MODE_ENFORCE);
	finish(&s);
	assert_int_equal(s.told.last, AUDIT_FAILED);
	assert_non_null(strstr(s.told.text, "(libcurl error 7)|"));
	assert_null(strstr(s.told.text, "alarm"));
	tear_down(&s);

	serve_start(&server, "HTTP/1.1 307 There\r\nLocation: http://192.0.2.1/\r\n"
			     "Content-Length: 0\r\n\r\n");
	set_up(&s, HOOK, server.port, "");
	submit(&s, "hook", MODE_ENFORCE);
	finish(&s);
	serve_end(&server);
	assert_non_null(strstr(s.told.text, ": the answer is 307|"));
	tear_down(&s);
}

static void a_webhook_ends_with_its_time(void **state)
{
	struct server server;
	struct setting s;

	(void)state;
	serve_start(&server, NULL);
	set_up(&s, HOOK, server.port, "timeout_s = 1");
	submit(&s, "hook", MODE_ENFORCE);
	finish(&s);
	serve_end(&server);
	assert_true(audit_is_undone(s.told.last));
	tear_down(&s);
}

static void a_path_that_others_could_change_is_not_trusted(void **state)
{
	char dir[64] = "/tmp/hvsm-trusted-XXXXXX", file[128], link[128];
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/f", dir);
	snprintf(link, sizeof(link), "%s/l", dir);
	close(open(file, O_CREAT | O_WRONLY, 0700));
	assert_int_equal(symlink(file, link), 0);

	/* /tmp is everybody's, but its sticky bit keeps what is ours. */
	assert_int_equal(trusted_path(file, S_IFREG, &err), 0);
	assert_int_equal(trusted_path(dir, S_IFDIR, &err), 0);
	assert_int_equal(trusted_path("/tmp", S_IFDIR, &err), -EACCES);
	assert_int_equal(trusted_path(dir, S_IFREG, &err), -EINVAL);
	assert_int_equal(trusted_path(link, S_IFREG, &err), -EINVAL);
	assert_int_equal(trusted_path("f", S_IFREG, &err), -EINVAL);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(trusted_path(file, S_IFREG, &err), -EACCES);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(chmod(file, 0720), 0);
	assert_int_equal(trusted_path(file, S_IFREG, &err), -EACCES);
	unlink(link);
	unlink(file);
	assert_int_equal(trusted_path(file, S_IFREG, &err), -ENOENT);
	rmdir(dir);
}

static void what_is_not_usable_is_told_before_it_is_needed(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "kind = run\nprogram = /usr/bin/there-is-none",
		  "reaction 'r': /usr/bin/there-is-none: No such file or directory" },
		{ "kind = run\nprogram = /etc/passwd", "reaction 'r': /etc/passwd: not executable" },
		{ "kind = dump\ndirectory = /tmp",
		  "reaction 'r': /tmp: others than its owner may write it" },
		{ "kind = dump\ndirectory = /etc/passwd",
		  "reaction 'r': /etc/passwd: not a directory" },
	};
	char path[64] = "/tmp/hvsm-check-XXXXXX", text[256], *printed = NULL;
	cleanup(fd_close) int fd = mkstemp(path);
	struct err err = {0};
	size_t size;
	FILE *to;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct setting s;

		set_up(&s, "reaction r {\n%s\n}\n", bad[i].text);
		assert_true(reaction_usable(&s.config->reactions.v[0], &err) < 0);
		assert_string_equal(err.text, bad[i].why);
		tear_down(&s);
	}
	snprintf(text, sizeof(text), "reaction r {\n%s\n}\nguest '*' { reactions = { r } }",
		 bad[1].text);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	to = open_memstream(&printed, &size);
	assert_int_equal(config_check_print(path, to, &err), -EACCES);
	fclose(to);
	assert_non_null(strstr(printed, ": mode observe, 1 sections of guests, 1 reactions\n"));
	assert_non_null(strstr(printed, "reaction r: run, at most 10 an hour for a guest, 30 s: "
					"NOT USABLE: reaction 'r': /etc/passwd: not executable\n"));
	assert_non_null(strstr(printed, "guest *: 0 allow rules, reactions: r\n"));
	free(printed);
	unlink(path);
}

static void the_message_says_what_and_where(void **state)
{
	json_t *report = json_loads("{\"guest\": {\"name\": \"web\"}, \"findings\": [{\"id\": "
				    "\"00000000000000aa\"}]}", 0, NULL), *message;
	const struct config_reaction reaction = { .name = (char *)(uintptr_t)"r",
						  .kind = REACTION_DUMP };
	struct policy_decision decision = { .reaction = &reaction, .finding = "00000000000000aa" };
	char *text;

	(void)state;
	decision.json = json_array_get(json_object_get(report, "findings"), 0);
	text = reaction_message(&decision, report, MODE_ENFORCE, VERDICT_COMPROMISED);
	assert_null(strchr(text, '\n'));
	message = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(message, "schema")),
			    "hvsm.reaction/1");
	assert_string_equal(json_string_value(json_object_get(message, "kind")), "dump");
	assert_string_equal(json_string_value(json_object_get(message, "verdict")), "compromised");
	assert_true(json_equal(json_object_get(message, "finding"), decision.json));
	assert_true(json_equal(json_object_get(message, "guest"), json_object_get(report, "guest")));
	assert_true(json_is_null(json_object_get(message, "kernel")));
	json_decref(message);
	free(text);
	decision.json = NULL;
	text = reaction_message(&decision, report, MODE_OBSERVE, VERDICT_CLEAN);
	message = json_loads(text, 0, NULL);
	assert_true(json_is_null(json_object_get(message, "finding")));
	json_decref(message);
	free(text);
	json_decref(report);
}

/* One of Xen is left to Xen's toolstack, which is not here: QEMU's or libvirt's guests are others. */
static void a_domain_is_no_guest_of_others(void **state)
{
	const struct reaction_guest guest = { .key = "g", .domain = 0x7fef, .uuid = "x" };
	struct setting s;

	(void)state;
	set_up(&s, "reaction stop { kind = pause }");
	assert_int_equal(reactor_submit(s.reactor, config_reaction(s.config, "stop"), &guest,
					MODE_ENFORCE, "", "{}"), AUDIT_STARTED);
	finish(&s);
	assert_int_equal(s.told.last, AUDIT_FAILED);
	assert_non_null(strstr(s.told.text, "failed stop"));
	assert_null(strstr(s.told.text, "QMP"));
	assert_null(strstr(s.told.text, "libvirt"));
	tear_down(&s);
}

/* Who starts a QEMU with another guest's UUID must not have that one ended in its place. */
static void a_domain_is_the_process_that_was_looked_into(void **state)
{
	char directory[] = "/tmp/hvsm-pids-XXXXXX", path[64];
	struct err err = {0};
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/web1.pid", directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("4711", file);
	fclose(file);
	assert_int_equal(reaction_libvirt_is(directory, "web1", 4711, NULL), 0);
	assert_int_equal(reaction_libvirt_is(directory, "web1", 4712, &err), -ENOENT);
	assert_string_equal(err.text, "libvirt's domain of this UUID is process 4711, not 4712");
	assert_int_equal(reaction_libvirt_is(directory, "web1", 0, NULL), -ENOENT);
	assert_int_equal(reaction_libvirt_is(directory, "db1", 4712, NULL), 0);
	assert_int_equal(reaction_libvirt_is("/tmp", "../etc/passwd", 1, NULL), -ENOENT);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(reaction_libvirt_is(directory, "web1", 4711, NULL), -EIO);
	unlink(path);
	rmdir(directory);
}

/* libvirt's own make-believe host has one guest, with this UUID. */
static void libvirt_is_asked_where_there_is_no_monitor(void **state)
{
	static const enum reaction_kind kinds[] = {
		REACTION_PAUSE, REACTION_SHUTDOWN, REACTION_POWEROFF,
	};
	char uuid[] = "6695eb01-f6a4-8304-79aa-97f2502e193f", other[] = "0";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct config_reaction reaction = { .kind = kinds[i], .timeout_s = 10 };
		struct reaction_job job = { .reaction = &reaction, .uuid = uuid, .pid = getpid(),
					    .libvirt = "test:///default" };
		struct err err = {0};
		int status, r;
		pid_t pid = fork();

		/* The make-believe host is as long as its process: each kind has its own. */
		if (pid == 0) {
			r = reaction_libvirt(&job, &err);
			if (r < 0)
				fprintf(stderr, "%s\n", err.text);
			job.uuid = other;
			if (reaction_libvirt(&job, &err) != -ENOENT)
				_exit(2);
			job.uuid = NULL;
			_exit(r == 0 && reaction_libvirt(&job, &err) == -ENOENT ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static int count_down(const char *device, void *ctx, struct err *err)
{
	(void)err;
	assert_int_equal(strncmp(device, "<interface ", 11), 0);
	assert_non_null(strstr(device, "<link state='down'/></interface>"));
	assert_null(strstr(device, "'up'"));
	++*(unsigned *)ctx;
	return 0;
}

/* A guest of which one interface is left is not off the network. */
static void all_interfaces_are_unlinked_or_it_has_failed(void **state)
{
	static const char one[] = "<interface type='x'><link state='up'/></interface>\n";
	char *xml = calloc(REACTION_NICS_MAX + 2, sizeof(one));
	struct reaction_job job = { 0 };
	struct err err = { 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(reaction_unlink_each("<domain/>", count_down, &n, &job, &err), -ENODEV);
	for (unsigned i = 0; i < REACTION_NICS_MAX; i++)
		strcat(xml, one);
	assert_int_equal(reaction_unlink_each(xml, count_down, &n, &job, &err), 0);
	assert_int_equal(n, REACTION_NICS_MAX);
	strcat(xml, one);
	n = 0;
	assert_int_equal(reaction_unlink_each(xml, count_down, &n, &job, &err), -ELOOP);
	assert_int_equal(n, REACTION_NICS_MAX);
	n = 0;
	assert_int_equal(reaction_unlink_each("<interface type='x'><link/></interface><interface >",
					      count_down, &n, &job, &err), -ELOOP);
	assert_int_equal(n, 1);
	free(xml);
}

/* A configuration that is read again names another one. */
static void libvirt_is_the_one_of_the_configuration_now(void **state)
{
	char uuid[] = "6695eb01-f6a4-8304-79aa-97f2502e193f";
	const struct reaction_guest guest = { .key = "g", .pid = getpid(), .uuid = uuid };
	struct setting s;

	(void)state;
	set_up(&s, "reaction stop { kind = pause }");
	assert_int_equal(reactor_libvirt(s.reactor, "test:///nowhere/at/all"), 0);
	reactor_submit(s.reactor, config_reaction(s.config, "stop"), &guest, MODE_ENFORCE, "", "{}");
	finish(&s);
	assert_int_equal(s.told.last, AUDIT_FAILED);
	assert_int_equal(reactor_libvirt(s.reactor, "test:///default"), 0);
	reactor_submit(s.reactor, config_reaction(s.config, "stop"), &guest, MODE_ENFORCE, "", "{}");
	finish(&s);
	if (s.told.last != AUDIT_DONE)
		fail_msg("%s", s.told.text);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_gets_the_finding_and_nothing_else),
		cmocka_unit_test(how_a_program_ended_is_audited),
		cmocka_unit_test(a_program_ends_with_its_time),
		cmocka_unit_test(what_cannot_be_executed_has_failed),
		cmocka_unit_test(observe_lets_only_the_log_pass),
		cmocka_unit_test(a_rate_is_kept_and_told_once),
		cmocka_unit_test(a_bucket_fills_again),
		cmocka_unit_test(no_more_at_once_than_allowed),
		cmocka_unit_test(a_webhook_posts_the_finding),
		cmocka_unit_test(a_webhook_has_its_token),
		cmocka_unit_test(a_webhook_that_fails_is_told),
		cmocka_unit_test(a_webhook_ends_with_its_time),
		cmocka_unit_test(a_path_that_others_could_change_is_not_trusted),
		cmocka_unit_test(what_is_not_usable_is_told_before_it_is_needed),
		cmocka_unit_test(the_message_says_what_and_where),
		cmocka_unit_test(a_domain_is_no_guest_of_others),
		cmocka_unit_test(a_domain_is_the_process_that_was_looked_into),
		cmocka_unit_test(libvirt_is_asked_where_there_is_no_monitor),
		cmocka_unit_test(all_interfaces_are_unlinked_or_it_has_failed),
		cmocka_unit_test(libvirt_is_the_one_of_the_configuration_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
