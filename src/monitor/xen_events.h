/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_XEN_EVENTS_H
#define HVSM_MONITOR_XEN_EVENTS_H

#include "monitor/channel.h"
#include "ram/xen_monitor.h"

/*
 * What Xen tells of domains as it happens: a role of its own, which holds their monitor rings and
 * says what came (docs/xen.md). Off unless the configuration wants it for a guest.
 *
 * Why a process: vCPUs stand still while a ring is full, so whoever holds one must read it at once,
 * and must give it back when the parent ends, also where that is killed. The parent does many
 * things, and cannot survive itself; this one does nothing else, and outlives the parent by as much
 * as it needs. Where it is killed as well, the next one finds in xenstore (XEN_EVENTS_MARK) which
 * rings were ours, and gives them back first; so one is started with each daemon in dom0.
 *
 * It has opened Xen's devices when it becomes nobody. It reads what Xen wrote, nothing of a guest.
 */
#define XEN_EVENTS_ROLE "xen"

enum xen_events_message {
	/* parent → role */
	XEN_EVENTS_SETUP = 1,	/* {u32 uid, u32 gid}: LINK_SELF: it stays who it is */
	XEN_EVENTS_WATCH,	/* {u32 domain, text UUID}: XEN_EVENTS_ANSWER */
	XEN_EVENTS_LEAVE,	/* {u32 domain} */
	/* role → parent */
	XEN_EVENTS_ANSWER,	/* {u32 domain, text}: why not; NULL: it is watched */
	XEN_EVENTS_WRITE,	/* {u32 domain, u32 vCPU, u32 register, u64 before, u64 after,
				   u64 n}: the last of n, since it was told before */
	XEN_EVENTS_FAILED,	/* {text}: why nothing works; it ends */
};

/* Path in xenstore, with the domain's number: "PID START UUID" of who holds its ring. */
#define XEN_EVENTS_MARKS "/tool/hvsm/monitor"
#define XEN_EVENTS_MARK	 XEN_EVENTS_MARKS "/%u"

/*
 * A guest that writes more often in that time is not listened to for a while: it would cost the
 * host what no budget limits. Linux does not do it at all.
 */
#define XEN_EVENTS_MANY	   100u
#define XEN_EVENTS_MANY_MS 10000u

/* Of one domain no more often than that, whatever it does. */
#define XEN_EVENTS_PERIOD_MS 100u

#define XEN_EVENTS_RULES 6

/* Each side's handlers; NULL: it never comes to that side. */
struct xen_events_handlers {
	channel_handler *setup, *watch, *leave, *answer, *write, *failed;
};

void xen_events_rules(const struct xen_events_handlers *handlers,
		      struct channel_rule rules[XEN_EVENTS_RULES]);

struct xen_events_write {
	uint32_t domain;
	struct xen_write last;
	uint64_t n;		/* > 0 */
};

nodiscard int xen_events_send_setup(struct channel *channel, uint32_t uid, uint32_t gid,
				    struct err *err);
nodiscard int xen_events_send_watch(struct channel *channel, uint32_t domain, const char *uuid,
				    struct err *err);
nodiscard int xen_events_send_leave(struct channel *channel, uint32_t domain, struct err *err);

/* @why: NULL: it is watched */
nodiscard int xen_events_send_answer(struct channel *channel, uint32_t domain, const char *why,
				     struct err *err);

/* Does not wait: -ETIMEDOUT where the parent has not read what came before. */
nodiscard int xen_events_send_write(struct channel *channel, const struct xen_events_write *write,
				    struct err *err);

/* What a message says; texts are inside it. Return: 0, -EPROTO. */
nodiscard int xen_events_read_write(struct message *message, struct xen_events_write *ret,
				    struct err *err);

/* {u32 domain, text}, of XEN_EVENTS_WATCH and XEN_EVENTS_ANSWER; @text may become NULL. */
nodiscard int xen_events_read_domain(struct message *message, uint32_t *domain,
				     const char **text, struct err *err);

/* The role, until the parent ends. Return: exit status. */
int xen_events_run(void);

#endif
