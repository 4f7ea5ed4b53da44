/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_monitor.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/vm_event.h>

#include "base/cleanup.h"
#include "base/limits.h"

struct xen_monitor {
	const struct xen_host *host;
	xenevtchn_handle *events;
	uint16_t id;
	vm_event_sring_t *ring;		/* Xen's; NULL: there is none */
	uint32_t places;		/* a power of two */
	uint32_t taken;			/* requests that were read, and answered */
	int port;			/* -1: none */
};

static const struct {
	uint16_t index;
	uint32_t reg;
	uint64_t told;
} registers[] = {
	{ VM_EVENT_X86_CR0, 0, XEN_CR0_TOLD },
	{ VM_EVENT_X86_CR4, 4, XEN_CR4_TOLD },
};

static int refused(int code, const char *what, struct err *err)
{
	return err_set(err, code ? -code : -EIO, "%s: %s", what, strerror(code ? code : EIO));
}

bool xen_monitor_is_taken(const struct xen_host *host, uint16_t id)
{
	/* Has Xen look whether there are answers; -ENODEV where there is no ring. */
	return host->ctrl && host->libs->ctrl_monitor_resume(host->ctrl, id) == 0;
}

int xen_monitor_release(const struct xen_host *host, uint16_t id, struct err *err)
{
	if (!host->ctrl)
		return err_set(err, -ENOTSUP, "%s", host->ctrl_why.text);
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
		(void)!host->libs->ctrl_monitor_register(host->ctrl, id, registers[i].index, false,
							 false, 0, false);
	errno = 0;
	if (host->libs->ctrl_monitor_disable(host->ctrl, id) < 0)
		return refused(errno, "its monitor ring is not given back", err);
	return 0;
}

/* Can Xen tell anything of this domain? */
static int supported(const struct xen_host *host, uint16_t id, struct err *err)
{
	const uint32_t needed = 1u << XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG;
	struct xen_domain domain;
	uint32_t can = 0;
	bool pv;
	int r;

	if (!host->ctrl)
		return err_set(err, -ENOTSUP, "%s", host->ctrl_why.text);
	r = xen_domain_describe(host, id, &domain, err);
	if (r < 0)
		return r;
	pv = domain.kind == XEN_PV;
	xen_domain_free(&domain);
	if (pv)
		return err_set(err, -ENOTSUP, "Xen tells no events of a PV domain");
	errno = 0;
	if (host->libs->ctrl_monitor_capabilities(host->ctrl, id, &can) < 0)
		return refused(errno, "events of the domain", err);
	if (!(can & needed))
		return err_set(err, -ENOTSUP, "on this CPU Xen tells no writes of registers");
	/* Asked before: to try would pause the domain. */
	if (xen_monitor_is_taken(host, id))
		return err_set(err, -EBUSY, "another program has the domain's monitor ring");
	return 0;
}

/* What Xen tells from here on. */
static int tell(struct xen_monitor *monitor, struct err *err)
{
	const struct xen_host *host = monitor->host;

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		errno = 0;
		/* Not sync; the bits that are left out; changes only. */
		if (host->libs->ctrl_monitor_register(host->ctrl, monitor->id, registers[i].index,
						      true, false, ~registers[i].told, true) < 0)
			return refused(errno, "writes of registers are not told", err);
	}
	return 0;
}

/* As __RING_SIZE of io/ring.h: the largest power of two that fits. */
static uint32_t places_of_page(void)
{
	size_t fit = (GUEST_PAGE_SIZE - offsetof(vm_event_sring_t, ring)) /
		     sizeof(union vm_event_sring_entry);
	uint32_t places = 1;

	while (places * 2 <= fit)
		places *= 2;
	return places;
}

int xen_monitor_open(const struct xen_host *host, xenevtchn_handle *events, uint16_t id,
		     struct xen_monitor **ret, struct err *err)
{
	cleanup(xen_monitor_close) struct xen_monitor *monitor = NULL;
	uint32_t port;
	int r = supported(host, id, err);

	if (r < 0)
		return r;
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return err_set(err, -ENOMEM, "no memory for events");
	*monitor = (struct xen_monitor){
		.host = host, .events = events, .id = id, .port = -1,
		.places = places_of_page(),
	};
	errno = 0;
	monitor->ring = host->libs->ctrl_monitor_enable(host->ctrl, id, &port);
	if (!monitor->ring)
		return refused(errno, "the domain's monitor ring", err);
	SHARED_RING_INIT(monitor->ring);
	errno = 0;
	monitor->port = host->libs->events_bind(events, id, port);
	if (monitor->port < 0)
		return refused(errno, "the event channel of its monitor ring", err);
	r = tell(monitor, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&monitor);
	return 0;
}

void xen_monitor_close(struct xen_monitor **at)
{
	struct xen_monitor *monitor = *at;
	struct xen_write write;

	if (!monitor)
		return;
	*at = NULL;
	if (monitor->ring) {
		/* A domain that has ended has none. */
		(void)!xen_monitor_release(monitor->host, monitor->id, NULL);
		while (monitor->port >= 0 && xen_monitor_next(monitor, &write) > 0)
			;
		munmap(monitor->ring, GUEST_PAGE_SIZE);
	}
	if (monitor->port >= 0)
		monitor->host->libs->events_unbind(monitor->events,
						   (evtchn_port_t)monitor->port);
	free(monitor);
}

evtchn_port_t xen_monitor_port(const struct xen_monitor *monitor)
{
	return (evtchn_port_t)monitor->port;
}

/* The place of the next request: read, and filled with the answer that lets it go. */
static void take(struct xen_monitor *monitor, vm_event_request_t *request)
{
	union vm_event_sring_entry *place = &monitor->ring->ring[monitor->taken &
								(monitor->places - 1)];

	memcpy(request, &place->req, sizeof(*request));
	place->rsp = (vm_event_response_t){
		.version = VM_EVENT_INTERFACE_VERSION, .vcpu_id = request->vcpu_id,
		.flags = request->flags & VM_EVENT_FLAG_VCPU_PAUSED, .reason = request->reason,
	};
	monitor->taken++;
	/* Xen's own barriers of the ring (io/ring.h): the answer is there before it is said. */
	atomic_thread_fence(memory_order_seq_cst);
	monitor->ring->rsp_prod = monitor->taken;
	monitor->ring->req_event = monitor->taken + 1;
	atomic_thread_fence(memory_order_seq_cst);
	monitor->host->libs->events_notify(monitor->events, (evtchn_port_t)monitor->port);
}

int xen_monitor_next(struct xen_monitor *monitor, struct xen_write *ret)
{
	uint32_t there = *(volatile uint32_t *)&monitor->ring->req_prod;
	vm_event_request_t request;

	atomic_thread_fence(memory_order_seq_cst);
	while (there != monitor->taken) {
		take(monitor, &request);
		if (request.version != VM_EVENT_INTERFACE_VERSION ||
		    request.reason != VM_EVENT_REASON_WRITE_CTRLREG)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
			if (registers[i].index != request.u.write_ctrlreg.index)
				continue;
			*ret = (struct xen_write){
				.vcpu = request.vcpu_id, .reg = registers[i].reg,
				.before = request.u.write_ctrlreg.old_value,
				.after = request.u.write_ctrlreg.new_value,
			};
			return 1;
		}
	}
	return 0;
}
