/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_monitor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <xen/vm_event.h>

#include "base/limits.h"
#include "make/xen_host.h"

#define EVENTS ((xenevtchn_handle *)&made_xen)

/* Xen's side of the ring. */
struct front {
	vm_event_front_ring_t ring;
	struct xen_host host;
	struct xen_monitor *monitor;
};

/* The macros of io/ring.h. */
#pragma GCC diagnostic ignored "-Wsign-conversion"

static void open_front(struct front *front)
{
	struct err err = { 0 };

	*front = (struct front){ 0 };
	assert_int_equal(xen_host_open(&made_xen_libs, &front->host, NULL), 0);
	if (xen_monitor_open(&front->host, EVENTS, MADE_XEN_ID, &front->monitor, &err) < 0)
		fail_msg("%s", err.text);
	FRONT_RING_INIT(&front->ring, (vm_event_sring_t *)made_xen.monitor.page, GUEST_PAGE_SIZE);
}

static void close_front(struct front *front)
{
	xen_monitor_close(&front->monitor);
	assert_null(front->monitor);
	xen_monitor_close(&front->monitor);
	xen_host_close(&front->host);
	assert_false(made_xen.monitor.taken);
	assert_int_equal(made_xen.monitor.bound, 0);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR0], 0);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR4], 0);
	assert_int_equal(made_xen.opened, 0);
}

static void put(struct front *front, uint32_t reason, uint32_t index, uint32_t vcpu, uint64_t value,
		uint32_t flags)
{
	vm_event_request_t *request = RING_GET_REQUEST(&front->ring, front->ring.req_prod_pvt);

	assert_true(RING_FREE_REQUESTS(&front->ring) > 0);
	*request = (vm_event_request_t){
		.version = VM_EVENT_INTERFACE_VERSION, .flags = flags, .reason = reason,
		.vcpu_id = vcpu, .u.write_ctrlreg = { .index = index, .new_value = value,
						      .old_value = value ^ XEN_CR0_TOLD },
	};
	front->ring.req_prod_pvt++;
	RING_PUSH_REQUESTS(&front->ring);
}

/* The next answer, as Xen takes it. */
static vm_event_response_t answer(struct front *front)
{
	int there = RING_HAS_UNCONSUMED_RESPONSES(&front->ring);
	vm_event_response_t response;

	assert_int_not_equal(there, 0);
	response = *RING_GET_RESPONSE(&front->ring, front->ring.rsp_cons);
	front->ring.rsp_cons++;
	return response;
}

static void what_protects_the_kernel_is_told_and_nothing_else(void **state)
{
	struct front front;

	(void)state;
	open_front(&front);
	assert_int_equal(made_xen.monitor.enabled, 1);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR0], 1 << 16);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR3], 0);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR4] & (1 << 20), 1 << 20);
	/* The kernel sets it to flush all of the TLB. */
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR4] & (1 << 7), 0);
	assert_int_equal(xen_monitor_port(front.monitor), MADE_XEN_PORT);
	close_front(&front);
}

static void each_write_is_told_and_its_place_given_back(void **state)
{
	struct xen_write write;
	struct front front;

	(void)state;
	open_front(&front);
	assert_int_equal(xen_monitor_next(front.monitor, &write), 0);
	/* Around the ring some times, up to all of its places at once. */
	for (uint32_t n = 1, i = 0; i < 100; n = n % RING_SIZE(&front.ring) + 1) {
		for (uint32_t k = 0; k < n; k++)
			put(&front, VM_EVENT_REASON_WRITE_CTRLREG, (i + k) % 2 ? VM_EVENT_X86_CR4 : VM_EVENT_X86_CR0,
			    i + k, 0x80050033 + i + k, 0);
		for (uint32_t k = 0; k < n; k++, i++) {
			vm_event_response_t response;

			assert_int_equal(xen_monitor_next(front.monitor, &write), 1);
			assert_int_equal(write.vcpu, i);
			assert_int_equal(write.reg, i % 2 ? 4 : 0);
			assert_int_equal(write.after, 0x80050033 + i);
			assert_int_equal(write.before, write.after ^ XEN_CR0_TOLD);
			response = answer(&front);
			assert_int_equal(response.version, VM_EVENT_INTERFACE_VERSION);
			assert_int_equal(response.vcpu_id, i);
			assert_int_equal(response.flags, 0);
			assert_int_equal(made_xen.monitor.notified, i + 1);
		}
		assert_int_equal(xen_monitor_next(front.monitor, &write), 0);
		assert_int_equal(RING_FREE_REQUESTS(&front.ring), RING_SIZE(&front.ring));
	}
	close_front(&front);
}

