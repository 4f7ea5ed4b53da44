/* SPDX-License-Identifier: Apache-2.0 */
#include "make/xen_host.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/handover.h"
#include "ram/served.h"
#include "ram/xen.h"

struct made_xen made_xen;

void made_xen_set(const char *path, const char *value)
{
	size_t i = 0;

	while (i < made_xen.nodes_n && strcmp(made_xen.nodes[i].path, path) != 0)
		i++;
	assert_true(i < MADE_XEN_NODES_MAX);
	if (i == made_xen.nodes_n)
		made_xen.nodes_n++;
	snprintf(made_xen.nodes[i].path, sizeof(made_xen.nodes[i].path), "%s", path);
	snprintf(made_xen.nodes[i].value, sizeof(made_xen.nodes[i].value), "%s", value);
}

const char *made_xen_get(const char *path)
{
	for (size_t i = 0; i < made_xen.nodes_n; i++)
		if (!strcmp(made_xen.nodes[i].path, path))
			return made_xen.nodes[i].value;
	return NULL;
}

/* 64 MiB, but for what lies under the VGA window. */
bool made_xen_small(uint64_t frame)
{
	return frame < 0x4000 && (frame < 0xa0 || frame >= 0x100);
}

bool made_xen_large(uint64_t frame)
{
	return frame < 0xf0000 || (frame >= MADE_XEN_FRAMES_4G && frame < MADE_XEN_FRAMES_4G + 0x12345);
}

/* The balloon has the upper half, and a bit of the lower. */
bool made_xen_ballooned(uint64_t frame)
{
	return made_xen_small(frame) && frame < 0x2000 && (frame < 0x800 || frame >= 0xa00);
}

#define PV_SHARED 0x70000u
#define PV_PAGES  ((PV_FRAMES + PV_GROWN) / 512 + 1)
#define PV_LIST	  0x70001u	/* and the next: lists of lists, then the list's pages */

static bool pv_guest(uint64_t frame)
{
	return (frame <= PV_FIRST && frame > PV_FIRST - PV_FRAMES - made_xen.grown) ||
	       (frame >= PV_MOVED && frame < PV_MOVED + made_xen.moved) ||
	       (frame >= PV_SHARED && frame < PV_LIST + 2 + PV_PAGES);
}

/* What those pages hold; all others their number. */
static void pv_fill(uint64_t frame, uint8_t *to)
{
	struct shared_info *shared = (struct shared_info *)to;
	uint64_t *list = (uint64_t *)to;

	if (frame == PV_SHARED) {
		shared->arch.max_pfn = PV_FRAMES;
		shared->arch.pfn_to_mfn_frame_list_list = PV_LIST;
		shared->arch.p2m_generation = made_xen.generation;
	} else if (frame == PV_LIST) {
		list[0] = PV_LIST + 1;
	} else if (frame == PV_LIST + 1) {
		for (uint64_t i = 0; i < PV_PAGES; i++)
			list[i] = PV_LIST + 2 + i;
	} else if (frame > PV_LIST + 1 && frame < PV_LIST + 2 + PV_PAGES) {
		for (uint64_t i = 0, at = (frame - PV_LIST - 2) * 512; i < 512; i++, at++)
			list[i] = at == PV_HOLE	     ? UINT64_MAX :
				  at < made_xen.moved    ? PV_MOVED + at :
				  at < PV_FRAMES + made_xen.grown ? PV_FIRST - at : UINT64_MAX;
	}
}

bool made_xen_nothing(uint64_t frame)
{
	(void)frame;
	return false;
}

/* --- xenforeignmemory --- */

static xenforeignmemory_handle *memory_open(xentoollog_logger *logger, unsigned flags)
{
	assert_non_null(logger);
	assert_int_equal(flags, 0);
	made_xen.opened++;
	return (xenforeignmemory_handle *)&made_xen;
}

static int memory_close(xenforeignmemory_handle *handle)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(made_xen.mapped, 0);
	made_xen.opened--;
	return 0;
}

