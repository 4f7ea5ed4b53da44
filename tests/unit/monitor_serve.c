/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/serve.h"

#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/now.h"

/* A server in this process, and the loop it needs; a client's step is one pass of the loop. */
struct world {
	struct loop loop;
	struct server server;
	char path[64];
	int fd;
};

/* Says the line again; "watch" makes it a watcher, "bad" ends it. */
static int echo(struct client *client, const char *line, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	if (!strcmp(line, "bad"))
		return -EPROTO;
	client->watches |= !strcmp(line, "watch");
	return serve_write(client, line, strlen(line));
}

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

/* Some periods of the loop: all that is there is done. */
static void run(struct world *world)
{
	struct err err = { 0 };

	world->loop.stop = false;
	assert_int_equal(loop_run(&world->loop, &err), 0);
}

static struct sockaddr_un address_of(const struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, world->path, strlen(world->path));
	return address;
}

static struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sockaddr_un address;
	struct err err = { 0 };

	assert_non_null(world);
	snprintf(world->path, sizeof(world->path), "/tmp/hvsm-serve-%d", (int)getpid());
	address = address_of(world);
	unlink(world->path);
	world->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(world->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(world->fd, 8), 0);
	assert_int_equal(loop_init(&world->loop, 20, &err), 0);
	assert_int_equal(loop_every(&world->loop, stop, &world->loop, &err), 0);
	assert_int_equal(serve_start(&world->server, &world->loop, world->fd, (gid_t)-1, echo, NULL,
				     &err), 0);
	return world;
}

static void world_free(struct world *world)
{
	serve_stop(&world->server);
	loop_deinit(&world->loop);
	close(world->fd);
	unlink(world->path);
	free(world);
}

static int join(const struct world *world)
{
	struct sockaddr_un address = address_of(world);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void expect(struct world *world, int fd, const char *text)
{
	char got[256] = "";
	size_t n = 0;

	while (n < strlen(text)) {
		ssize_t more = recv(fd, got + n, sizeof(got) - 1 - n, MSG_DONTWAIT);

		if (more > 0)
			n += (size_t)more;
		else
			run(world);
	}
	assert_string_equal(got, text);
}

/* Its end, not another word. */
static void expect_end(struct world *world, int fd)
{
	char byte;
	ssize_t n;

	do {
		run(world);
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
	} while (n < 0 && errno == EAGAIN);
	assert_true(n == 0 || errno == ECONNRESET);
}

static void lines_are_answered_one_by_one(void **state)
{
	struct world *world = world_new();
	int fd = join(world);

	(void)state;
	assert_int_equal(send(fd, "one\ntw", 6, 0), 6);
	expect(world, fd, "one\n");
	assert_int_equal(send(fd, "o\n", 2, 0), 2);
	expect(world, fd, "two\n");
	close(fd);
	run(world);
	assert_null(world->server.clients[0]);
	world_free(world);
}

static void who_watches_is_told(void **state)
{
	struct world *world = world_new();
	int watcher = join(world), other = join(world);

	(void)state;
	assert_false(serve_is_watched(&world->server));
	assert_int_equal(send(watcher, "watch\n", 6, 0), 6);
	expect(world, watcher, "watch\n");
	assert_true(serve_is_watched(&world->server));
	assert_int_equal(send(other, "x\n", 2, 0), 2);
	expect(world, other, "x\n");
	serve_publish(&world->server, "news", 4);
	expect(world, watcher, "news\n");
	assert_int_equal(recv(other, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	close(watcher);
	close(other);
	world_free(world);
}

static void who_says_what_may_not_be_said_is_dropped(void **state)
{
	struct world *world = world_new();
	char flood[SERVE_LINE_MAX + 1];
	int fd = join(world);

	(void)state;
	assert_int_equal(send(fd, "bad\n", 4, 0), 4);
	expect_end(world, fd);
	close(fd);
	fd = join(world);
	assert_int_equal(send(fd, "a\0b\n", 4, 0), 4);
	expect_end(world, fd);
	close(fd);
	fd = join(world);
	memset(flood, 'x', sizeof(flood));
	assert_int_equal(send(fd, flood, sizeof(flood), 0), sizeof(flood));
	expect_end(world, fd);
	close(fd);
	world_free(world);
}

static void a_watcher_that_does_not_read_is_dropped(void **state)
{
	struct world *world = world_new();
	static char line[64 * 1024];
	int fd = join(world);

	(void)state;
	memset(line, 'x', sizeof(line));
	assert_int_equal(send(fd, "watch\n", 6, 0), 6);
	expect(world, fd, "watch\n");
	for (size_t i = 0; i < 2 * SERVE_UNREAD_MAX / sizeof(line) + 8; i++)
		serve_publish(&world->server, line, sizeof(line));
	assert_null(world->server.clients[0]);
	close(fd);
	world_free(world);
}

static void there_is_room_for_so_many_clients(void **state)
{
	struct world *world = world_new();
	int fds[SERVE_CLIENTS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
		fds[i] = join(world);
		run(world);
	}
	fds[SERVE_CLIENTS_MAX] = join(world);
	expect_end(world, fds[SERVE_CLIENTS_MAX]);
	assert_int_equal(send(fds[0], "still\n", 6, 0), 6);
	expect(world, fds[0], "still\n");
	for (size_t i = 0; i <= SERVE_CLIENTS_MAX; i++)
		close(fds[i]);
	world_free(world);
}

/* Who asks, or watches, stays. */
static void who_does_nothing_makes_room(void **state)
{
	struct world *world = world_new();
	const uint64_t idle = SERVE_IDLE_S * 1000000000ull;
	int watcher = join(world), quiet = join(world), asker;
	uint64_t later;

	(void)state;
	assert_int_equal(send(watcher, "watch\n", 6, 0), 6);
	expect(world, watcher, "watch\n");
	serve_tick(&world->server, now_ns(CLOCK_MONOTONIC));
	assert_non_null(world->server.clients[1]);
	later = now_ns(CLOCK_MONOTONIC) + 1;
	asker = join(world);
	assert_int_equal(send(asker, "x\n", 2, 0), 2);
	expect(world, asker, "x\n");
	serve_tick(&world->server, later + idle);
	expect_end(world, quiet);
	assert_int_equal(send(asker, "y\n", 2, 0), 2);
	expect(world, asker, "y\n");
	serve_tick(&world->server, now_ns(CLOCK_MONOTONIC) + 2 * idle);
	expect_end(world, asker);
	assert_true(serve_is_watched(&world->server));
	close(watcher);
	close(quiet);
	close(asker);
	world_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_answered_one_by_one),
		cmocka_unit_test(who_watches_is_told),
		cmocka_unit_test(who_says_what_may_not_be_said_is_dropped),
		cmocka_unit_test(a_watcher_that_does_not_read_is_dropped),
		cmocka_unit_test(there_is_room_for_so_many_clients),
		cmocka_unit_test(who_does_nothing_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
