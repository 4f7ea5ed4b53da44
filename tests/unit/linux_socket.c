/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/socket.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/holder.h"
#include "ram/fake.h"

/* As 6.1 has it, as far as the view asks. */
static const struct made_struct types[] = {
	HOLDER_TYPES,
	{ "in6_addr", 16, { { "bytes", 0, "u8", 16 } } },
	{ "sock_common", 136, {
		{ "skc_daddr", 0, "u32" }, { "skc_rcv_saddr", 4, "u32" }, { "skc_dport", 12, "u16" },
		{ "skc_num", 14, "u16" }, { "skc_family", 16, "u16" }, { "skc_state", 18, "u8" },
		{ "skc_bound_dev_if", 20, "u32" }, { "skc_portaddr_node", 24, "hlist_node" },
		{ "skc_net", 48, "ptr" },
		{ "skc_v6_daddr", 56, "in6_addr" }, { "skc_v6_rcv_saddr", 72, "in6_addr" },
		{ "skc_listener", 96, "ptr" }, { "skc_node", 104, "hlist_node" } } },
	{ "sock", 256, {
		{ "__sk_common", 0, "sock_common" }, { "sk_type", 136, "u16" },
		{ "sk_protocol", 138, "u16" }, { "sk_uid", 140, "u32" }, { "sk_filter", 144, "ptr" },
		{ "sk_kern_sock", 152, "u8", 0, 1, 1 }, { "sk_socket", 160, "ptr" } } },
	{ "inet_timewait_sock", 208, {
		{ "__tw_common", 0, "sock_common" }, { "tw_substate", 140, "u8" } } },
	{ "inode", 64, { { "i_ino", 0, "u64" } } },
	{ "socket", 64, { { "sk", 24, "ptr" } } },
	{ "socket_alloc", 128, { { "socket", 0, "socket" }, { "vfs_inode", 64, "inode" } } },
	{ "file", 64, { { "f_op", 0, "ptr" }, { "f_inode", 8, "ptr" },
			{ "private_data", 16, "ptr" } } },
	{ "ns_common", 24, { { "inum", 16, "u32" } } },
	{ "inet_hashinfo", 64, {
		{ "ehash", 0, "ptr" }, { "ehash_mask", 8, "u32" }, { "lhash2_mask", 12, "u32" },
		{ "lhash2", 16, "ptr" } } },
	{ "inet_ehash_bucket", 8, { { "chain", 0, "hlist_nulls_head" } } },
	{ "inet_listen_hashbucket", 16, { { "nulls_head", 8, "hlist_nulls_head" } } },
	{ "udp_hslot", 16, { { "head", 0, "hlist_head" } } },
	{ "udp_table", 24, { { "hash", 0, "ptr" }, { "hash2", 8, "ptr" }, { "mask", 16, "u32" } } },
	{ "raw_hashinfo", 256, { { "ht", 0, "hlist_head", 32 } } },
	{ "unix_table", 16, { { "buckets", 8, "ptr" } } },
	{ "netns_unix", 16, { { "table", 0, "unix_table" } } },
	{ "netns_packet", 8, { { "sklist", 0, "hlist_head" } } },
	{ "inet_timewait_death_row", 16, { { "hashinfo", 8, "ptr" } } },
	{ "netns_ipv4", 32, { { "tcp_death_row", 0, "inet_timewait_death_row" },
			      { "udp_table", 16, "ptr" } } },
	{ "net", 128, { { "list", 0, "list_head" }, { "ns", 16, "ns_common" },
			{ "unx", 40, "netns_unix" }, { "packet", 56, "netns_packet" },
			{ "ipv4", 64, "netns_ipv4" } } },
	{ "unix_address", 16, { { "len", 4, "u32" }, { "name", 8, "u8", 108 } } },
	{ "unix_sock", 320, { { "sk", 0, "sock" }, { "addr", 256, "ptr" }, { "peer", 264, "ptr" } } },
	{ "packet_sock", 320, { { "sk", 0, "sock" }, { "num", 256, "u16" },
				{ "ifindex", 260, "u32" } } },
};

