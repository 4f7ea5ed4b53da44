/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inside.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>
#include <cmocka.h>

#include "agent/users.h"
#include "base/now.h"

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"

/* A /proc of our own making, in a directory. */
static char top[] = "/tmp/hvsm-inside-XXXXXX";
static int dir;
static struct memory region, ring;
static struct agent_anchor anchor;
static struct inside inside;
static struct events events;

static void make_dir(const char *name)
{
	assert_true(mkdirat(dir, name, 0755) == 0 || errno == EEXIST);
}

static void make_bytes(const char *name, const void *data, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void make_file(const char *name, const char *text)
{
	make_bytes(name, text, strlen(text));
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	memcpy(top + strlen(top) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	make_dir("1");
	make_dir("1/net");
	make_dir("self");
	make_file("1/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	make_file("modules", "ext4 4096 1 - Live 0x0\n");

	anchor = (struct agent_anchor){0};
	assert_int_equal(memory_reserve(&region, 2ull * AGENT_INSIDE_MAX, &err), 0);
	assert_int_equal(memory_reserve(&ring, AGENT_EVENTS * sizeof(struct agent_event), &err), 0);
	assert_int_equal(events_init(&events, &anchor, &ring, &err), 0);
	inside_init(&inside, &anchor, &region, dup(dir), &events);
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	assert_int_equal(system(command), 0);
	close(inside.proc);
	close(dir);
	munmap(region.at, region.size_bytes);
	munmap(ring.at, ring.size_bytes);
	return 0;
}

static const struct agent_inside *view(void)
{
	return (const struct agent_inside *)(region.at + anchor.inside_sequence % 2 *
					     AGENT_INSIDE_MAX);
}

/* How many items of a kind there are, and the last of them. */
static unsigned count(enum agent_item_kind kind, const struct agent_item **last)
{
	const struct agent_inside *of = view();
	const struct agent_item *item;
	uint64_t at = sizeof(*of);
	unsigned n = 0;

	for (uint32_t i = 0; i < of->items; i++, at += item->size_bytes) {
		item = (const struct agent_item *)((const char *)of + at);
		if (item->kind != kind)
			continue;
		n++;
		if (last)
			*last = item;
	}
	assert_int_equal(at, of->size_bytes);
	return n;
}

static bool missing(enum agent_item_kind kind)
{
	return view()->missing & 1u << kind;
}

static const struct agent_event *event(uint64_t sequence)
{
	const struct agent_event *at = (const struct agent_event *)ring.at;

	return at[sequence % AGENT_EVENTS].sequence == sequence ? &at[sequence % AGENT_EVENTS] : NULL;
}

static void a_view_has_everything_and_its_times(void **state)
{
	uint64_t before = now_ns(CLOCK_BOOTTIME);
	const struct agent_item *item;
	const struct agent_socket *socket;

	(void)state;
	make_dir("4194304");
	make_dir("007");
	make_file("1/net/tcp", HEADING "   0: 0100007F:0016 00000000:0000 0A 0:0 00:0 0  0  0 77 1\n");
	make_file("1/net/udp6", HEADING
		  "   0: 00000000000000000000000001000000:0035 "
		  "00000000000000000000000000000000:0000 07 0:0 00:0 0  101  0 78 1\n");
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(anchor.inside_sequence, 1);
	assert_int_equal(view()->sequence, 1);
	assert_true(view()->begun_ns >= before && view()->begun_ns <= view()->ended_ns &&
		    view()->ended_ns <= now_ns(CLOCK_BOOTTIME));
	assert_int_equal(view()->missing & ~(1u << AGENT_ITEM_USER), 0);

	assert_int_equal(count(AGENT_ITEM_TASK, NULL), 2);
	assert_int_equal(count(AGENT_ITEM_MODULE, &item), 1);
	assert_int_equal(item->number, 4096);
	assert_memory_equal(item + 1, "ext4", 4);
	assert_int_equal(count(AGENT_ITEM_MOUNT, &item), 1);
	assert_int_equal(item->value, 8 << 20 | 1);
	assert_int_equal(count(AGENT_ITEM_SOCKET, &item), 2);
	assert_int_equal(item->number, 78);
	assert_int_equal(item->text_bytes, sizeof(*socket));
	socket = (const struct agent_socket *)(item + 1);
	assert_int_equal(socket->family, AF_INET6);
	assert_int_equal(socket->protocol, IPPROTO_UDP);
	assert_int_equal(socket->local_port, 53);
	assert_int_equal(socket->uid, 101);
}

static void views_take_turns_and_the_ring_tells_changes(void **state)
{
	(void)state;
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(anchor.inside_sequence, 2);
	assert_int_equal(anchor.events_next, 0);	/* nothing has changed */

	/* The size of ext4 is another, as its init code has gone; that is no news. */
	make_file("modules", "evil\x01 8192 0 - Live 0x0\next4 2048 1 - Live 0x0\n");
	make_file("1/mountinfo", "22 1 0:9 / /a/very/long/place/that/has/no/room/in/it rw - t t rw\n");
	make_dir("99");
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(((const struct agent_inside *)region.at)->sequence, 2);
	assert_int_equal(anchor.events_next, 4);
	assert_int_equal(event(0)->type, AGENT_EVENT_MODULE_IN);
	assert_string_equal(event(0)->text, "evil\x01");
	assert_int_equal(event(1)->type, AGENT_EVENT_UNMOUNT);
	assert_int_equal(event(1)->value, 21);
	assert_string_equal(event(1)->text, "/");
	assert_int_equal(event(2)->type, AGENT_EVENT_MOUNT);
	assert_int_equal(event(2)->value, 22);
	assert_memory_equal(event(2)->text, "ong/place/that/has/no/room/in/it", 32);
	assert_int_equal(event(3)->type, AGENT_EVENT_EXEC);	/* no connector here */
	assert_int_equal(event(3)->pid, 99);
	assert_true(event(3)->value == UINT64_MAX);
	assert_null(event(4));
}

static void a_line_that_is_none_is_told_as_missing(void **state)
{
	(void)state;
	make_file("modules", "evil\nname 4096 1 - Live 0x0\nnext 4096 0 - Live 0x0\n");
	make_file("1/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n");
	make_file("1/net/raw", HEADING "what is this\n");
	assert_int_equal(inside_take(&inside), 0);
	assert_true(missing(AGENT_ITEM_MODULE) && missing(AGENT_ITEM_MOUNT) &&
		    missing(AGENT_ITEM_SOCKET));
	assert_false(missing(AGENT_ITEM_TASK));
	assert_int_equal(count(AGENT_ITEM_MODULE, NULL), 2);
	assert_int_equal(count(AGENT_ITEM_MOUNT, NULL), 1);

	/* And what is missing is no change. */
	make_file("modules", "ext4 4096 1 - Live 0x0\n");
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(anchor.events_next, 0);
}

static void a_file_that_cannot_be_read_is_told_as_missing(void **state)
{
	(void)state;
	assert_int_equal(unlinkat(dir, "1/mountinfo", 0), 0);
	assert_int_equal(unlinkat(dir, "modules", 0), 0);
	make_dir("modules");
	assert_int_equal(symlinkat("/etc/passwd", dir, "1/net/tcp"), 0);
	assert_int_equal(inside_take(&inside), 0);
	assert_true(missing(AGENT_ITEM_MODULE) && missing(AGENT_ITEM_MOUNT) &&
		    missing(AGENT_ITEM_SOCKET));
}

static void a_kernel_without_modules_and_ipv6_has_nothing_missing(void **state)
{
	(void)state;
	assert_int_equal(unlinkat(dir, "modules", 0), 0);
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(view()->missing & ~(1u << AGENT_ITEM_USER), 0);
	assert_int_equal(count(AGENT_ITEM_SOCKET, NULL), 0);
}

/* @n lines of sockets with inodes from @first on. */
static void many_sockets(const char *name, unsigned n, unsigned first)
{
	size_t room = (size_t)n * 80 + 200, at = 0;
	char *text = malloc(room);

	at += (size_t)snprintf(text, room, HEADING);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, room - at, "%u: %08X:%04X 00000000:0000 01 0:0 00:0 "
				       "0 0 0 %u 1\n", i, i, i & 0xffff, first + i);
	make_file(name, text);
	free(text);
}

static void a_list_in_pieces_counts_each_once(void **state)
{
	(void)state;
	/* Read twice, as no earlier view says the same; then once, as one does. */
	many_sockets("1/net/tcp", 5000, 1);
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(count(AGENT_ITEM_SOCKET, NULL), 5000);
	assert_int_equal(inside_take(&inside), 0);
	assert_int_equal(count(AGENT_ITEM_SOCKET, NULL), 5000);
	assert_false(missing(AGENT_ITEM_SOCKET));
}

static void more_sockets_than_there_is_room_leave_the_rest_whole(void **state)
{
	(void)state;
	many_sockets("1/net/udp", 200000, 1);
	assert_int_equal(inside_take(&inside), 0);
	assert_true(missing(AGENT_ITEM_SOCKET));
	assert_false(missing(AGENT_ITEM_TASK) || missing(AGENT_ITEM_MODULE) ||
		     missing(AGENT_ITEM_MOUNT));
	assert_true(view()->size_bytes <= AGENT_INSIDE_MAX);
	assert_int_equal(count(AGENT_ITEM_TASK, NULL), 1);
	assert_true(count(AGENT_ITEM_SOCKET, NULL) > 100000);

	many_sockets("1/net/udp", 3, 1);
	assert_int_equal(inside_take(&inside), 0);
	assert_false(missing(AGENT_ITEM_SOCKET));
	assert_int_equal(count(AGENT_ITEM_SOCKET, NULL), 3);
}

static void who_is_logged_in(void **state)
{
	struct utmp records[3] = {
		{ .ut_type = BOOT_TIME, .ut_pid = 1, .ut_user = "reboot" },
		{ .ut_type = USER_PROCESS, .ut_pid = 500 },
		{ .ut_type = DEAD_PROCESS, .ut_pid = 501, .ut_user = "gone" },
	};
	struct memory memory;
	struct items items;
	struct err err;
	const struct agent_item *item;

	(void)state;
	memset(records[1].ut_user, 'u', sizeof(records[1].ut_user));	/* full: no NUL */
	memset(records[1].ut_line, 'l', sizeof(records[1].ut_line));
	make_bytes("utmp", records, sizeof(records));
	make_dir("systemd");
	make_dir("systemd/sessions");
	make_file("systemd/sessions/1", "USER=same\nLEADER=500\nCLASS=user\n");
	make_file("systemd/sessions/c2", "USER=root\nLEADER=600\nTTY=pts/3\nCLASS=user\n");
	make_file("systemd/sessions/3", "USER=root\nLEADER=601\nCLASS=manager\n");
	make_file("systemd/sessions/4", "USER=root\nLEADER=1x\nCLASS=user\n");
	assert_int_equal(mkfifoat(dir, "systemd/sessions/1.ref", 0600), 0);

	assert_int_equal(memory_reserve(&memory, 1 << 20, &err), 0);
	assert_int_equal(items_begin(&items, &memory), 0);
	users_list(&items, dir);
	assert_int_equal(items.n, 2);
	assert_int_equal(items.missing, 0);
	item = items_at(&items, sizeof(struct agent_inside));
	assert_int_equal(item->number, 500);
	assert_int_equal(item->text_bytes, UT_NAMESIZE + 1 + UT_LINESIZE);
	item = items_at(&items, sizeof(struct agent_inside) + item->size_bytes);
	assert_int_equal(item->number, 600);
	assert_memory_equal(item + 1, "root\0pts/3", 10);

	/* What is no file is not opened, and does not hold us up. */
	assert_int_equal(unlinkat(dir, "utmp", 0), 0);
	assert_int_equal(mkfifoat(dir, "utmp", 0600), 0);
	assert_int_equal(items_begin(&items, &memory), 0);
	users_list(&items, dir);
	assert_int_equal(items.missing, 1 << AGENT_ITEM_USER);
	munmap(memory.at, memory.size_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_view_has_everything_and_its_times, setup, teardown),
		cmocka_unit_test_setup_teardown(views_take_turns_and_the_ring_tells_changes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_line_that_is_none_is_told_as_missing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_is_told_as_missing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_kernel_without_modules_and_ipv6_has_nothing_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_in_pieces_counts_each_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			more_sockets_than_there_is_room_leave_the_rest_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_logged_in, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
