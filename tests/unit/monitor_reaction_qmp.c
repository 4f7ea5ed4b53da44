/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/reaction_kinds.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ram/qmp.h"

/* A monitor that answers with the next of these, and keeps what it heard and was given. */
struct monitor {
	int fd;
	const char *const *answers;	/* NULL at the end: then it hangs up */
	char heard[4096];
	pthread_t thread;
};

/* One line, into what was heard; a file that comes with it is written to. */
static bool hear(struct monitor *monitor)
{
	size_t n = strlen(monitor->heard);
	char c = 0;

	while (c != '\n') {
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(sizeof(int))];
		} control = {0};
		struct iovec part = { &c, 1 };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1,
					  .msg_control = &control,
					  .msg_controllen = sizeof(control) };
		int fd;

		if (recvmsg(monitor->fd, &message, MSG_CMSG_CLOEXEC) != 1)
			return false;
		if (message.msg_controllen >= CMSG_LEN(sizeof(fd))) {
			memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
			assert_int_equal(write(fd, "core", 4), 4);
			close(fd);
		}
		if (n + 1 < sizeof(monitor->heard))
			monitor->heard[n++] = c;
	}
	return true;
}

static bool say(struct monitor *monitor, const char *text)
{
	return send(monitor->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *act(void *arg)
{
	struct monitor *monitor = arg;
	bool there = say(monitor, "{\"QMP\": {}}\n") && hear(monitor) &&
		     say(monitor, "{\"return\": {}}\n");

	for (size_t i = 0; there && monitor->answers[i]; i++)
		there = hear(monitor) && say(monitor, monitor->answers[i]) && say(monitor, "\n");
	shutdown(monitor->fd, SHUT_RDWR);
	return NULL;
}

/* What the monitor heard, but for the handshake; *@r: how it ended. */
static const char *carry_out(const struct config_reaction *reaction, const char *const *answers,
			     struct reaction_job *job, int *r, struct err *err)
{
	static struct monitor monitor;
	static char uuid[] = "0c8e1d1a-0000-4000-8000-000000000001";
	cleanup(qmp_close) struct qmp *qmp = NULL;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	monitor = (struct monitor){ .fd = fds[1], .answers = answers };
	*job = (struct reaction_job){ .reaction = reaction, .pid = 1, .uuid = uuid };
	assert_int_equal(pthread_create(&monitor.thread, NULL, act, &monitor), 0);
	assert_int_equal(qmp_open(fds[0], 30000, 30000, &qmp, err), 0);
	*r = reaction_at_monitor(qmp, job, err);
	qmp_close(&qmp);
	pthread_join(monitor.thread, NULL);
	close(fds[1]);
	return strchr(monitor.heard, '\n') + 1;
}

#define OK "{\"return\": {}}"
#define ANSWERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void pausing_is_done_when_it_is_paused(void **state)
{
	const struct config_reaction reaction = { .kind = REACTION_PAUSE };
	struct reaction_job job;
	struct err err = {0};
	int r;

	(void)state;
	assert_string_equal(carry_out(&reaction, ANSWERS(OK, "{\"return\": {\"running\": false}}"),
				      &job, &r, &err),
			    "{\"execute\":\"stop\"}\n{\"execute\":\"query-status\"}\n");
	assert_int_equal(r, 0);
	carry_out(&reaction, ANSWERS(OK, "{\"return\": {\"running\": true}}"), &job, &r, &err);
	assert_int_equal(r, -EIO);
	carry_out(&reaction, ANSWERS("{\"error\": {\"desc\": \"no\"}}"), &job, &r, &err);
	assert_int_equal(r, -ENOTSUP);
	assert_string_equal(err.text, "the monitor refuses: no");
}

static void a_guest_is_asked_or_switched_off(void **state)
{
	const struct config_reaction ask = { .kind = REACTION_SHUTDOWN };
	const struct config_reaction off = { .kind = REACTION_POWEROFF };
	struct reaction_job job;
	struct err err = {0};
	int r;

	(void)state;
	assert_string_equal(carry_out(&ask, ANSWERS(OK), &job, &r, &err),
			    "{\"execute\":\"system_powerdown\"}\n");
	assert_int_equal(r, 0);
	assert_string_equal(carry_out(&off, ANSWERS(OK), &job, &r, &err),
			    "{\"execute\":\"quit\"}\n");
	assert_int_equal(r, 0);
}

#define NETWORK                                                                          \
	"{\"return\": \"net0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54\\r\\n" \
	" \\\\ host0: index=0,type=user,net=10.0.2.0\\r\\n"                              \
	"hub 0\\r\\n \\\\ hub0port0: e1000.0: index=0,type=nic,model=e1000\\r\\n\"}"

static void every_interface_loses_its_link(void **state)
{
	const struct config_reaction reaction = { .kind = REACTION_UNLINK };
	struct reaction_job job;
	struct err err = {0};
	const char *heard;
	int r;

	(void)state;
	heard = carry_out(&reaction, ANSWERS(NETWORK, OK, OK), &job, &r, &err);
	assert_int_equal(r, 0);
	assert_non_null(strstr(heard, "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"net0\","
				      "\"up\":false}}\n"));
	assert_non_null(strstr(heard, "\"e1000.0\""));
	assert_null(strstr(heard, "host0"));
	assert_string_equal(job.done, "2 network interfaces");
	/* One that stays is a failure. */
	carry_out(&reaction, ANSWERS(NETWORK, OK, "{\"error\": {\"desc\": \"no\"}}"), &job, &r, &err);
	assert_int_equal(r, -ENOTSUP);
	carry_out(&reaction, ANSWERS("{\"return\": \"\"}"), &job, &r, &err);
	assert_int_equal(r, -ENODEV);
}

/* The names in a directory, and what the only one holds. */
static unsigned entries(const char *path, char name[256])
{
	cleanup(dir_close) DIR *dir = opendir(path);
	const struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(dir)))
		if (*entry->d_name != '.') {
			snprintf(name, 256, "%s", entry->d_name);
			n++;
		}
	return n;
}