static void *memory_map(xenforeignmemory_handle *handle, uint32_t dom, int prot, size_t n,
			const xen_pfn_t *frames, int *missing)
{
	uint8_t *base;

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(dom, MADE_XEN_ID);
	assert_int_equal(prot, PROT_READ);
	assert_in_range(n, 1, XEN_BATCH_FRAMES);
	made_xen.frames_seen += n;
	if (made_xen.map_errno) {
		errno = made_xen.map_errno;
		return NULL;
	}
	if (made_xen.die_in && !--made_xen.die_in) {
		made_xen.introduced = false;
		made_xen.is_there = made_xen_nothing;
	}
	base = mmap(NULL, n * GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(base, MAP_FAILED);
	for (size_t i = 0; i < n; i++) {
		missing[i] = made_xen.is_there(frames[i]) ? 0 : -EINVAL;
		if (missing[i])
			continue;	/* to touch it is a signal, as it is with Xen */
		assert_int_equal(mprotect(base + i * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
		memcpy(base + i * GUEST_PAGE_SIZE, &frames[i], sizeof(frames[i]));
		base[i * GUEST_PAGE_SIZE + GUEST_PAGE_SIZE - 1] = made_xen.fill;
		if (made_xen.pv)
			pv_fill(frames[i], base + i * GUEST_PAGE_SIZE);
	}
	made_xen.mapped++;
	return base;
}

static int memory_unmap(xenforeignmemory_handle *handle, void *base, size_t n)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(munmap(base, n * GUEST_PAGE_SIZE), 0);
	made_xen.mapped--;
	return 0;
}

static int memory_restrict(xenforeignmemory_handle *handle, domid_t id)
{
	assert_ptr_equal(handle, &made_xen);
	made_xen.restricted_to = id;
	return 0;
}

/* --- xencall --- */

static xencall_handle *call_open(xentoollog_logger *logger, unsigned flags)
{
	assert_non_null(logger);
	assert_int_equal(flags, 0);
	made_xen.opened++;
	return (xencall_handle *)&made_xen;
}

static int call_close(xencall_handle *handle)
{
	assert_ptr_equal(handle, &made_xen);
	made_xen.opened--;
	return 0;
}

static int call2(xencall_handle *handle, unsigned op, uint64_t command, uint64_t buffer)
{
	struct xen_pod_target *target = (struct xen_pod_target *)(uintptr_t)buffer;

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(op, __HYPERVISOR_memory_op);
	if (command == XENMEM_maximum_gpfn)
		return (int)made_xen.last_frame;
	assert_int_equal(command, XENMEM_get_pod_target);
	assert_int_equal(target->domid, MADE_XEN_ID);
	target->pod_entries = made_xen.unpopulated;
	target->pod_cache_pages = made_xen.stock;
	return 0;
}

static void *call_alloc_buffer(xencall_handle *handle, size_t size)
{
	assert_ptr_equal(handle, &made_xen);
	return malloc(size);
}

static void call_free_buffer(xencall_handle *handle, void *buffer)
{
	assert_ptr_equal(handle, &made_xen);
	free(buffer);
}

/* --- xenstore --- */

static struct xs_handle *store_open(unsigned long flags)
{
	assert_int_equal(flags, 0);
	errno = made_xen.store_errno;
	if (made_xen.store_errno)
		return NULL;
	made_xen.opened++;
	return (struct xs_handle *)&made_xen;
}

static void store_close(struct xs_handle *handle)
{
	assert_ptr_equal(handle, &made_xen);
	made_xen.opened--;
}

static void *store_read(struct xs_handle *handle, xs_transaction_t t, const char *path,
			unsigned *len)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(t, XBT_NULL);
	if (made_xen_get(path)) {
		*len = (unsigned)strlen(made_xen_get(path));
		return strdup(made_xen_get(path));
	}
	errno = ENOENT;
	return NULL;
}

static bool store_write(struct xs_handle *handle, xs_transaction_t t, const char *path,
			const void *data, unsigned len)
{
	char text[sizeof(made_xen.nodes[0].value)];

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(t, XBT_NULL);
	assert_in_range(len, 1, sizeof(text) - 1);
	errno = EACCES;
	if (made_xen.store_readonly)
		return false;
	memcpy(text, data, len);
	text[len] = '\0';
	made_xen_set(path, text);
	return true;
}

static bool store_remove(struct xs_handle *handle, xs_transaction_t t, const char *path)
{
	size_t i = 0;

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(t, XBT_NULL);
	while (i < made_xen.nodes_n && strcmp(made_xen.nodes[i].path, path) != 0)
		i++;
	errno = ENOENT;
	if (i == made_xen.nodes_n)
		return false;
	made_xen.nodes[i] = made_xen.nodes[--made_xen.nodes_n];
	return true;
}

/* As xenstore has them: the names in one block behind the pointers. */
static char **store_directory(struct xs_handle *handle, xs_transaction_t t, const char *path,
			      unsigned *n)
{
	static const char names[5][8] = { "0", "7", "-1", "7x", "65536" };
	bool domains = !strcmp(path, "/local/domain");
	char **list = calloc(1, 5 * sizeof(*list) + sizeof(names));

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(t, XBT_NULL);
	assert_non_null(list);
	memcpy(list + 5, names, sizeof(names));
	for (size_t i = 0; i < 5; i++)
		list[i] = (char *)(list + 5) + i * sizeof(names[0]);
	*n = domains ? 5 : 2;
	return list;
}

static bool store_is_introduced(struct xs_handle *handle, unsigned id)
{
	assert_ptr_equal(handle, &made_xen);
	errno = made_xen.store_errno;
	return !made_xen.store_errno && (id == 0 || (id == MADE_XEN_ID && made_xen.introduced));
}

/* --- xenctrl --- */

static xc_interface *ctrl_open(xentoollog_logger *logger, xentoollog_logger *progress,
			       unsigned flags)
{
	assert_non_null(logger);
	assert_null(progress);
	assert_int_equal(flags, 0);
	made_xen.opened++;
	return (xc_interface *)&made_xen;
}

static int ctrl_close(xc_interface *handle)
{
	assert_ptr_equal(handle, &made_xen);
	made_xen.opened--;
	return 0;
}

static int ctrl_getinfo(xc_interface *handle, uint32_t first, unsigned n, xc_dominfo_t *info)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(n, 1);
	memset(info, 0, sizeof(*info));
	info->domid = first;
	info->hvm = !made_xen.pv;
	info->shared_info_frame = PV_SHARED;
	info->max_vcpu_id = 1;
	info->paused = 1;
	return 1;
}

