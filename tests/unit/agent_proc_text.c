/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/proc_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void only_numbers_are_processes(void **state)
{
	(void)state;
	assert_int_equal(proc_pid("1"), 1);
	assert_int_equal(proc_pid("4194304"), 4194304);
	assert_int_equal(proc_pid("2147483647"), INT32_MAX);
	assert_int_equal(proc_pid("2147483648"), 0);
	assert_int_equal(proc_pid("99999999999999999999"), 0);
	assert_int_equal(proc_pid("0"), 0);
	assert_int_equal(proc_pid("01"), 0);
	assert_int_equal(proc_pid("-1"), 0);
	assert_int_equal(proc_pid("1a"), 0);
	assert_int_equal(proc_pid("self"), 0);
	assert_int_equal(proc_pid(""), 0);
}

static int module(const char *line)
{
	const char *name;
	size_t name_bytes;
	uint64_t size;

	return proc_module(line, strlen(line), &name, &name_bytes, &size);
}

static void a_module_has_a_name_and_a_size(void **state)
{
	const char *line = "nf_nat 57344 2 nft_chain_nat,xt_MASQUERADE, Live 0xffffffffc0a1b000 (E)";
	const char *name;
	size_t name_bytes;
	uint64_t size;

	(void)state;
	assert_int_equal(proc_module(line, strlen(line), &name, &name_bytes, &size), 0);
	assert_int_equal(name_bytes, 6);
	assert_memory_equal(name, "nf_nat", 6);
	assert_int_equal(size, 57344);
	/* With a line that was cut off, or a name of hostile bytes, as long as both are there. */
	assert_int_equal(module("\x1b[2J\xff 16384"), 0);
	assert_int_equal(module(""), -EBADMSG);
	assert_int_equal(module("   "), -EBADMSG);
	assert_int_equal(module("evil"), -EBADMSG);
	assert_int_equal(module("evil name 16384 0 - Live"), -EBADMSG);
	assert_int_equal(module("evil 0x4000 0 - Live"), -EBADMSG);
	assert_int_equal(module("evil 18446744073709551616 0 -"), -EBADMSG);
	assert_int_equal(module("evil -1 0 -"), -EBADMSG);
}

static int parse(const char *line, uint16_t family, struct agent_socket *socket, uint64_t *inode)
{
	return proc_socket(line, strlen(line), family, socket, inode);
}

static void a_socket_of_ipv4(void **state)
{
	struct agent_socket socket;
	uint64_t inode;

	(void)state;
	assert_int_equal(parse("   0: 0100007F:1F90 08080808:0035 0A 00000000:00000000 00:00000000 "
			       "00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0",
			       AF_INET, &socket, &inode), 0);
	assert_memory_equal(socket.local, "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(socket.remote, "\x08\x08\x08\x08", 4);
	assert_int_equal(socket.local_port, 8080);
	assert_int_equal(socket.remote_port, 53);
	assert_int_equal(socket.state, 10);
	assert_int_equal(socket.uid, 1000);
	assert_int_equal(inode, 12345);
}

static void a_socket_of_ipv6(void **state)
{
	const uint8_t local[16] = { 0xfe, 0x80, [15] = 1 };
	struct agent_socket socket;
	uint64_t inode;

	(void)state;
	assert_int_equal(parse("1234: 000080FE000000000000000001000000:0016 "
			       "00000000000000000000000000000000:0000 07 00000000:00000000 "
			       "00:00000000 00000000     0        0 4294967297 2 "
			       "0000000000000000 0", AF_INET6, &socket, &inode), 0);
	assert_memory_equal(socket.local, local, 16);
	assert_int_equal(socket.local_port, 22);
	assert_int_equal(socket.state, 7);
	assert_int_equal(inode, 4294967297);
}

static void what_is_no_socket_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"", "sl  local_address rem_address   st tx_queue rx_queue tr tm->when",
		"0: 0100007F:1F90",
		"0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0",
		"0: 0100007F-1F90 00000000:0000 0A 0:0 00:0 0 0 0 1 1",
		"0: 0100007G:1F90 00000000:0000 0A 0:0 00:0 0 0 0 1 1",
		"0: 0100007F:11F90 00000000:0000 0A 0:0 00:0 0 0 0 1 1",
		"0: 0100007F:1F90 00000000:0000 1FFFFFFFF 0:0 00:0 0 0 0 1 1",
		"0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 4294967296 0 1 1",
		"0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 99999999999999999999 1",
		"0: 00000000000000000000000000000000:0016 0100007F:1F90 0A 0:0 00:0 0 0 0 1 1",
	};
	struct agent_socket socket;
	uint64_t inode = 7;

	(void)state;
	memset(&socket, 0xa5, sizeof(socket));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], AF_INET, &socket, &inode), -EBADMSG);
	assert_int_equal(socket.state, 0xa5a5a5a5);
	assert_int_equal(inode, 7);
}