static void who_waits_for_an_answer_gets_it_whatever_it_is(void **state)
{
	struct xen_write write;
	struct front front;

	(void)state;
	open_front(&front);
	put(&front, VM_EVENT_REASON_CPUID, 0, 3, 0, VM_EVENT_FLAG_VCPU_PAUSED | VM_EVENT_FLAG_FOREIGN);
	put(&front, VM_EVENT_REASON_WRITE_CTRLREG, VM_EVENT_X86_XCR0, 1, 7, 0);
	put(&front, VM_EVENT_REASON_WRITE_CTRLREG, VM_EVENT_X86_CR0, 2, 0x80040033, 0);
	assert_int_equal(xen_monitor_next(front.monitor, &write), 1);
	assert_int_equal(write.vcpu, 2);
	assert_int_equal(write.before, 0x80050033);
	assert_int_equal(answer(&front).flags, VM_EVENT_FLAG_VCPU_PAUSED);
	assert_int_equal(answer(&front).vcpu_id, 1);
	assert_int_equal(answer(&front).vcpu_id, 2);
	/* What came and was not read when it is given back is answered, too. */
	put(&front, VM_EVENT_REASON_WRITE_CTRLREG, VM_EVENT_X86_CR0, 2, 0x80050033, VM_EVENT_FLAG_VCPU_PAUSED);
	made_xen.monitor.notified = 0;
	close_front(&front);
	assert_int_equal(made_xen.monitor.notified, 1);
}

static void refused(int code, const char *text, unsigned enabled)
{
	struct xen_monitor *monitor = NULL;
	struct err err = { 0 };
	struct xen_host host;
	bool taken = made_xen.monitor.taken;

	assert_int_equal(xen_host_open(&made_xen_libs, &host, NULL), 0);
	assert_int_equal(xen_monitor_open(&host, EVENTS, MADE_XEN_ID, &monitor, &err), code);
	assert_null(monitor);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(made_xen.monitor.enabled, enabled);
	assert_int_equal(made_xen.monitor.bound, 0);
	assert_int_equal(made_xen.monitor.taken, taken);
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR0], 0);
	xen_host_close(&host);
}

static void who_cannot_have_events_is_told_why_and_not_paused(void **state)
{
	(void)state;
	made_xen.monitor.capabilities = 0;
	refused(-ENOTSUP, "on this CPU Xen tells no writes of registers", 0);
	made_xen.monitor.capabilities = UINT32_MAX;
	made_xen.monitor.taken = true;
	refused(-EBUSY, "another program has the domain's monitor ring", 0);
	made_xen.monitor.taken = false;
	made_xen_set("/libxl/7/type", "pv");
	refused(-ENOTSUP, "PV", 0);
	made_xen.introduced = false;
	refused(-ESRCH, "no domain", 0);
}

static void what_fails_half_way_gives_the_ring_back(void **state)
{
	(void)state;
	made_xen.monitor.enable_errno = EPERM;
	refused(-EPERM, "monitor ring", 1);
	made_xen.monitor.enable_errno = 0;
	made_xen.monitor.bind_errno = EINVAL;
	refused(-EINVAL, "event channel", 2);
	made_xen.monitor.bind_errno = 0;
	made_xen.monitor.register_errno = EOPNOTSUPP;
	refused(-EOPNOTSUPP, "registers", 3);
}

static void a_ring_that_was_left_is_given_back(void **state)
{
	struct xen_host host;

	(void)state;
	assert_int_equal(xen_host_open(&made_xen_libs, &host, NULL), 0);
	assert_false(xen_monitor_is_taken(&host, MADE_XEN_ID));
	made_xen.monitor.taken = true;
	made_xen.monitor.told[VM_EVENT_X86_CR0] = XEN_CR0_TOLD;
	assert_true(xen_monitor_is_taken(&host, MADE_XEN_ID));
	assert_int_equal(xen_monitor_release(&host, MADE_XEN_ID, NULL), 0);
	assert_false(xen_monitor_is_taken(&host, MADE_XEN_ID));
	assert_int_equal(made_xen.monitor.told[VM_EVENT_X86_CR0], 0);
	xen_host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_protects_the_kernel_is_told_and_nothing_else, made_xen_start),
		cmocka_unit_test_setup(each_write_is_told_and_its_place_given_back, made_xen_start),
		cmocka_unit_test_setup(who_waits_for_an_answer_gets_it_whatever_it_is, made_xen_start),
		cmocka_unit_test_setup(who_cannot_have_events_is_told_why_and_not_paused, made_xen_start),
		cmocka_unit_test_setup(what_fails_half_way_gives_the_ring_back, made_xen_start),
		cmocka_unit_test_setup(a_ring_that_was_left_is_given_back, made_xen_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