enum { UNIX = 1, INET = 2, INET6 = 10, PACKET = 17, TCP = 6, UDP = 17 };

static struct world *world;
static struct tasks tasks;
static struct sockets got;
static struct err err;
static gva nets, tcp, udp, raw4, raw6, ehash, lhash, uhash, uhash2, net;
static gva files;

#define EHASH 1024u

static gva new_net(uint32_t inum)
{
	gva at = world_alloc(world, 128);

	world_list_add(world, nets, world_member(world, at, "net.list"));
	world_set(world, at, "net.ns.inum", inum);
	world_set(world, at, "net.unx.table.buckets", world_alloc(world, 512 * 8).v);
	world_set(world, at, "net.ipv4.tcp_death_row.hashinfo", tcp.v);
	world_set(world, at, "net.ipv4.udp_table", udp.v);
	return at;
}

static int setup(void **state)
{
	(void)state;
	world = world_new();
	nets = world_symbol(world, "net_namespace_list", 16);
	tcp = world_symbol(world, "tcp_hashinfo", 64);
	udp = world_symbol(world, "udp_table", 24);
	raw4 = world_symbol(world, "raw_v4_hashinfo", 256);
	raw6 = world_symbol(world, "raw_v6_hashinfo", 256);
	world_symbol(world, "socket_file_ops", 64);
	world_start(world, types, ARRAY_SIZE(types));

	ehash = world_alloc(world, EHASH * 8);
	lhash = world_alloc(world, 4 * 16);
	uhash = world_alloc(world, 16 * 16);
	world_set(world, tcp, "inet_hashinfo.ehash", ehash.v);
	world_set(world, tcp, "inet_hashinfo.ehash_mask", EHASH - 1);
	world_set(world, tcp, "inet_hashinfo.lhash2", lhash.v);
	world_set(world, tcp, "inet_hashinfo.lhash2_mask", 3);
	uhash2 = world_alloc(world, 16 * 16);
	world_set(world, udp, "udp_table.hash", uhash.v);
	world_set(world, udp, "udp_table.hash2", uhash2.v);
	world_set(world, udp, "udp_table.mask", 15);
	for (uint32_t i = 0; i < EHASH; i++)
		world_put(world, gva_add(ehash, 8ull * i), 2 * i + 1);
	for (uint32_t i = 0; i < 4; i++)
		world_put(world, gva_add(lhash, 16ull * i + 8), 2 * i + 1);
	net = new_net(4026531840u);
	files = holder_files(world, holder_task(world, &tasks, 7), 64);
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sockets_free(&got);
	tasks_free(&tasks);
	world_end(&world);
	return 0;
}

static int list(void)
{
	sockets_free(&got);
	return socket_list(world_kernel(world), world_view(world), &tasks, &got, &err);
}

static gva new_sock(unsigned family, unsigned type, unsigned protocol, unsigned state,
		    unsigned port)
{
	gva sock = world_alloc(world, 320), alloc = world_alloc(world, 128);
	static uint32_t inode = 1000;

	world_set(world, sock, "sock.__sk_common.skc_family", family);
	world_set(world, sock, "sock.__sk_common.skc_state", state);
	world_set(world, sock, "sock.__sk_common.skc_net", net.v);
	world_set(world, sock, "sock.__sk_common.skc_num", port);
	world_set(world, sock, "sock.sk_type", type);
	world_set(world, sock, "sock.sk_protocol", protocol);
	world_set(world, sock, "sock.sk_socket", alloc.v);
	world_set(world, alloc, "socket_alloc.socket.sk", sock.v);
	world_set(world, alloc, "socket_alloc.vfs_inode.i_ino", ++inode);
	return sock;
}

static gva link_of(gva sock)
{
	return world_member(world, sock, "sock.__sk_common.skc_node");
}

/* Open it as a file of the only process. */
static void hold(gva sock, uint32_t fd)
{
	gva file = world_alloc(world, 64);
	gva socket = gva_of(world_get(world, sock, "sock.sk_socket"));

	world_set(world, file, "file.private_data", socket.v);
	world_set(world, file, "file.f_inode",
		  world_member(world, socket, "socket_alloc.vfs_inode").v);
	holder_open(world, files, fd, file, false);
}

