/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "ram/machine.h"
#include "ram/xen_host.h"
#include "ram/xen_p2m.h"

/* RAM never lies in the hole for devices: HVM_BELOW_4G_MMIO_START of xen/hvm/e820.h. */
#define LOW_END_FRAMES	(0xf0000000ull >> GUEST_PAGE_SHIFT)
#define HIGH_FRAMES	(0x100000000ull >> GUEST_PAGE_SHIFT)

/* Two frames are looked at in each 2 MiB to see where RAM ends. */
#define SAMPLE_FRAMES	256u

#define NO_WINDOW	UINT64_MAX
#define NO_FRAME	(~(xen_pfn_t)0)

/* To read a guest's p2m anew takes a tenth of the time at most. */
#define P2M_SHARE	10u

/* Frames that follow each other, mapped. */
struct window {
	uint64_t number;			/* first frame / XEN_WINDOW_FRAMES, or NO_WINDOW */
	uint8_t *base;				/* NULL: none of them could be mapped */
	int missing[XEN_WINDOW_FRAMES];		/* an errno for each that is not there */
};

struct xen {
	struct ram ram;
	const struct xen_libs *libs;
	struct xen_host host;
	xenforeignmemory_handle *memory;
	uint16_t id;
	char *vm;
	uint64_t held_ns;			/* since when the oldest window is mapped */
	uint64_t known_ns;			/* when xen_fetch() found it to be the same */
	uint64_t shared;			/* of PV: its shared_info, a machine frame */
	uint32_t *p2m;				/* of PV: what ram.machine is set to */
	uint64_t p2m_ns, p2m_took_ns;		/* when that was read, and how long it took */
	struct err p2m_why;			/* why it could not be read then; code 0: it was */
	bool p2m_old;				/* it is of an earlier instant */
	struct window windows[XEN_WINDOWS];
};

static void let_go(struct xen *xen)
{
	for (size_t i = 0; i < XEN_WINDOWS; i++) {
		struct window *window = &xen->windows[i];

		if (window->base)
			xen->libs->memory_unmap(xen->memory, window->base, XEN_WINDOW_FRAMES);
		window->base = NULL;
		window->number = NO_WINDOW;
	}
	xen->held_ns = 0;
}

static int xen_alive(struct ram *ram, struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	int r = xen_domain_same(&xen->host, xen->id, xen->vm, err);

	if (r < 0)
		let_go(xen);
	return r;
}

/* --- the frames of PV guests --- */

/* What Xen knows a frame of the guest by. */
static xen_pfn_t number_of(const struct xen *xen, uint64_t frame)
{
	uint32_t number;

	if (!xen->ram.machine)
		return frame;
	number = machine_of(xen->ram.machine, frame);
	return number == MACHINE_NONE ? NO_FRAME : number;
}

static int read_machine(void *ctx, const uint64_t *numbers, uint32_t n, uint8_t *pages,
			bool *there, struct err *err)
{
	struct xen *xen = ctx;
	xen_pfn_t frames[P2M_BATCH] = { 0 };
	int missing[P2M_BATCH] = { 0 };
	uint8_t *base;

	for (uint32_t i = 0; i < n; i++)
		frames[i] = numbers[i];
	errno = 0;
	base = xen->libs->memory_map(xen->memory, xen->id, PROT_READ, n, frames, missing);
	if (!base && (errno == EACCES || errno == EPERM))
		return err_set(err, -EACCES, "mapping the memory of domain %u: %s: run as root in "
			       "dom0", xen->id, strerror(errno));
	for (uint32_t i = 0; i < n; i++) {
		there[i] = base && !missing[i];
		if (there[i])
			memcpy(pages + i * GUEST_PAGE_SIZE, base + i * GUEST_PAGE_SIZE,
			       GUEST_PAGE_SIZE);
	}
	if (base)
		xen->libs->memory_unmap(xen->memory, base, n);
	return 0;
}

