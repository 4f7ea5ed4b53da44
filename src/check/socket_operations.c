/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

/*
 * Sockets have other tables than their protocol's with TLS, MPTCP, SMC and BPF, and all of these
 * are variables. What is not: icsk_af_ops, which SMC copies, and tcp_congestion_ops of BPF.
 */
static int socket_operations_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_socket, NULL };
	static const char *const fixed[] = {
		"proto", "proto_ops", "net_proto_family", NULL,
	};

	return hooked_run_fixed(run, sources, "sockets and protocols", fixed, err);
}

CHECK(socket_operations,
	.id = "socket-operations",
	.group = GROUP_POINTERS,
	.title = "A socket or protocol leads to foreign code",
	.proves = "Each operation of each socket, socket family, protocol and congestion control "
		  "is a function of the kernel or of a listed module, in a table that one of "
		  "them has.",
	.techniques = TECHNIQUES("T1014", "T1205"),
	.fuel_max = 100000,
	.run = socket_operations_run);