static int ctrl_getcontext(xc_interface *handle, uint32_t id, uint16_t type, uint16_t instance,
			   void *buf, uint32_t size)
{
	struct hvm_hw_cpu *cpu = buf;

	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	assert_int_equal(type, HVM_SAVE_CODE(CPU));
	assert_int_equal(size, sizeof(*cpu));
	errno = made_xen.context_errno ? made_xen.context_errno : ENODATA;
	if (made_xen.context_errno || instance)	/* the second one is not up */
		return -1;
	cpu->cr0 = 0x80050033;
	cpu->cr3 = 0x5620000;
	cpu->cr4 = 0x6b0;
	cpu->msr_efer = 0xd01;
	cpu->msr_lstar = 0xffffffff81c00080;
	cpu->idtr_base = 0xfffffe0000000000;
	cpu->idtr_limit = 0xfff;
	return 0;
}

static int ctrl_getcontext_pv(xc_interface *handle, uint32_t id, uint32_t vcpu,
			      vcpu_guest_context_any_t *to)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	memset(to, 0, sizeof(*to));
	errno = made_xen.context_errno;
	if (made_xen.context_errno)
		return -1;
	to->c.flags = vcpu ? 0 : VGCF_online;	/* the second one is not up */
	to->c.event_callback_eip = 0xffffffff81001000;
	to->c.failsafe_callback_eip = 0xffffffff81002000;
	to->c.syscall_callback_eip = 0xffffffff81003000;
	to->c.trap_ctxt[14] = (struct trap_info){ 14, 4, 0x13, 0xffffffff81004000 };
	return 0;
}