/* What the guest says which machine frames it has; nothing is mapped by what it said before. */
static int read_p2m(struct xen *xen, struct err *err)
{
	const struct p2m_source source = { read_machine, xen };
	uint64_t start = now_ns(CLOCK_MONOTONIC), end;
	struct err why = { 0 };
	uint32_t n = machine_frames_n(xen->ram.machine);
	int r = p2m_read(&source, xen->shared, xen->p2m, n, &why);

	if (r >= 0)
		machine_set(xen->ram.machine, xen->p2m);
	/* A guest that keeps it from being read is no cheaper than another. */
	end = now_ns(CLOCK_MONOTONIC);
	xen->p2m_took_ns = end - start;
	xen->p2m_ns = end;
	xen->p2m_why = why;
	return r < 0 ? err_set(err, r, "memory of domain %u: %s", xen->id, why.text) : 0;
}

/*
 * Only between two instants: what a page table leads to must be read by the list that the way to
 * it was found with, so that it is what the processor takes, whatever the guest does to the list.
 */
static int xen_renew(struct ram *ram, struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	int r = xen_alive(ram, err);

	if (r < 0 || !ram->machine)
		return r;
	if (now_ns(CLOCK_MONOTONIC) - xen->p2m_ns >= P2M_SHARE * xen->p2m_took_ns) {
		let_go(xen);
		r = read_p2m(xen, err);
	} else if (xen->p2m_why.code) {
		r = err_set(err, xen->p2m_why.code, "memory of domain %u: %s", xen->id,
			    xen->p2m_why.text);
	}
	if (r >= 0)
		xen->p2m_old = false;
	return r;
}

/*
 * RAM of a PV guest: as many frames as it may have, for the balloon fills them later, and as
 * many as it says, if that is no more than it can have.
 */
static int find_machine(struct xen *xen, uint64_t most_frames, struct err *err)
{
	const struct p2m_source source = { read_machine, xen };
	struct ram_range range = { gpa_of(0), 0 };
	uint64_t frames;
	int r = xen_domain_shared(&xen->host, xen->id, &xen->shared, err);

	if (r >= 0)
		r = p2m_size(&source, xen->shared, &frames, err);
	if (r == -EAGAIN)
		return err_set(err, -ENOENT, "domain %u has not started yet", xen->id);
	if (r < 0)
		return r;
	/* Where it has the machine's own map, its memory goes around the hole for devices. */
	if (frames > most_frames + HIGH_FRAMES)
		frames = most_frames + HIGH_FRAMES;
	if (frames < most_frames)
		frames = most_frames;
	if (frames > MACHINE_FRAMES_MAX)
		return err_set(err, -ELOOP, "domain %u has over %u frames, which is more than hvsm "
			       "can follow for PV", xen->id, MACHINE_FRAMES_MAX);
	xen->p2m = calloc(frames, sizeof(*xen->p2m));
	if (!xen->p2m)
		return err_set(err, -ENOMEM, "no memory for %" PRIu64 " frames", frames);
	r = machine_new((uint32_t)frames, &xen->ram.machine, err);
	if (r >= 0)
		r = read_p2m(xen, err);
	range.size_bytes = frames << GUEST_PAGE_SHIFT;
	return r < 0 ? r : ram_set_ranges(&xen->ram, &range, 1, err);
}

/* --- those of others --- */

/* Which of @n frames are there? */
static int probe(struct xen *xen, const xen_pfn_t *frames, size_t n, bool *there, struct err *err)
{
	int missing[XEN_BATCH_FRAMES];
	void *base;

	errno = 0;
	base = xen->libs->memory_map(xen->memory, xen->id, PROT_READ, n, frames, missing);
	if (!base && (errno == EACCES || errno == EPERM))
		return err_set(err, -EACCES, "mapping the memory of domain %u: %s: run as root in "
			       "dom0", xen->id, strerror(errno));
	for (size_t i = 0; i < n; i++)
		there[i] = base && !missing[i];
	if (base)
		xen->libs->memory_unmap(xen->memory, base, n);
	return 0;
}

/*
 * Behind the last frame in [@from, @to) that is there, as far as samples tell; @from: none is.
 * From the last sample that is there on, it is found to the frame.
 */
