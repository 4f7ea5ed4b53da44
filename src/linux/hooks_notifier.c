/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook.h"
#include "linux/net.h"

/*
 * Chains of notifiers (include/linux/notifier.h): who is told of key strokes, modules, oopses,
 * network devices. Types say nothing of variables, so the chains and their kinds stand here by
 * hand; those of modules, and those of single devices and clocks, are not looked at.
 */
enum chain_kind {
	CHAIN_RAW,
	CHAIN_ATOMIC,
	CHAIN_BLOCKING,
	CHAIN_SRCU,
	CHAIN_RAW_OR_BLOCKING,		/* what it is differs between kernels */
	CHAIN_ATOMIC_OR_BLOCKING,
};

static const struct chain {
	const char *name;
	enum chain_kind kind;
} chains[] = {
	{ "acpi_chain_head", CHAIN_BLOCKING },
	{ "acpi_hed_notify_list", CHAIN_BLOCKING },
	{ "acpi_reconfig_chain", CHAIN_BLOCKING },
	{ "backlight_notifier", CHAIN_BLOCKING },
	{ "blocking_lsm_notifier_chain", CHAIN_BLOCKING },
	{ "cgroup_lifetime_notifier", CHAIN_BLOCKING },
	{ "cpufreq_policy_notifier_list", CHAIN_BLOCKING },
	{ "cpufreq_transition_notifier_list", CHAIN_SRCU },
	{ "crypto_chain", CHAIN_BLOCKING },
	{ "dcbevent_notif_chain", CHAIN_ATOMIC },
	{ "die_chain", CHAIN_ATOMIC },
	{ "dpll_notifier_chain", CHAIN_RAW },
	{ "efivar_ops_nh", CHAIN_BLOCKING },
	{ "fb_notifier_list", CHAIN_BLOCKING },
	{ "fips_fail_notif_chain", CHAIN_ATOMIC },
	{ "ghes_report_chain", CHAIN_ATOMIC },
	{ "inet6addr_chain", CHAIN_ATOMIC },
	{ "inet6addr_validator_chain", CHAIN_BLOCKING },
	{ "inetaddr_chain", CHAIN_BLOCKING },
	{ "inetaddr_validator_chain", CHAIN_BLOCKING },
	{ "iosf_mbi_pmic_bus_access_notifier", CHAIN_BLOCKING },
	{ "keyboard_notifier_list", CHAIN_ATOMIC },
	{ "lease_notifier_chain", CHAIN_SRCU },
	{ "mce_injector_chain", CHAIN_BLOCKING },
	{ "memory_chain", CHAIN_BLOCKING },
	{ "module_notify_list", CHAIN_BLOCKING },
	{ "munmap_notifier", CHAIN_BLOCKING },
	{ "netdev_chain", CHAIN_RAW },
	{ "netevent_notif_chain", CHAIN_ATOMIC },
	{ "netlink_chain", CHAIN_BLOCKING },
	{ "node_chain", CHAIN_BLOCKING },
	{ "nvmem_notifier", CHAIN_BLOCKING },
	{ "of_reconfig_chain", CHAIN_BLOCKING },
	{ "oom_notify_list", CHAIN_BLOCKING },
	{ "panic_notifier_list", CHAIN_ATOMIC },
	{ "pm_chain_head", CHAIN_BLOCKING },
	{ "power_off_handler_list", CHAIN_ATOMIC },
	{ "power_supply_notifier", CHAIN_ATOMIC_OR_BLOCKING },
	{ "pvclock_gtod_chain", CHAIN_RAW },
	{ "random_ready_chain", CHAIN_RAW },
	{ "random_ready_notifier", CHAIN_ATOMIC },
	{ "rcu_cpu_stall_notifier_list", CHAIN_ATOMIC },
	{ "reboot_notifier_list", CHAIN_BLOCKING },
	{ "restart_handler_list", CHAIN_ATOMIC },
	{ "restart_prep_handler_list", CHAIN_BLOCKING },
	{ "switchdev_blocking_notif_chain", CHAIN_RAW_OR_BLOCKING },
	{ "switchdev_notif_chain", CHAIN_ATOMIC },
	{ "task_exit_notifier", CHAIN_BLOCKING },
	{ "task_free_notifier", CHAIN_ATOMIC },
	{ "thermal_genl_chain", CHAIN_BLOCKING },
	{ "tracepoint_notify_list", CHAIN_BLOCKING },
	{ "usb_notifier_list", CHAIN_BLOCKING },
	{ "vendor_record_notify_list", CHAIN_BLOCKING },
	{ "vmap_notify_list", CHAIN_BLOCKING },
	{ "vmfork_chain", CHAIN_BLOCKING },
	{ "vt_notifier_list", CHAIN_ATOMIC },
	{ "x86_mce_decoder_chain", CHAIN_BLOCKING },
	{ "xen_resume_notifier", CHAIN_RAW },
	{ "xenstore_chain", CHAIN_BLOCKING },
};