/* --- the monitor ring --- */

static void *ctrl_monitor_enable(xc_interface *handle, uint32_t id, uint32_t *port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	made_xen.monitor.enabled++;
	errno = made_xen.monitor.enable_errno;
	if (errno)
		return NULL;
	assert_false(made_xen.monitor.taken);
	made_xen.monitor.taken = true;
	made_xen.monitor.page = mmap(NULL, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(made_xen.monitor.page, MAP_FAILED);
	*port = 5;
	return made_xen.monitor.page;
}

static int ctrl_monitor_disable(xc_interface *handle, uint32_t id)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	made_xen.monitor.taken = false;
	return 0;
}

static int ctrl_monitor_resume(xc_interface *handle, uint32_t id)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	errno = ENODEV;
	return made_xen.monitor.taken ? 0 : -1;
}

static int ctrl_monitor_capabilities(xc_interface *handle, uint32_t id, uint32_t *ret)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	*ret = made_xen.monitor.capabilities;
	return 0;
}

static int ctrl_monitor_register(xc_interface *handle, uint32_t id, uint16_t index, bool enable,
				 bool sync, uint64_t left_out, bool changes_only)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	assert_in_range(index, 0, 2);
	/* A vCPU would wait for each answer. */
	assert_false(sync);
	errno = made_xen.monitor.register_errno;
	if (enable && errno)
		return -1;
	if (enable)
		assert_true(changes_only);
	made_xen.monitor.told[index] = enable ? ~left_out : 0;
	return 0;
}

static xenevtchn_handle *events_open(xentoollog_logger *logger, unsigned flags)
{
	assert_non_null(logger);
	assert_int_equal(flags, 0);
	made_xen.opened++;
	return (xenevtchn_handle *)&made_xen;
}

static int events_close(xenevtchn_handle *handle)
{
	assert_ptr_equal(handle, &made_xen);
	made_xen.opened--;
	return 0;
}

static int events_fd(xenevtchn_handle *handle)
{
	assert_ptr_equal(handle, &made_xen);
	return made_xen.monitor.fd;
}

static xenevtchn_port_or_error_t events_pending(xenevtchn_handle *handle)
{
	uint64_t times;

	assert_ptr_equal(handle, &made_xen);
	return read(made_xen.monitor.fd, &times, sizeof(times)) == sizeof(times) ? MADE_XEN_PORT :
										   -1;
}

static int events_unmask(xenevtchn_handle *handle, evtchn_port_t port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(port, MADE_XEN_PORT);
	return 0;
}

static xenevtchn_port_or_error_t events_bind(xenevtchn_handle *handle, uint32_t id,
					     evtchn_port_t port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(id, MADE_XEN_ID);
	assert_int_equal(port, 5);
	errno = made_xen.monitor.bind_errno;
	if (errno)
		return -1;
	made_xen.monitor.bound++;
	return MADE_XEN_PORT;
}

static int events_unbind(xenevtchn_handle *handle, evtchn_port_t port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(port, MADE_XEN_PORT);
	made_xen.monitor.bound--;
	return 0;
}

static int events_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
	assert_ptr_equal(handle, &made_xen);
	assert_int_equal(port, MADE_XEN_PORT);
	made_xen.monitor.notified++;
	return 0;
}

const struct xen_libs made_xen_libs = {
	.memory_open = memory_open, .memory_close = memory_close, .memory_map = memory_map,
	.memory_unmap = memory_unmap, .memory_restrict = memory_restrict,
	.call_open = call_open, .call_close = call_close, .call2 = call2,
	.call_alloc_buffer = call_alloc_buffer, .call_free_buffer = call_free_buffer,
	.store_open = store_open, .store_close = store_close, .store_read = store_read,
	.store_directory = store_directory, .store_is_introduced = store_is_introduced,
	.store_write = store_write, .store_remove = store_remove,
	.ctrl_open = ctrl_open, .ctrl_close = ctrl_close, .ctrl_getinfo = ctrl_getinfo,
	.ctrl_getcontext = ctrl_getcontext, .ctrl_getcontext_pv = ctrl_getcontext_pv,
	.ctrl_monitor_enable = ctrl_monitor_enable, .ctrl_monitor_disable = ctrl_monitor_disable,
	.ctrl_monitor_resume = ctrl_monitor_resume,
	.ctrl_monitor_capabilities = ctrl_monitor_capabilities,
	.ctrl_monitor_register = ctrl_monitor_register,
	.events_open = events_open, .events_close = events_close, .events_fd = events_fd,
	.events_pending = events_pending, .events_unmask = events_unmask, .events_bind = events_bind,
	.events_unbind = events_unbind, .events_notify = events_notify,
};

