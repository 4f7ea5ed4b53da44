/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbusy - use the network in every way that leaves functions of modules behind
 *
 * An nftables table with base chains, and a socket of each kind: TCP (also with each congestion
 * control and upper layer that there is), MPTCP, SCTP, UDP, raw, ping, packet, netlink, vsock,
 * UNIX. Prints what it has, one a line, then stays in the background until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct batch {
	char bytes[4096] __attribute__((aligned(8)));
	size_t n;
	uint32_t sequence;
};

static struct nlmsghdr *begin(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family,
			      uint16_t resource)
{
	struct nlmsghdr *header = (void *)(batch->bytes + batch->n);
	struct nfgenmsg *generic = NLMSG_DATA(header);

	*header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(sizeof(*generic)),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags,
		.nlmsg_seq = batch->sequence++,
	};
	*generic = (struct nfgenmsg){ family, NFNETLINK_V0, htons(resource) };
	return header;
}

static struct nlattr *attribute(struct nlmsghdr *header, uint16_t type, const void *data,
				size_t size)
{
	struct nlattr *at = (void *)((char *)header + NLMSG_ALIGN(header->nlmsg_len));

	at->nla_type = type;
	at->nla_len = (uint16_t)(NLA_HDRLEN + size);
	if (size)
		memcpy((char *)at + NLA_HDRLEN, data, size);
	header->nlmsg_len = (uint32_t)(NLMSG_ALIGN(header->nlmsg_len) + NLA_ALIGN(at->nla_len));
	return at;
}

static void end(struct batch *batch, struct nlmsghdr *header)
{
	batch->n += NLMSG_ALIGN(header->nlmsg_len);
}

static void chain(struct batch *batch, const char *name, const char *type, uint32_t hook,
		  int32_t priority)
{
	struct nlmsghdr *header = begin(batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN,
					NLM_F_CREATE | NLM_F_ACK, 1, 0);
	uint32_t number = htonl(hook), weight = htonl((uint32_t)priority);
	struct nlattr *nest;

	attribute(header, NFTA_CHAIN_TABLE, "lab", 4);
	attribute(header, NFTA_CHAIN_NAME, name, strlen(name) + 1);
	nest = attribute(header, NFTA_CHAIN_HOOK | NLA_F_NESTED, NULL, 0);
	attribute(header, NFTA_HOOK_HOOKNUM, &number, sizeof(number));
	attribute(header, NFTA_HOOK_PRIORITY, &weight, sizeof(weight));
	nest->nla_len = (uint16_t)((char *)header + NLMSG_ALIGN(header->nlmsg_len) - (char *)nest);
	attribute(header, NFTA_CHAIN_TYPE, type, strlen(type) + 1);
	end(batch, header);
}

static void rules(void)
{
	static struct batch batch;
	struct nlmsghdr *header;
	char answer[8192];
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), failed = 0;
	ssize_t n;

	end(&batch, begin(&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	header = begin(&batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE,
		       NLM_F_CREATE | NLM_F_ACK, 1, 0);
	attribute(header, NFTA_TABLE_NAME, "lab", 4);
	end(&batch, header);
	chain(&batch, "in", "filter", 1, 0);
	chain(&batch, "forward", "filter", 2, 0);
	chain(&batch, "out", "filter", 3, -10);
	chain(&batch, "nat", "nat", 0, -100);
	end(&batch, begin(&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (fd < 0 || send(fd, batch.bytes, batch.n, 0) < 0) {
		printf("nftables -%d\n", errno);
		return;
	}
	while ((n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0)
		for (struct nlmsghdr *at = (void *)answer; NLMSG_OK(at, n); at = NLMSG_NEXT(at, n))
			if (at->nlmsg_type == NLMSG_ERROR && !failed)
				failed = ((struct nlmsgerr *)NLMSG_DATA(at))->error;
	printf("nftables %d\n", failed);
}

static void listening(const char *name, int family, int protocol, const char *congestion,
		      const char *layer)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in address4 = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr *at = family == AF_INET ? (void *)&address4 : (void *)&address;
	socklen_t size = family == AF_INET ? sizeof(address4) : sizeof(address);
	int fd = socket(family, SOCK_STREAM, protocol), to;

	if (fd >= 0 && congestion)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion));
	if (fd < 0 || bind(fd, at, size) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, at, &size) < 0) {
		printf("%s -%d\n", name, errno);
		return;
	}
	to = socket(family, SOCK_STREAM, protocol);
	if (connect(to, at, size) < 0)
		printf("%s: connect: -%d\n", name, errno);
	if (layer && setsockopt(to, IPPROTO_TCP, TCP_ULP, layer, strlen(layer)) < 0)
		printf("%s: %s: -%d\n", name, layer, errno);
	printf("%s\n", name);
}

int main(void)
{
	static const struct {
		int family, type, protocol;
	} others[] = {
		{ AF_INET, SOCK_DGRAM, 0 }, { AF_INET6, SOCK_DGRAM, 0 },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP }, { AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, { AF_PACKET, SOCK_RAW, 0x0300 },
		{ AF_PACKET, SOCK_DGRAM, 0x0008 }, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
		{ AF_NETLINK, SOCK_RAW, NETLINK_GENERIC }, { AF_UNIX, SOCK_STREAM, 0 },
		{ AF_UNIX, SOCK_DGRAM, 0 }, { AF_VSOCK, SOCK_STREAM, 0 }, { AF_ALG, SOCK_SEQPACKET, 0 },
		{ AF_KEY, SOCK_RAW, 2 }, { AF_TIPC, SOCK_RDM, 0 }, { AF_KCM, SOCK_DGRAM, 0 },
		{ AF_SMC, SOCK_STREAM, 0 }, { AF_RDS, SOCK_SEQPACKET, 0 },
	};

	rules();
	listening("tcp", AF_INET, 0, NULL, NULL);
	listening("tcp6", AF_INET6, 0, "reno", NULL);
	listening("bbr", AF_INET, 0, "bbr", NULL);
	listening("tls", AF_INET, 0, NULL, "tls");
	listening("mptcp", AF_INET, IPPROTO_MPTCP, NULL, NULL);
	listening("mptcp6", AF_INET6, IPPROTO_MPTCP, NULL, NULL);
	listening("sctp", AF_INET, IPPROTO_SCTP, NULL, NULL);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		printf("socket %d %d %d: %d\n", others[i].family, others[i].type,
		       others[i].protocol,
		       socket(others[i].family, others[i].type, others[i].protocol));
	fflush(stdout);
	if (fork() == 0) {
		setsid();
		close(0);
		close(1);
		close(2);
		for (;;)
			pause();
	}
	return 0;
}