struct chain_fields {
	struct field next, raw, atomic, blocking, srcu;
	struct field waiters, netdev, nexthop;
};

static const struct member chain_members[] = {
	MEMBER(struct chain_fields, next, "notifier_block.next"),
	MEMBER(struct chain_fields, raw, "raw_notifier_head.head"),
	MEMBER(struct chain_fields, atomic, "atomic_notifier_head.head"),
	MEMBER(struct chain_fields, blocking, "blocking_notifier_head.head"),
	MEMBER_OPTIONAL(struct chain_fields, srcu, "srcu_notifier_head.head"),
	MEMBER_OPTIONAL(struct chain_fields, waiters, "rw_semaphore.wait_list"),
	MEMBER_OPTIONAL(struct chain_fields, netdev, "net.netdev_chain.head"),
	MEMBER_OPTIONAL(struct chain_fields, nexthop, "net.nexthop.notifier_chain.head"),
};
LAYOUT(chain_layout, struct chain_fields, chain_members);

static int visit_chain(struct hook_walk *walk, const struct chain_fields *f, const char *name,
		       gva head, struct err *err)
{
	struct hook_object object = {
		.mechanism = "notifier", .text = name, .registered = true,
	};
	int r = view_ptr(walk->view, head, &object.at, err);

	for (uint32_t n = 0; r >= 0 && object.at.v; n++) {
		if (n == NOTIFIERS_MAX || !gva_is_kernel(object.at))
			return fail(err, -EBADMSG, head, "chain of notifiers '%s' does not end",
				    name);
		r = hook_members(walk, &object, "notifier_block", err);
		if (r >= 0)
			r = field_ptr(walk->view, object.at, &f->next, &object.at, err);
	}
	return r;
}

/* Is there a semaphore, whose list of those who wait is one? */
static bool is_semaphore(struct hook_walk *walk, const struct chain_fields *f, gva at)
{
	gva waiters = field_at(at, &f->waiters), first, back;

	return f->waiters.there && view_ptr(walk->view, waiters, &first, NULL) >= 0 &&
	       gva_is_kernel(first) &&
	       view_ptr(walk->view, gva_add(first, sizeof(uint64_t)), &back, NULL) >= 0 &&
	       back.v == waiters.v;
}

/*
 * Where a head has the pointer to its first block. Kernels whose semaphores have no list of
 * who waits (7.x) are newer than both changes of a chain's kind.
 */
static const struct field *first_of(struct hook_walk *walk, const struct chain_fields *f,
				    gva head, enum chain_kind kind)
{
	switch (kind) {
	case CHAIN_RAW:
		return &f->raw;
	case CHAIN_ATOMIC:
		return &f->atomic;
	case CHAIN_BLOCKING:
		break;
	case CHAIN_SRCU:
		return &f->srcu;
	case CHAIN_RAW_OR_BLOCKING:
		return is_semaphore(walk, f, head) ? &f->blocking : &f->raw;
	case CHAIN_ATOMIC_OR_BLOCKING:
		return !f->waiters.there || is_semaphore(walk, f, head) ? &f->blocking :
									 &f->atomic;
	}
	return &f->blocking;
}

static int visit_nets(struct hook_walk *walk, const struct chain_fields *f, struct err *err)
{
	struct nets nets = {0};
	int r;

	if (!f->netdev.there)
		return 0;
	r = partial_add(&walk->partial, nets_read(walk->kernel, walk->view, &nets, err), err);
	for (size_t i = 0; i < nets.list.n && r >= 0; i++) {
		gva net = nets.list.v[i].at;
		char name[64];

		snprintf(name, sizeof(name), "net:[%u] netdev_chain", nets.list.v[i].inode);
		r = partial_add(&walk->partial, visit_chain(walk, f, name,
							    field_at(net, &f->netdev), err), err);
		if (r < 0 || !f->nexthop.there)
			continue;
		snprintf(name, sizeof(name), "net:[%u] nexthop chain", nets.list.v[i].inode);
		r = partial_add(&walk->partial, visit_chain(walk, f, name,
							    field_at(net, &f->nexthop), err), err);
	}
	nets_free(&nets);
	return r;
}

static int walk_notifiers(struct hook_walk *walk, struct err *err)
{
	const struct chain_fields *f;
	int r = types_layout(walk->kernel->types, &chain_layout, (const void **)&f, err);

	for (size_t i = 0; i < ARRAY_SIZE(chains) && r >= 0; i++) {
		gva head = symbols_lookup(walk->kernel->symbols, chains[i].name);
		const struct field *first;

		if (!head.v)
			continue;
		first = first_of(walk, f, head, chains[i].kind);
		if (first->there)
			r = partial_add(&walk->partial,
					visit_chain(walk, f, chains[i].name,
						    field_at(head, first), err), err);
	}
	return r < 0 ? r : visit_nets(walk, f, err);
}

const struct hook_source hooks_notifier = { .id = "notifiers", .walk = walk_notifiers };