int made_xen_start(void **state)
{
	(void)state;
	memset(&made_xen, 0, sizeof(made_xen));
	made_xen.introduced = true;
	made_xen.is_there = made_xen_small;
	made_xen.last_frame = 0xfefff;
	made_xen.restricted_to = UINT16_MAX;
	made_xen.monitor.capabilities = UINT32_MAX;
	made_xen_set("domid", "0");
	made_xen_set("/local/domain/0/name", "Domain-0");
	made_xen_set("/local/domain/7/name", "web");
	made_xen_set("/local/domain/7/vm", MADE_XEN_VM);
	made_xen_set("/local/domain/7/memory/static-max", "65536");
	made_xen_set("/libxl/7/type", "pvh");
	return 0;
}

int made_xen_start_pv(void **state)
{
	made_xen_start(state);
	made_xen.pv = true;
	made_xen.is_there = pv_guest;
	made_xen_set("/libxl/7/type", "pv");
	made_xen_set("/local/domain/7/memory/static-max", "18640");	/* PV_FRAMES */
	return 0;
}

struct ram *made_xen_open(void)
{
	struct ram *ram = NULL;
	struct err err = { 0 };
	int r = xen_open(&made_xen_libs, MADE_XEN_ID, &ram, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(made_xen.restricted_to, MADE_XEN_ID);
	return ram;
}

void made_xen_close(struct ram *ram)
{
	ram_close(&ram);
	assert_int_equal(made_xen.mapped, 0);
	assert_int_equal(made_xen.opened, 0);
}

void made_xen_refused(int code, const char *text)
{
	struct ram *ram = NULL;
	struct err err = { 0 };

	assert_int_equal(xen_open(&made_xen_libs, MADE_XEN_ID, &ram, &err), code);
	assert_null(ram);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(made_xen.mapped, 0);
	assert_int_equal(made_xen.opened, 0);
}

uint64_t made_xen_frame(struct ram *ram, uint64_t frame)
{
	uint64_t value = 0;

	assert_int_equal(ram_read(ram, gpa_of(frame * GUEST_PAGE_SIZE), &value, sizeof(value), NULL), 0);
	return value;
}

static int ask(void *ctx, uint64_t first, uint32_t n, uint64_t *there, struct err *err)
{
	int r = ram_fetch(ctx, first, n, there, err);

	/* Whatever came back. */
	assert_int_equal(made_xen.mapped, 0);
	return r;
}

struct ram *made_xen_serve(struct ram *ram)
{
	const struct memory_elsewhere starter = { ask, ram };
	struct ram *taken = NULL;
	struct handover handover;
	int fds[2];

	assert_true(ram_is_served(ram));
	assert_int_equal(handover_of(ram, &handover, NULL), 0);
	/* No descriptor of Xen's goes along. */
	assert_int_equal(handover.fds_n, made_xen.pv ? 2 : 1);
	for (size_t i = 0; i < handover.fds_n; i++) {
		assert_true(fcntl(handover.fds[i], F_GET_SEALS) & F_SEAL_FUTURE_WRITE);
		fds[i] = fcntl(handover.fds[i], F_DUPFD_CLOEXEC, 0);
	}
	assert_int_equal(handover_take(handover.text.data, handover.text.n, fds, handover.fds_n,
				       &starter, &taken, NULL), 0);
	handover_free(&handover);
	return taken;
}