static const struct socket *seen(gva sock)
{
	for (size_t i = 0; i < got.all.n; i++)
		if (got.all.v[i].at.v == sock.v)
			return &got.all.v[i];
	return NULL;
}

static void a_socket_is_what_its_table_and_its_file_say(void **state)
{
	gva sock = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 22);
	const struct socket *socket;
	char text[64];

	(void)state;
	world_set(world, sock, "sock.__sk_common.skc_daddr", 0x0302000a);
	world_set(world, sock, "sock.__sk_common.skc_rcv_saddr", 0x0f02000a);
	world_set(world, sock, "sock.__sk_common.skc_dport", 0x5000);
	world_set(world, sock, "sock.sk_uid", 1000);
	world_hlist_add(world, gva_add(ehash, 8 * 77), link_of(sock));
	hold(sock, 3);
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.n, 1);
	socket = seen(sock);
	assert_int_equal(socket->kind, SOCKET_TCP);
	assert_string_equal(socket_kind_name(socket), "tcp");
	assert_string_equal(socket_state_name(socket->state), "ESTABLISHED");
	assert_string_equal(socket_print(socket, &socket->local, text, sizeof(text)),
			    "10.0.2.15:22");
	assert_string_equal(socket_print(socket, &socket->remote, text, sizeof(text)),
			    "10.0.2.3:80");
	assert_int_equal(socket->uid, 1000);
	assert_int_equal(socket->net, 4026531840u);
	assert_true(socket->listed && socket->held && !socket->unlisted && !socket->kernel);
	assert_int_equal(socket->owners_n, 1);
	assert_int_equal(got.owners.v[socket->owners_at].pid, 7);
	assert_int_equal(got.owners.v[socket->owners_at].fd, 3);
}

static void time_wait_sockets_are_no_full_sockets(void **state)
{
	gva sock = world_alloc(world, 208);
	const struct socket *socket;

	(void)state;
	world_set(world, sock, "inet_timewait_sock.__tw_common.skc_family", INET);
	world_set(world, sock, "inet_timewait_sock.__tw_common.skc_state", STATE_TIME_WAIT);
	world_set(world, sock, "inet_timewait_sock.__tw_common.skc_net", net.v);
	world_set(world, sock, "inet_timewait_sock.tw_substate", STATE_FIN_WAIT2);
	world_hlist_add(world, ehash, link_of(sock));
	assert_int_equal(list(), 0);
	socket = seen(sock);
	assert_int_equal(socket->kind, SOCKET_TCP);
	assert_int_equal(socket->state, STATE_FIN_WAIT2);
	assert_int_equal(socket->inode, 0);
	assert_int_equal(socket->owners_n, 0);
}

static void sockets_that_need_no_table_are_not_missed(void **state)
{
	(void)state;
	hold(new_sock(INET, TYPE_STREAM, TCP, STATE_CLOSE, 0), 3);
	hold(new_sock(INET, TYPE_STREAM, TCP, STATE_CLOSE, 80), 4);	/* bound */
	hold(new_sock(INET6, TYPE_DGRAM, UDP, STATE_CLOSE, 0), 5);
	hold(new_sock(INET, TYPE_STREAM, 262, STATE_ESTABLISHED, 80), 6);	/* MPTCP */
	hold(new_sock(40, TYPE_STREAM, 0, STATE_ESTABLISHED, 0), 7);	/* vsock */
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.n, 5);
	for (size_t i = 0; i < got.all.n; i++)
		assert_true(got.all.v[i].held && !got.all.v[i].listed && !got.all.v[i].unlisted);
}

static void sockets_that_no_table_has_are_told(void **state)
{
	gva socks[] = {
		new_sock(INET, TYPE_STREAM, TCP, STATE_LISTEN, 31337),
		new_sock(INET6, TYPE_STREAM, TCP, STATE_ESTABLISHED, 31337),
		new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 53),
		new_sock(INET, TYPE_RAW, 1, STATE_CLOSE, 1),
		new_sock(UNIX, TYPE_STREAM, 0, STATE_CLOSE, 0),
		new_sock(PACKET, TYPE_RAW, 0, STATE_CLOSE, 0),
	};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(socks); i++)
		hold(socks[i], 3 + i);
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.n, ARRAY_SIZE(socks));
	for (size_t i = 0; i < got.all.n; i++)
		assert_true(got.all.v[i].unlisted);
}