static int find_end(struct xen *xen, uint64_t from, uint64_t to, uint64_t *ret, struct err *err)
{
	xen_pfn_t frames[XEN_BATCH_FRAMES] = { 0 };
	bool there[XEN_BATCH_FRAMES];
	uint64_t last = 0, behind;
	bool any = false;
	int r;

	for (uint64_t at = from; at < to; at += (uint64_t)XEN_BATCH_FRAMES * SAMPLE_FRAMES) {
		size_t n = 0;

		for (; n < XEN_BATCH_FRAMES && at + n * SAMPLE_FRAMES < to; n++)
			frames[n] = at + n * SAMPLE_FRAMES;
		r = probe(xen, frames, n, there, err);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			if (there[i]) {
				last = frames[i];
				any = true;
			}
	}
	if (!any) {
		*ret = from;
		return 0;
	}
	behind = to - last > SAMPLE_FRAMES ? last + SAMPLE_FRAMES : to;
	while (behind - last > 1) {
		xen_pfn_t middle = last + (behind - last) / 2;

		r = probe(xen, &middle, 1, there, err);
		if (r < 0)
			return r;
		if (there[0])
			last = middle;
		else
			behind = middle;
	}
	*ret = behind;
	return 0;
}

/*
 * RAM as the toolstack lays it out: from 0 on up to the hole for devices, the rest from 4 GiB
 * on. What of it the balloon has taken just now may come back, so holes belong to it.
 */
static int find_ranges(struct xen *xen, uint64_t most_frames, struct err *err)
{
	struct ram_range ranges[2];
	uint64_t end, low, high = HIGH_FRAMES, limit;
	size_t n = 0;
	int r = xen_domain_end(&xen->host, xen->id, &end, err);

	if (r < 0)
		return r;
	/* A guest can put a frame of Xen's at any number: no reason to look so far for RAM. */
	if (end > HIGH_FRAMES + most_frames)
		end = HIGH_FRAMES + most_frames;
	limit = most_frames < LOW_END_FRAMES ? most_frames : LOW_END_FRAMES;
	r = find_end(xen, 0, limit < end ? limit : end, &low, err);
	if (r == 0 && end > HIGH_FRAMES)
		r = find_end(xen, HIGH_FRAMES, end, &high, err);
	if (r < 0)
		return r;
	if (!low)
		return err_set(err, -ENOENT, "domain %u has no memory", xen->id);
	if (high == HIGH_FRAMES)
		low = limit;
	ranges[n++] = (struct ram_range){ gpa_of(0), low << GUEST_PAGE_SHIFT };
	if (high > HIGH_FRAMES)
		ranges[n++] = (struct ram_range){ gpa_of(HIGH_FRAMES << GUEST_PAGE_SHIFT),
						  (high - HIGH_FRAMES) << GUEST_PAGE_SHIFT };
	return ram_set_ranges(&xen->ram, ranges, n, err);
}

/* --- reading --- */

/* Where nothing of it can be mapped it is a hole, or there is no domain any more. */
static int map_window(struct xen *xen, uint64_t number, struct window *window, struct err *err)
{
	xen_pfn_t frames[XEN_WINDOW_FRAMES];
	bool any = false;

	if (window->base)
		xen->libs->memory_unmap(xen->memory, window->base, XEN_WINDOW_FRAMES);
	window->number = NO_WINDOW;
	for (size_t i = 0; i < XEN_WINDOW_FRAMES; i++)
		frames[i] = number_of(xen, number * XEN_WINDOW_FRAMES + i);
	memset(window->missing, 0, sizeof(window->missing));
	window->base = xen->libs->memory_map(xen->memory, xen->id, PROT_READ, XEN_WINDOW_FRAMES,
					     frames, window->missing);
	for (size_t i = 0; i < XEN_WINDOW_FRAMES; i++) {
		if (!window->base && !window->missing[i])
			window->missing[i] = -EFAULT;
		any |= !window->missing[i];
	}
	window->number = number;
	return any ? 0 : xen_alive(&xen->ram, err);
}

/* The window that a frame lies in, mapped a second ago at most. */
static int window_at(struct xen *xen, uint64_t frame, const struct window **ret, struct err *err)
{
	uint64_t number = frame / XEN_WINDOW_FRAMES, now = now_ns(CLOCK_MONOTONIC);
	struct window *window = &xen->windows[number % XEN_WINDOWS];
	int r;

	if (xen->p2m_old) {
		r = xen_renew(&xen->ram, err);
		if (r < 0)
			return r;
	}
	if (xen->held_ns && now - xen->held_ns >= XEN_HELD_MS * 1000000ull) {
		let_go(xen);
		r = xen_alive(&xen->ram, err);
		if (r < 0)
			return r;
	}
	if (!xen->held_ns)
		xen->held_ns = now;
	if (window->number != number) {
		r = map_window(xen, number, window, err);
		if (r < 0)
			return r;
	}
	*ret = window;
	return 0;
}

