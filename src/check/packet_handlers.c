/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int packet_handlers_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_packet, NULL };
	static const char *const fixed[] = {
		"net_protocol", "inet6_protocol", "offload_callbacks", NULL,
	};

	return hooked_run_fixed(run, sources, "packet handlers", fixed, err);
}

CHECK(packet_handlers,
	.id = "packet-handlers",
	.group = GROUP_POINTERS,
	.title = "A packet handler leads to foreign code",
	.proves = "Each handler of packets, of each Ethernet type, namespace, device and IP "
		  "protocol, is a function of the kernel or of a listed module, and TCP, UDP and "
		  "ICMP are the kernel's own.",
	.techniques = TECHNIQUES("T1014", "T1205"),
	.fuel_max = 40000,
	.run = packet_handlers_run);
