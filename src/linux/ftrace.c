/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/ftrace.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

/*
 * The flags begin with the number of users, in 23 bits in 5.10 and in fewer with each new flag
 * (FTRACE_FL_BITS in include/linux/ftrace.h); as many users as fit in 16 there never are.
 */
#define USERS_MASK 0xffffu

/* FTRACE_FL_ENABLED */
#define CALLED (1u << 31)

struct ftrace_fields {
	struct field next, records, index, record, ip, flags;
};

static const struct member ftrace_members[] = {
	MEMBER(struct ftrace_fields, next, "ftrace_page.next"),
	MEMBER(struct ftrace_fields, records, "ftrace_page.records"),
	MEMBER(struct ftrace_fields, index, "ftrace_page.index"),
	MEMBER(struct ftrace_fields, record, "dyn_ftrace"),
	MEMBER(struct ftrace_fields, ip, "dyn_ftrace.ip"),
	MEMBER(struct ftrace_fields, flags, "dyn_ftrace.flags"),
};
LAYOUT(ftrace_layout, struct ftrace_fields, ftrace_members);

static int add_records(struct ftrace_sites *sites, const struct ftrace_fields *f,
		       const uint8_t *records, uint64_t n, struct err *err)
{
	for (uint64_t i = 0; i < n; i++) {
		struct ftrace_site *site = vec_add(&sites->list);
		const uint8_t *record = records + i * f->record.size_bytes;
		uint32_t flags;

		if (!site)
			return err_set(err, -ENOMEM, "no memory for places of ftrace");
		memcpy(&site->at.v, record + f->ip.at, sizeof(site->at.v));
		memcpy(&flags, record + f->flags.at, sizeof(flags));
		site->users = flags & USERS_MASK;
		site->called = flags & CALLED;
	}
	return 0;
}

/* One block of them. */
static int read_block(const struct ftrace_fields *f, struct view *view, gva records, uint64_t n,
		      struct ftrace_sites *sites, struct err *err)
{
	size_t each = f->record.size_bytes;
	cleanup(freep) uint8_t *copy = NULL;
	int r;

	if (each < f->ip.at + 8 || each < f->flags.at + 4 || each > 256)
		return err_set(err, -EBADMSG, "a place of ftrace of %zu bytes", each);
	if (n > FTRACE_SITES_MAX - sites->list.n)
		return err_set(err, -ELOOP, "over %u places of ftrace", FTRACE_SITES_MAX);
	if (!n)
		return 0;
	copy = malloc(n * each);
	if (!copy)
		return err_set(err, -ENOMEM, "no memory for places of ftrace");
	r = view_read(view, records, copy, n * each, err);
	return r < 0 ? r : add_records(sites, f, copy, n, err);
}

static int by_address(const void *a, const void *b)
{
	const struct ftrace_site *x = a, *y = b;

	return (x->at.v > y->at.v) - (x->at.v < y->at.v);
}

/* They are, but for those of modules: to look is cheaper than to sort. */
static bool is_sorted(const struct ftrace_sites *sites)
{
	for (size_t i = 1; i < sites->list.n; i++)
		if (sites->list.v[i].at.v < sites->list.v[i - 1].at.v)
			return false;
	return true;
}

int ftrace_sites_read(const struct kernel *kernel, struct view *view, struct ftrace_sites *ret,
		      struct err *err)
{
	gva at = symbols_lookup(kernel->symbols, "ftrace_pages_start"), records;
	const struct ftrace_fields *f;
	uint64_t n;
	int r;

	if (!at.v)
		return 0;
	r = types_layout(kernel->types, &ftrace_layout, (const void **)&f, err);
	if (r >= 0)
		r = view_ptr(view, at, &at, err);
	for (unsigned blocks = 0; r >= 0 && at.v; blocks++) {
		if (blocks == FTRACE_SITES_MAX)
			return fail(err, -ELOOP, at, "over %u blocks of ftrace", blocks);
		r = field_read(view, at, &f->index, &n, err);
		if (r >= 0)
			r = field_ptr(view, at, &f->records, &records, err);
		if (r >= 0)
			r = read_block(f, view, records, n, ret, err);
		if (r >= 0)
			r = field_ptr(view, at, &f->next, &at, err);
	}
	if (ret->list.n && !is_sorted(ret))
		qsort(ret->list.v, ret->list.n, sizeof(*ret->list.v), by_address);
	return r;
}

void ftrace_sites_free(struct ftrace_sites *sites)
{
	vec_free(&sites->list);
}

size_t ftrace_sites_from(const struct ftrace_sites *sites, gva at)
{
	size_t low = 0, high = sites->list.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sites->list.v[middle].at.v < at.v)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct ftrace_site *ftrace_sites_find(const struct ftrace_sites *sites, gva at)
{
	size_t i = ftrace_sites_from(sites, at);

	return i < sites->list.n && sites->list.v[i].at.v == at.v ? &sites->list.v[i] : NULL;
}