/* Taken out of the table that is shown, left in the one by which packets find it. */
static void a_socket_in_the_second_table_only_is_told(void **state)
{
	gva hidden = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 53);
	gva honest = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 54);

	(void)state;
	world_hlist_add(world, gva_add(uhash2, 16),
			world_member(world, hidden, "sock.__sk_common.skc_portaddr_node"));
	world_hlist_add(world, gva_add(uhash2, 16),
			world_member(world, honest, "sock.__sk_common.skc_portaddr_node"));
	world_hlist_add(world, uhash, link_of(honest));
	assert_int_equal(list(), 0);
	assert_true(seen(hidden)->second && seen(hidden)->unlisted && !seen(hidden)->held);
	assert_true(seen(honest)->second && seen(honest)->listed && !seen(honest)->unlisted);
}

/* Where a table was not seen to its end, nobody can say that a socket is not in it. */
static void a_broken_table_accuses_nobody(void **state)
{
	gva sock = new_sock(INET, TYPE_STREAM, TCP, STATE_LISTEN, 31337);
	gva hidden = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 53);

	(void)state;
	hold(sock, 3);
	hold(hidden, 4);
	world_put(world, gva_add(ehash, 8), world_nowhere().v);
	assert_int_equal(list(), -EFAULT);
	assert_false(seen(sock)->unlisted);
	assert_true(seen(hidden)->unlisted);
}

/* Its operations are replaced; the inode beside the socket still tells. */
static void a_file_with_other_operations_is_a_socket(void **state)
{
	gva sock = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 53), file = world_alloc(world, 64);
	gva other;

	(void)state;
	hold(sock, 3);
	world_set(world, file, "file.private_data", world_get(world, sock, "sock.sk_socket"));
	world_set(world, file, "file.f_inode", world_alloc(world, 64).v);
	holder_open(world, files, 4, file, false);	/* neither tells: some other file */
	assert_int_equal(kernel_symbol(world_kernel(world), "socket_file_ops", &other, &err), 0);
	world_set(world, file, "file.f_op", other.v);
	assert_int_equal(list(), 0);
	assert_int_equal(seen(sock)->owners_n, 2);
	world_set(world, file, "file.f_op", world_nowhere().v);
	assert_int_equal(list(), 0);
	assert_int_equal(seen(sock)->owners_n, 1);
}

static void forged_sizes_are_refused(void **state)
{
	gva sock = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 53);

	(void)state;
	world_hlist_add(world, uhash, link_of(sock));
	world_set(world, tcp, "inet_hashinfo.ehash_mask", UINT32_MAX);
	world_set(world, tcp, "inet_hashinfo.lhash2_mask", UINT32_MAX);
	assert_int_equal(list(), -EBADMSG);
	assert_non_null(seen(sock));

	/* Less than absurd, but beyond the memory that there is. */
	world_set(world, tcp, "inet_hashinfo.ehash_mask", SOCKET_HEADS_MAX - 1);
	world_set(world, tcp, "inet_hashinfo.lhash2_mask", 3);
	world_set(world, tcp, "inet_hashinfo.ehash", world_nowhere().v);
	assert_int_equal(list(), -EFAULT);
	assert_non_null(seen(sock));
}

static void cycles_and_wild_links_end_their_chain_only(void **state)
{
	gva a = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 1);
	gva b = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 2);
	gva c = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 3);
	gva d = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 4);

	(void)state;
	world_hlist_add(world, ehash, link_of(a));
	world_hlist_add(world, ehash, link_of(b));
	world_put(world, link_of(a), link_of(b).v);		/* b → a → b */
	world_hlist_add(world, gva_add(ehash, 8), link_of(c));
	world_put(world, link_of(c), 0x1230);			/* c → user space */
	world_hlist_add(world, gva_add(ehash, 16), link_of(d));
	assert_int_equal(list(), -EBADMSG);
	assert_int_equal(got.all.n, 4);

	world_put(world, link_of(a), link_of(a).v);		/* a → a */
	assert_int_equal(list(), -EBADMSG);
	assert_non_null(seen(d));
}