static struct {
	unsigned n;
	struct proc_mount last;
} seen;

static void on_mount(const struct proc_mount *mount, void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.n++;
	seen.last = *mount;
}

/* The same text in pieces of each size: no boundary matters. */
static bool mounts(const char *text, size_t piece)
{
	static struct proc_mounts mounts;
	size_t len = strlen(text);

	seen.n = 0;
	proc_mounts_begin(&mounts, on_mount, &seen);
	for (size_t at = 0; at < len; at += piece)
		proc_mounts_feed(&mounts, text + at, len - at < piece ? len - at : piece);
	proc_mounts_end(&mounts);
	return !mounts.damaged;
}

static void a_mount_in_pieces_of_any_size(void **state)
{
	const char *text =
		"24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"4321 24 259:1048575 /a\\040b /mnt/new\\012line\\134and\\011tab\\040 rw - xfs x rw\n";
	const char point[] = "/mnt/new\nline\\and\ttab ";

	(void)state;
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		assert_true(mounts(text, piece));
		assert_int_equal(seen.n, 2);
		assert_int_equal(seen.last.id, 4321);
		assert_int_equal(seen.last.device, 259ull << 20 | 1048575);
		assert_int_equal(seen.last.point_bytes, sizeof(point) - 1);
		assert_memory_equal(seen.last.point, point, sizeof(point) - 1);
	}
}

static void a_path_longer_than_any_buffer(void **state)
{
	enum { LONG = 3 << 20 };
	char *text = malloc(2 * LONG + 100);
	size_t n;

	(void)state;
	assert_non_null(text);
	n = (size_t)sprintf(text, "5 1 0:7 /");
	memset(text + n, 'r', LONG);
	n += LONG;
	n += (size_t)sprintf(text + n, " /m");
	memset(text + n, 'p', LONG);
	n += LONG;
	sprintf(text + n, " rw - tmpfs x rw\n6 1 0:8 / /next rw - tmpfs x rw\n");
	assert_true(mounts(text, 4096));
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.last.id, 6);

	/* The first of them by itself: the beginning of its path is kept. */
	text[n + strlen(" rw - tmpfs x rw\n")] = '\0';
	assert_true(mounts(text, 1000));
	assert_int_equal(seen.last.id, 5);
	assert_int_equal(seen.last.device, 7);
	assert_int_equal(seen.last.point_bytes, AGENT_PATH_MAX);
	assert_memory_equal(seen.last.point, "/mppp", 5);
	free(text);
}

static void what_is_no_mount_is_told(void **state)
{
	static const char *const bad[] = {
		"\n", "24\n", "24 1 8:1 / /point\n", "x 1 8:1 / / rw - ext4 a rw\n",
		" 1 8:1 / / rw - ext4 a rw\n", "24 1 8:1 / /a\\04 rw - ext4 a rw\n",
		"24 1 8:1 / /a\\999 rw - ext4 a rw\n", "24 1 8: / /a rw - ext4 a rw\n",
		"99999999999 1 8:1 / / rw - ext4 a rw\n", "24 1 8:1 / / rw - ext4 a rw",
		"24 1 -8:1 / / rw - ext4 a rw\n",
	};

	(void)state;
	assert_true(mounts("", 1));
	assert_int_equal(seen.n, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(mounts(bad[i], 3));
}

static void values_of_a_state_file(void **state)
{
	const char text[] = "UID=0\nUSER=root\nTTY=\nXLEADER=9\nLEADER=123\nCLASS=user";
	char value[8];

	(void)state;
	assert_int_equal(proc_value(text, strlen(text), "USER", value, sizeof(value)), 4);
	assert_memory_equal(value, "root", 4);
	assert_int_equal(proc_value(text, strlen(text), "TTY", value, sizeof(value)), 0);
	assert_int_equal(proc_value(text, strlen(text), "LEADER", value, sizeof(value)), 3);
	assert_memory_equal(value, "123", 3);
	assert_int_equal(proc_value(text, strlen(text), "CLASS", value, 2), 2);
	assert_memory_equal(value, "us", 2);
	assert_int_equal(proc_value(text, strlen(text), "CLAS", value, sizeof(value)), 0);
	assert_int_equal(proc_value(text, 3, "UID", value, sizeof(value)), 0);
	assert_int_equal(proc_value("", 0, "UID", value, sizeof(value)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_numbers_are_processes),
		cmocka_unit_test(a_module_has_a_name_and_a_size),
		cmocka_unit_test(a_socket_of_ipv4),
		cmocka_unit_test(a_socket_of_ipv6),
		cmocka_unit_test(what_is_no_socket_changes_nothing),
		cmocka_unit_test(a_mount_in_pieces_of_any_size),
		cmocka_unit_test(a_path_longer_than_any_buffer),
		cmocka_unit_test(what_is_no_mount_is_told),
		cmocka_unit_test(values_of_a_state_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