static int xen_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		    struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	uint64_t at = ram->ranges[range].start.v + offset;
	uint8_t *to = buf;

	while (len) {
		uint64_t frame = at >> GUEST_PAGE_SHIFT;
		size_t in_page = at & GUEST_PAGE_MASK, n = GUEST_PAGE_SIZE - in_page;
		size_t index = frame % XEN_WINDOW_FRAMES;
		const struct window *window;
		int r = window_at(xen, frame, &window, err);

		if (r < 0)
			return r;
		if (window->missing[index])
			return err_set(err, -EFAULT, "no memory at %#" PRIx64 " just now", at);
		if (n > len)
			n = len;
		memcpy(to, window->base + index * GUEST_PAGE_SIZE + in_page, n);
		at += n;
		to += n;
		len -= n;
	}
	return 0;
}

/* Runs of frames that are there; one ends with its window at the latest. */
static int xen_populated(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			 uint64_t *len, struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	uint64_t base = ram->ranges[range].start.v, end = base + ram->ranges[range].size_bytes;
	uint64_t at = base + offset, first;

	while (at < end) {
		uint64_t frame = at >> GUEST_PAGE_SHIFT;
		size_t index = frame % XEN_WINDOW_FRAMES, behind;
		const struct window *window;
		int r = window_at(xen, frame, &window, err);

		if (r < 0)
			return r;
		while (index < XEN_WINDOW_FRAMES && window->missing[index])
			index++;
		for (behind = index; behind < XEN_WINDOW_FRAMES && !window->missing[behind];)
			behind++;
		first = (window->number * XEN_WINDOW_FRAMES + index) << GUEST_PAGE_SHIFT;
		if (first < at)
			first = at;
		if (first >= end)
			return -ENOENT;
		at = (window->number * XEN_WINDOW_FRAMES + behind) << GUEST_PAGE_SHIFT;
		if (behind > index) {
			*start = first - base;
			*len = (at < end ? at : end) - first;
			return 0;
		}
	}
	return -ENOENT;
}