static void a_chain_without_its_end_is_told(void **state)
{
	gva sock = new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 1);

	(void)state;
	world_hlist_add(world, ehash, link_of(sock));
	world_put(world, link_of(sock), 0);	/* NULL where an odd value belongs */
	assert_int_equal(list(), -EBADMSG);
	assert_non_null(seen(sock));
}

static void namespaces_have_tables_of_their_own(void **state)
{
	gva own = world_alloc(world, 64), chains = world_alloc(world, 8 * 8);
	gva listeners = world_alloc(world, 16), other, sock, unix_sock;

	(void)state;
	other = new_net(4026532133u);
	world_set(world, other, "net.ipv4.tcp_death_row.hashinfo", own.v);
	world_set(world, own, "inet_hashinfo.ehash", chains.v);
	world_set(world, own, "inet_hashinfo.ehash_mask", 7);
	world_set(world, own, "inet_hashinfo.lhash2", listeners.v);
	for (uint32_t i = 0; i < 8; i++)
		world_put(world, gva_add(chains, 8ull * i), 2 * i + 1);
	world_put(world, gva_add(listeners, 8), 1);
	sock = new_sock(INET6, TYPE_STREAM, TCP, STATE_LISTEN, 80);
	world_set(world, sock, "sock.__sk_common.skc_net", other.v);
	world_hlist_add(world, gva_add(listeners, 8), link_of(sock));
	unix_sock = new_sock(UNIX, TYPE_DGRAM, 0, STATE_CLOSE, 0);
	world_set(world, unix_sock, "sock.__sk_common.skc_net", other.v);
	world_hlist_add(world, gva_of(world_get(world, other, "net.unx.table.buckets") + 511 * 8),
			link_of(unix_sock));
	assert_int_equal(list(), 0);
	assert_int_equal(seen(sock)->net, 4026532133u);
	assert_true(seen(sock)->listed);
	assert_true(seen(unix_sock)->listed);
}

/* Sockets whose namespace is in no list: it was taken out, or is just being torn down. */
static void a_namespace_out_of_the_list_has_no_number(void **state)
{
	gva hidden = world_alloc(world, 128), sock;

	(void)state;
	world_set(world, hidden, "net.ns.inum", 4711);
	sock = new_sock(UNIX, TYPE_STREAM, 0, STATE_CLOSE, 0);
	world_set(world, sock, "sock.__sk_common.skc_net", hidden.v);
	hold(sock, 3);
	assert_int_equal(list(), 0);
	assert_int_equal(seen(sock)->net, 0);
	assert_int_equal(seen(sock)->net_at.v, hidden.v);
	assert_true(seen(sock)->unlisted);
}

static void a_list_of_namespaces_that_does_not_end_is_told(void **state)
{
	gva sock = new_sock(UNIX, TYPE_STREAM, 0, STATE_CLOSE, 0);

	(void)state;
	hold(sock, 3);
	world_set(world, net, "net.list.next", world_nowhere().v);
	assert_int_equal(list(), -EFAULT);
	assert_non_null(seen(sock));
	assert_false(seen(sock)->unlisted);
}

static gva named(const void *name, uint32_t len)
{
	gva sock = new_sock(UNIX, TYPE_STREAM, 0, STATE_CLOSE, 0);
	gva addr = world_alloc(world, 160);

	world_set(world, sock, "unix_sock.addr", addr.v);
	world_set(world, addr, "unix_address.len", len);
	world_copy(world, gva_add(world_member(world, addr, "unix_address.name"), 2), name,
		   len < 110 ? len - 2 : 108);
	hold(sock, 3);
	return sock;
}

