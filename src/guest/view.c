/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/keep.h"
#include "base/limits.h"
#include "guest/paging.h"

#define PAGES_BYTES   ((size_t)VIEW_PAGES_MAX * GUEST_PAGE_SIZE)
#define SLOTS	      (2 * VIEW_PAGES_MAX)	/* half full at most: probes stay short */
#define TLB_ENTRIES   4096u
#define BULK_BYTES    (64u << 10)
#define NO_PAGE	      UINT32_MAX
#define GIVE_BACK_PAGES 64u	/* fewer are not worth a system call */
#define TAKE_PAGES	32u	/* are faulted in at a time */
#define KEEP_PAGES_MAX	512u	/* each guest's view has them, though most look at nothing now */

/*
 * Reads of pages that are at hand cost, too, so that no loop over them is endless: so many of
 * them, 1 fuel. A sweep of a real guest makes some ten thousand reads.
 */
#define TOUCHES_PER_FUEL 64u

/*
 * A translation, and where the view keeps the page, if it does: then a read is one probe and
 * one copy. Two of them fill a cache line.
 */
struct tlb_entry {
	uint64_t space;		/* root and levels; 0: unused */
	uint64_t page;		/* guest-virtual page number */
	uint64_t at;		/* guest-physical, of the page's first byte */
	uint32_t index;		/* into pages, or NO_PAGE */
	uint8_t page_shift;	/* log2 of struct mapping's page_bytes */
	uint8_t rights;
};

struct view {
	struct ram *ram;
	struct space kernel;
	bool has_kernel;
	uint64_t fuel;
	uint64_t touches;
	uint64_t secret;	/* of the hash: no guest can choose pages that collide */
	struct view_stats stats;

	uint8_t (*pages)[GUEST_PAGE_SIZE];
	uint64_t *numbers;	/* guest-physical page number of pages[i] */
	uint32_t pages_n;
	uint32_t touched;	/* pages that the host has memory for */
	uint32_t wanted;	/* … of these, what is worth keeping: see give_back() */
	uint32_t *slots;	/* hash of the page number → index into pages, or NO_PAGE */
	struct tlb_entry *tlb;
	struct keep keep;	/* what others made of the pages */
};

static void forget_pages(struct view *view)
{
	keep_free(&view->keep);
	memset(view->slots, 0xff, SLOTS * sizeof(*view->slots));
	memset(view->tlb, 0, TLB_ENTRIES * sizeof(*view->tlb));
	view->pages_n = 0;
}

