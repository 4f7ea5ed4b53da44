/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "linux/socket_walk.h"

/* Packet sockets (AF_PACKET): a list per network namespace (net/packet/af_packet.c). */
struct packet_fields {
	struct field list, num, device;
};

static const struct member packet_members[] = {
	MEMBER(struct packet_fields, list, "net.packet.sklist"),
	MEMBER(struct packet_fields, num, "packet_sock.num"),
	MEMBER(struct packet_fields, device, "packet_sock.ifindex"),
};
LAYOUT(packet_layout, struct packet_fields, packet_members);

int socket_read_packet(struct socket_walk *walk, struct socket *socket, struct err *err)
{
	const struct packet_fields *f;
	uint64_t num = 0, device = 0;
	int r;

	r = types_layout(walk->kernel->types, &packet_layout, (const void **)&f, err);
	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = field_read(walk->view, socket->at, &f->num, &num, err);
	if (r >= 0)
		r = field_read(walk->view, socket->at, &f->device, &device, err);
	if (r < 0)
		return wrap(err, r, "packet socket");
	socket->protocol = ntohs((uint16_t)num);
	socket->device = (uint32_t)device;
	return 0;
}

int socket_walk_packet(struct socket_walk *walk, struct err *err)
{
	struct socket_table table = { .link = walk->f->node.at, .kind = SOCKET_PACKET };
	const struct packet_fields *f;
	int r;

	r = types_layout(walk->kernel->types, &packet_layout, (const void **)&f, err);
	if (r == -ENOENT)	/* this kernel has them in a module, or not at all */
		return 0;
	for (size_t i = 0; r >= 0 && i < walk->net_list.n; i++) {
		table.at = field_at(walk->net_list.v[i], &f->list);
		table.heads = 1;
		table.stride = 8;
		r = socket_table_walk(walk, &table, err);
	}
	return r;
}