static void names_are_as_the_kernel_shows_them(void **state)
{
	char longest[108];
	gva sock;

	(void)state;
	sock = named("/run/x", 2 + 7);
	assert_int_equal(list(), 0);
	assert_string_equal(seen(sock)->name, "/run/x");
	sock = named("\0ab\0c", 2 + 5);
	assert_int_equal(list(), 0);
	assert_string_equal(seen(sock)->name, "@ab@c");
	memset(longest, 'x', sizeof(longest));
	sock = named(longest, 2 + 109);
	assert_int_equal(list(), 0);
	assert_int_equal(strlen(seen(sock)->name), 108);
}

static void a_socket_with_an_absurd_name_is_there_all_the_same(void **state)
{
	char longest[108] = "x";
	gva sock = named(longest, 2 + 110);

	(void)state;
	assert_int_equal(list(), -EBADMSG);
	assert_int_equal(got.all.n, 1);
	assert_string_equal(seen(sock)->name, "");
	assert_int_equal(seen(sock)->owners_n, 1);
}

static void peers_are_named_by_their_inode(void **state)
{
	gva a = new_sock(UNIX, TYPE_DGRAM, 0, STATE_ESTABLISHED, 0);
	gva b = new_sock(UNIX, TYPE_DGRAM, 0, STATE_ESTABLISHED, 0);

	(void)state;
	hold(a, 3);
	hold(b, 4);
	world_set(world, a, "unix_sock.peer", b.v);
	assert_int_equal(list(), 0);
	assert_int_equal(seen(a)->peer, seen(b)->inode);
	assert_int_equal(seen(b)->peer, 0);
}

static void a_socket_that_is_partly_there_does_not_end_its_chain(void **state)
{
	gva a = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 1);
	gva b = new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 2);

	(void)state;
	world_hlist_add(world, uhash, link_of(a));
	world_hlist_add(world, uhash, link_of(b));
	world_set(world, b, "sock.sk_socket", world_nowhere().v);
	assert_int_equal(list(), -EFAULT);
	assert_non_null(seen(a));
	assert_non_null(seen(b));
}

/* Whichever read of the guest fails: what was found is no complete list. */
static void no_read_fails_unnoticed(void **state)
{
	struct ram *ram = view_ram(world_view(world));
	uint64_t reads;

	(void)state;
	hold(new_sock(INET, TYPE_DGRAM, UDP, STATE_CLOSE, 0), 3);
	world_hlist_add(world, gva_add(ehash, 8),
			link_of(new_sock(INET, TYPE_STREAM, TCP, STATE_ESTABLISHED, 22)));
	named("name", 6);
	reads = ram->reads;
	assert_int_equal(list(), 0);
	reads = ram->reads - reads;
	assert_true(reads > 2);
	for (uint64_t n = 1; n <= reads; n++) {
		fake_fail_after(ram, n);
		assert_true(list() < 0);
		assert_true(err.text[0]);
	}
	fake_fail_after(ram, 0);
	assert_int_equal(list(), 0);
}

#define SOCKET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKET_TEST(a_socket_is_what_its_table_and_its_file_say),
		SOCKET_TEST(time_wait_sockets_are_no_full_sockets),
		SOCKET_TEST(sockets_that_need_no_table_are_not_missed),
		SOCKET_TEST(sockets_that_no_table_has_are_told),
		SOCKET_TEST(a_socket_in_the_second_table_only_is_told),
		SOCKET_TEST(a_broken_table_accuses_nobody),
		SOCKET_TEST(a_file_with_other_operations_is_a_socket),
		SOCKET_TEST(forged_sizes_are_refused),
		SOCKET_TEST(cycles_and_wild_links_end_their_chain_only),
		SOCKET_TEST(a_chain_without_its_end_is_told),
		SOCKET_TEST(namespaces_have_tables_of_their_own),
		SOCKET_TEST(a_namespace_out_of_the_list_has_no_number),
		SOCKET_TEST(a_list_of_namespaces_that_does_not_end_is_told),
		SOCKET_TEST(names_are_as_the_kernel_shows_them),
		SOCKET_TEST(a_socket_with_an_absurd_name_is_there_all_the_same),
		SOCKET_TEST(peers_are_named_by_their_inode),
		SOCKET_TEST(a_socket_that_is_partly_there_does_not_end_its_chain),
		SOCKET_TEST(no_read_fails_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