int view_open(struct ram *ram, uint64_t fuel, struct view **ret)
{
	cleanup(view_close) struct view *view = calloc(1, sizeof(*view));

	if (!view)
		return -ENOMEM;
	view->ram = ram;
	view->fuel = fuel;
	view->secret = hash_secret();
	view->pages = mmap(NULL, PAGES_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (view->pages == MAP_FAILED)
		view->pages = NULL;
	view->numbers = calloc(VIEW_PAGES_MAX, sizeof(*view->numbers));
	view->slots = malloc(SLOTS * sizeof(*view->slots));
	view->tlb = calloc(TLB_ENTRIES, sizeof(*view->tlb));
	if (!view->pages || !view->numbers || !view->slots || !view->tlb)
		return -ENOMEM;
	forget_pages(view);
	*ret = take_ptr(&view);
	return 0;
}

void view_close(struct view **view)
{
	if (!*view)
		return;
	keep_free(&(*view)->keep);
	if ((*view)->pages)
		munmap((*view)->pages, PAGES_BYTES);
	free((*view)->numbers);
	free((*view)->slots);
	free((*view)->tlb);
	free(*view);
	*view = NULL;
}

void view_set_kernel(struct view *view, struct space space)
{
	/* Of another kernel, or read by other tables. */
	if (view->kernel.root.v != space.root.v || view->kernel.levels != space.levels)
		keep_free(&view->keep);
	view->kernel = space;
	view->has_kernel = space.levels != 0;
}

/*
 * A large sweep now and then shall not take its memory for ever; but who takes as much each time
 * shall not have it faulted in anew. So what is kept follows what was used: upwards at once,
 * downwards by and by.
 */
static void give_back(struct view *view)
{
	uint32_t used = view->pages_n;

	if (used > view->touched)
		view->touched = used;
	view->wanted = used > view->wanted ? used : view->wanted - (view->wanted - used) / 8;
	if (view->wanted > KEEP_PAGES_MAX)
		view->wanted = KEEP_PAGES_MAX;
	if (view->touched > view->wanted + GIVE_BACK_PAGES &&
	    !madvise(view->pages + view->wanted, (size_t)(view->touched - view->wanted) *
		     GUEST_PAGE_SIZE, MADV_DONTNEED))
		view->touched = view->wanted;
}

void view_refresh(struct view *view)
{
	give_back(view);
	forget_pages(view);
	ram_rest(view->ram);	/* what is mapped is of before, too */
	view->stats.refreshes++;
}

void view_refuel(struct view *view, uint64_t fuel)
{
	view->fuel = fuel;
}

uint64_t view_fuel(const struct view *view)
{
	return view->fuel;
}

const void *view_kept(const struct view *view, const void *key)
{
	return keep_get(&view->keep, key);
}

void view_keep(struct view *view, const void *key, void *object, void (*release)(void *object))
{
	if (view_kept(view, key) || keep_put(&view->keep, key, object, release) < 0)
		release(object);
}

struct ram *view_ram(struct view *view)
{
	return view->ram;
}

struct view_stats view_stats(const struct view *view)
{
	return view->stats;
}

int view_burn(struct view *view, uint64_t pages, struct err *err)
{
	if (pages > view->fuel) {
		view->fuel = 0;
		return err_set(err, -ELOOP, "over the limit of pages for one pass");
	}
	view->fuel -= pages;
	return 0;
}

/* The slot of a page number, or the free one where it would go. */
static uint32_t *slot_of(const struct view *view, uint64_t number)
{
	uint32_t i = (uint32_t)(hash_number(number, view->secret) >> 32) % SLOTS;

	while (view->slots[i] != NO_PAGE && view->numbers[view->slots[i]] != number)
		i = (i + 1) % SLOTS;
	return &view->slots[i];
}

/*
 * Memory for one more page. A fault costs more than what is read into the page, and many at a time
 * a third of that. Where the host cannot do so they come one by one (Linux before 5.14).
 */
static void take_memory(struct view *view)
{
	uint32_t n = VIEW_PAGES_MAX - view->touched;

	if (view->pages_n < view->touched)
		return;
	n = n > TAKE_PAGES ? TAKE_PAGES : n;
	if (madvise(view->pages + view->touched, (size_t)n * GUEST_PAGE_SIZE,
		    MADV_POPULATE_WRITE) < 0)
		n = 1;
	view->touched += n;
}

/* A page that is at hand is read once more. */
static inline int touch(struct view *view, struct err *err)
{
	return ++view->touches % TOUCHES_PER_FUEL ? 0 : view_burn(view, 1, err);
}

/*
 * The page at @number, from the view's own copy or, for 1 fuel, from the guest. When the view
 * is full it starts over: a sweep that needs so many pages is a large one, and reads again.
 */
static int page_of(struct view *view, uint64_t number, uint32_t *ret, struct err *err)
{
	uint32_t *slot = slot_of(view, number);
	uint32_t i = *slot;
	int r = i == NO_PAGE ? view_burn(view, 1, err) : touch(view, err);

	if (r < 0)
		return r;
	if (i == NO_PAGE) {
		if (view->pages_n == VIEW_PAGES_MAX) {
			view->touched = VIEW_PAGES_MAX;
			forget_pages(view);
			slot = slot_of(view, number);
		}
		take_memory(view);
		i = view->pages_n;
		r = ram_read(view->ram, gpa_of(number << GUEST_PAGE_SHIFT), view->pages[i],
			     GUEST_PAGE_SIZE, err);
		if (r < 0)
			return r;
		view->stats.pages++;
		view->stats.bytes += GUEST_PAGE_SIZE;
		view->numbers[i] = number;
		view->pages_n++;
		*slot = i;
	}
	*ret = i;
	return 0;
}

static int bad_length(size_t len, uint64_t at, struct err *err)
{
	if (!len || len > VIEW_READ_MAX)
		return err_set(err, -EINVAL, "bad read of %zu bytes at %#" PRIx64, len, at);
	if (at + (len - 1) < at)	/* a guest's pointer, and nothing is mapped at both ends */
		return err_set(err, -EFAULT, "%zu bytes at %#" PRIx64 " wrap around", len, at);
	return 0;
}

/* Straight from the guest into the caller's buffer; the pages are not kept. */
static int read_bulk(struct view *view, gpa at, uint8_t *buf, size_t len, struct err *err)
{
	uint64_t pages = ((at.v & GUEST_PAGE_MASK) + len + GUEST_PAGE_MASK) >> GUEST_PAGE_SHIFT;
	int r;

	r = view_burn(view, pages, err);
	if (r < 0)
		return r;
	r = ram_read(view->ram, at, buf, len, err);
	if (r < 0)
		return r;
	view->stats.pages += pages;
	view->stats.bytes += len;
	return 0;
}

static int read_pages(struct view *view, gpa at, uint8_t *buf, size_t len, struct err *err)
{
	uint32_t page;
	int r;

	while (len) {
		size_t offset = at.v & GUEST_PAGE_MASK, n = GUEST_PAGE_SIZE - offset;

		if (n > len)
			n = len;
		r = page_of(view, at.v >> GUEST_PAGE_SHIFT, &page, err);
		if (r < 0)
			return r;
		memcpy(buf, view->pages[page] + offset, n);
		buf += n;
		at.v += n;
		len -= n;
	}
	return 0;
}

int view_read_phys(struct view *view, gpa at, void *buf, size_t len, struct err *err)
{
	int r = bad_length(len, at.v, err);

	if (r < 0)
		return r;
	if (len >= BULK_BYTES)
		r = read_bulk(view, at, buf, len, err);
	else
		r = read_pages(view, at, buf, len, err);
	if (r < 0)
		memset(buf, 0, len);
	return r;
}

static uint64_t tlb_key(struct space space)
{
	return (space.root.v & PTE_ADDRESS) | space.levels;
}

int view_copy_phys(struct view *view, gpa at, void *buf, size_t len, struct err *err)
{
	int r = bad_length(len, at.v, err);

	if (r < 0)
		return r;
	r = read_bulk(view, at, buf, len, err);
	if (r < 0)
		memset(buf, 0, len);
	return r;
}

static struct tlb_entry *tlb_of(struct view *view, uint64_t key, uint64_t page)
{
	uint64_t hash = (page ^ (key >> GUEST_PAGE_SHIFT) * 31) * 0x9e3779b97f4a7c15ull;

	return &view->tlb[(hash >> 32) % TLB_ENTRIES];
}

/* From the guest's tables. */
static int tlb_fill(struct view *view, struct space space, gva at, struct tlb_entry *entry,
		    struct err *err)
{
	uint64_t page = at.v >> GUEST_PAGE_SHIFT;
	struct mapping to;
	int r = paging_translate(view, space, gva_of(page << GUEST_PAGE_SHIFT), &to, err);

	if (r >= 0)
		*entry = (struct tlb_entry){
			.space = tlb_key(space),
			.page = page,
			.at = to.at.v,
			.index = NO_PAGE,
			.page_shift = (uint8_t)__builtin_ctzll(to.page_bytes),
			.rights = (uint8_t)to.rights,
		};
	return r;
}

static inline int tlb_get(struct view *view, struct space space, gva at, struct tlb_entry **ret,
			  struct err *err)
{
	uint64_t page = at.v >> GUEST_PAGE_SHIFT, key = tlb_key(space);
	struct tlb_entry *entry = tlb_of(view, key, page);

	*ret = entry;
	return entry->space == key && entry->page == page ? 0 :
		tlb_fill(view, space, at, entry, err);
}

int view_translate(struct view *view, struct space space, gva at, struct mapping *ret,
		   struct err *err)
{
	struct tlb_entry *entry;
	int r = tlb_get(view, space, at, &entry, err);

	if (r >= 0)
		*ret = (struct mapping){
			.at = gpa_of(entry->at | (at.v & GUEST_PAGE_MASK)),
			.page_bytes = 1ull << entry->page_shift,
			.rights = entry->rights,
		};
	return r;
}

/*
 * How many bytes from @at on lie in one physical run, at most @len: large reads of the
 * kernel's image and of huge pages become one copy each.
 */
static int physical_run(struct view *view, struct space space, gva at, size_t len, gpa *start,
			size_t *run, struct err *err)
{
	struct mapping to;
	size_t n;
	int r;

	r = view_translate(view, space, at, &to, err);
	if (r < 0)
		return r;
	*start = to.at;
	n = to.page_bytes - (at.v & (to.page_bytes - 1));
	while (n < len && n < VIEW_READ_MAX) {
		r = view_translate(view, space, gva_add(at, n), &to, err);
		if (r < 0 || to.at.v != start->v + n)
			break;		/* the next round reports what is wrong there */
		n += to.page_bytes - ((at.v + n) & (to.page_bytes - 1));
	}
	*run = n < len ? n : len;
	return 0;
}

/* Numbers, links of lists and of trees: a copy of those needs no call. */
static inline void copy_out(void *to, const uint8_t *from, size_t len)
{
	if (len == 8)
		memcpy(to, from, 8);
	else if (len == 4)
		memcpy(to, from, 4);
	else if (len == 16)
		memcpy(to, from, 16);
	else if (len == 24)
		memcpy(to, from, 24);
	else
		memcpy(to, from, len);
}

/* Bytes of one page. */
static int read_within(struct view *view, struct space space, gva at, void *buf, size_t len,
		       struct err *err)
{
	struct tlb_entry *entry;
	uint32_t page;
	int r = tlb_get(view, space, at, &entry, err);

	if (r < 0)
		return r;
	page = entry->index;
	if (page != NO_PAGE) {
		r = touch(view, err);
	} else {
		r = page_of(view, entry->at >> GUEST_PAGE_SHIFT, &page, err);
		/* The view may have started over, and the entry be none any more. */
		if (r >= 0 && entry->space)
			entry->index = page;
	}
	if (r >= 0)
		copy_out(buf, view->pages[page] + (at.v & GUEST_PAGE_MASK), len);
	return r;
}

static int read_virtual(struct view *view, struct space space, gva at, uint8_t *buf, size_t len,
			struct err *err)
{
	int r;

	while (len) {
		size_t n = GUEST_PAGE_SIZE - (at.v & GUEST_PAGE_MASK);
		gpa start;

		if (len >= BULK_BYTES) {
			r = physical_run(view, space, at, len, &start, &n, err);
			if (r >= 0 && n >= BULK_BYTES)
				r = read_bulk(view, start, buf, n, err);
			else if (r >= 0)
				r = read_pages(view, start, buf, n, err);
		} else {
			n = n > len ? len : n;
			r = read_within(view, space, at, buf, n, err);
		}
		if (r < 0)
			return r;
		buf += n;
		at.v += n;
		len -= n;
	}
	return 0;
}

static int read_failed(gva at, void *buf, size_t len, int r, struct err *err)
{
	memset(buf, 0, len);
	return wrap(err, r, "%#" PRIx64, at.v);
}

int view_read_space(struct view *view, struct space space, gva at, void *buf, size_t len,
		    struct err *err)
{
	int r;

	/* Most reads by far; no such one wraps around, or is too long. */
	if (len && len <= GUEST_PAGE_SIZE - (at.v & GUEST_PAGE_MASK)) {
		r = read_within(view, space, at, buf, len, err);
		return r < 0 ? read_failed(at, buf, len, r, err) : r;
	}
	r = bad_length(len, at.v, err);
	if (r < 0)
		return r;
	r = read_virtual(view, space, at, buf, len, err);
	return r < 0 ? read_failed(at, buf, len, r, err) : r;
}

int view_read(struct view *view, gva at, void *buf, size_t len, struct err *err)
{
	if (!view->has_kernel) {
		memset(buf, 0, len);
		return err_set(err, -EFAULT, "the kernel's address space is not known yet");
	}
	return view_read_space(view, view->kernel, at, buf, len, err);
}

int view_uint(struct view *view, gva at, uint32_t size_bytes, uint64_t *ret, struct err *err)
{
	uint64_t value = 0;
	int r;

	if (size_bytes != 1 && size_bytes != 2 && size_bytes != 4 && size_bytes != 8)
		return err_set(err, -EINVAL, "no number has %u bytes", size_bytes);
	r = view_read(view, at, &value, size_bytes, err);
	if (r < 0)
		return r;
	*ret = value;
	return 0;
}

int view_u8(struct view *view, gva at, uint8_t *ret, struct err *err)
{
	uint64_t value;
	int r = view_uint(view, at, 1, &value, err);

	if (r >= 0)
		*ret = (uint8_t)value;
	return r;
}

int view_u16(struct view *view, gva at, uint16_t *ret, struct err *err)
{
	uint64_t value;
	int r = view_uint(view, at, 2, &value, err);

	if (r >= 0)
		*ret = (uint16_t)value;
	return r;
}

int view_u32(struct view *view, gva at, uint32_t *ret, struct err *err)
{
	uint64_t value;
	int r = view_uint(view, at, 4, &value, err);

	if (r >= 0)
		*ret = (uint32_t)value;
	return r;
}

int view_u64(struct view *view, gva at, uint64_t *ret, struct err *err)
{
	return view_uint(view, at, 8, ret, err);
}

int view_ptr(struct view *view, gva at, gva *ret, struct err *err)
{
	return view_uint(view, at, 8, &ret->v, err);
}

int view_string(struct view *view, gva at, char *buf, size_t size, struct err *err)
{
	size_t have = 0;

	buf[0] = '\0';
	while (have < size - 1) {
		size_t n = GUEST_PAGE_SIZE - ((at.v + have) & GUEST_PAGE_MASK);
		const char *end;
		int r;

		/* Page by page: what follows the terminator need not be mapped. */
		if (n > size - 1 - have)
			n = size - 1 - have;
		r = view_read(view, gva_add(at, have), buf + have, n, err);
		if (r < 0) {
			buf[0] = '\0';
			return r;
		}
		end = memchr(buf + have, '\0', n);
		if (end)
			return (int)(end - buf);
		have += n;
	}
	buf[have] = '\0';
	return (int)have;
}