/* For another process: what is mapped here is gone before that one sees the copy. */
static int xen_fetch(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		     struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	xen_pfn_t frames[FETCH_FRAMES_MAX] = { 0 };
	int missing[FETCH_FRAMES_MAX] = { 0 }, r;
	uint64_t now = now_ns(CLOCK_MONOTONIC), found = 0;
	uint8_t *base;

	if (!xen->known_ns || now - xen->known_ns >= XEN_HELD_MS * 1000000ull) {
		r = xen_alive(ram, err);
		if (r < 0)
			return r;
		xen->known_ns = now;
	}
	for (uint32_t i = 0; i < n; i++)
		frames[i] = number_of(xen, first + i);
	base = xen->libs->memory_map(xen->memory, xen->id, PROT_READ, n, frames, missing);
	for (uint32_t i = 0; base && i < n; i++) {
		if (missing[i])
			continue;
		memcpy(to + i * GUEST_PAGE_SIZE, base + i * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
		found |= 1ull << i;
	}
	if (base)
		xen->libs->memory_unmap(xen->memory, base, n);
	if (!found) {
		r = xen_alive(ram, err);
		if (r < 0)
			return r;
	}
	*there = found;
	return 0;
}

static int xen_registers(struct ram *ram, struct err *err)
{
	struct xen *xen = (struct xen *)ram;
	registers_list cpus = { 0 };
	int r;

	if (ram->machine) {
		let_go(xen);
		r = read_p2m(xen, err);
		if (r >= 0)
			r = xen_domain_pv_registers(&xen->host, xen->id, &cpus, err);
	} else {
		r = xen_domain_registers(&xen->host, xen->id, &cpus, err);
	}
	if (r == 0)
		r = ram_set_registers(ram, cpus.v, cpus.n, err);
	vec_free(&cpus);
	return r;
}

static void xen_rest(struct ram *ram)
{
	struct xen *xen = (struct xen *)ram;

	let_go(xen);
	xen->p2m_old = ram->machine;
}

static void xen_close(struct ram *ram)
{
	struct xen *xen = (struct xen *)ram;

	let_go(xen);
	if (xen->memory)
		xen->libs->memory_close(xen->memory);
	xen_host_close(&xen->host);
	free(xen->vm);
	free(xen->p2m);
	free(xen);
}

static const struct ram_ops xen_ops = {
	.name = "xen",
	.read = xen_read,
	.populated = xen_populated,
	.alive = xen_alive,
	.fetch = xen_fetch,
	.registers = xen_registers,
	.renew = xen_renew,
	.rest = xen_rest,
	.close = xen_close,
};

/* Can a domain like that be read? Its memory is as large as @frames at most. */
static int check_domain(struct xen *xen, const struct xen_domain *domain, uint64_t *frames,
			struct err *err)
{
	uint64_t pages = 0;
	int r = xen_supported(&xen->host, domain, err);

	if (r >= 0 && domain->kind != XEN_PV)
		r = xen_domain_owed(&xen->host, xen->id, &pages, err);
	if (r < 0)
		return r;
	if (pages)
		return err_set(err, -ENOTSUP, "domain %u is to get %" PRIu64 " pages on demand "
			       "that Xen has not: to read them would crash it; wait until its "
			       "balloon driver is done, or give it memory = maxmem", xen->id,
			       pages);
	*frames = domain->memory_bytes >> GUEST_PAGE_SHIFT;
	if (!*frames)
		return err_set(err, -ENOTSUP, "how much memory domain %u may have is not known",
			       xen->id);
	if (*frames > XEN_FRAMES_MAX)
		return err_set(err, -ELOOP, "domain %u may have %" PRIu64 " pages", xen->id,
			       *frames);
	return 0;
}

static int attach_memory(struct xen *xen, struct err *err)
{
	errno = 0;
	xen->memory = xen->libs->memory_open(xen_quiet(), 0);
	if (!xen->memory)
		return err_set(err, errno == EACCES || errno == EPERM ? -EACCES : -EIO,
			       "mapping memory of domains: %s: run as root in dom0",
			       strerror(errno ? errno : EIO));
	/*
	 * From here on this descriptor is good for nothing but mapping that domain. Kernels
	 * before 4.13 cannot do that.
	 */
	if (xen->libs->memory_restrict(xen->memory, xen->id) < 0 && errno != ENOTTY &&
	    errno != EOPNOTSUPP)
		return err_set(err, -errno, "restriction to domain %u: %s", xen->id,
			       strerror(errno));
	return 0;
}

/* Everything of xen_open() but the object itself. */
static int attach(struct xen *xen, struct err *err)
{
	struct xen_domain domain;
	uint64_t frames = 0;
	bool pv;
	int r = xen_host_open(xen->libs, &xen->host, err);

	if (r == 0)
		r = xen_domain_describe(&xen->host, xen->id, &domain, err);
	if (r < 0)
		return r;
	r = check_domain(xen, &domain, &frames, err);
	pv = domain.kind == XEN_PV;
	xen->vm = take_ptr(&domain.vm);
	xen_domain_free(&domain);
	if (r == 0)
		r = attach_memory(xen, err);
	if (r == 0)
		r = pv ? find_machine(xen, frames, err) : find_ranges(xen, frames, err);
	if (r == 0)
		r = xen_alive(&xen->ram, err);
	if (r < 0)
		return r;
	snprintf(xen->ram.layout, sizeof(xen->ram.layout), pv ?
		 "domain %u of Xen, by the guest's p2m" : "domain %u of Xen", xen->id);
	return 0;
}

int xen_open(const struct xen_libs *libs, uint16_t id, struct ram **ret, struct err *err)
{
	struct xen *xen = calloc(1, sizeof(*xen));
	struct ram *ram;
	int r;

	if (!xen)
		return -ENOMEM;
	ram = &xen->ram;
	ram->ops = &xen_ops;
	xen->libs = libs;
	xen->id = id;
	for (size_t i = 0; i < XEN_WINDOWS; i++)
		xen->windows[i].number = NO_WINDOW;
	r = attach(xen, err);
	if (r < 0) {
		ram_close(&ram);
		return r;
	}
	*ret = ram;
	return 0;
}