static void a_dump_has_its_name_when_it_is_complete(void **state)
{
	char dir[64] = "/tmp/hvsm-dump-XXXXXX", name[256], path[512];
	const struct config_reaction reaction = { .kind = REACTION_DUMP, .directory = dir };
	struct reaction_job job;
	struct stat status;
	struct err err = {0};
	const char *heard;
	int r;

	(void)state;
	assert_non_null(mkdtemp(dir));
	heard = carry_out(&reaction, ANSWERS(OK, OK), &job, &r, &err);
	assert_int_equal(r, 0);
	assert_string_equal(heard, "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"hvsm-dump\"}}\n"
			    "{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":false,"
			    "\"protocol\":\"fd:hvsm-dump\"}}\n");
	assert_int_equal(entries(dir, name), 1);
	assert_int_equal(strncmp(name, "0c8e1d1a-0000-4000-8000-000000000001-2", 38), 0);
	assert_string_equal(name + strlen(name) - 5, ".core");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_string_equal(job.done, path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 4);
	assert_int_equal(status.st_mode & 0777, 0600);
	unlink(path);

	/* What is not complete does not stay. */
	carry_out(&reaction, ANSWERS(OK, "{\"error\": {\"desc\": \"disk full\"}}"), &job, &r, &err);
	assert_int_equal(r, -ENOTSUP);
	assert_int_equal(entries(dir, name), 0);
	carry_out(&reaction, ANSWERS(OK), &job, &r, &err);
	assert_true(r < 0);
	assert_int_equal(entries(dir, name), 0);

	/* Where others could put links in its way it is not written at all. */
	assert_int_equal(chmod(dir, 0777), 0);
	assert_string_equal(carry_out(&reaction, ANSWERS(OK), &job, &r, &err), "");
	assert_int_equal(r, -EACCES);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pausing_is_done_when_it_is_paused),
		cmocka_unit_test(a_guest_is_asked_or_switched_off),
		cmocka_unit_test(every_interface_loses_its_link),
		cmocka_unit_test(a_dump_has_its_name_when_it_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
