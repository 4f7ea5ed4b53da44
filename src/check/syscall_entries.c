/* SPDX-License-Identifier: Apache-2.0 */
#include "check/syscall_entries.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "check/code.h"

#define ENTRY_BYTES 8u

/* Fewer than this is no table: the ABI had 300 numbers before there was an x86-64 BTF. */
#define ENTRIES_MIN 300u

/* Wrong entries of one table that are told one by one. */
#define TOLD_MAX 64u

struct finding *syscall_entry_finding(struct check_run *run, struct owners *owners,
				      const char *place, enum syscall_abi abi, uint32_t number,
				      gva at, gva handler, enum syscall_fit fit,
				      const char *expected)
{
	enum severity severity = fit == SYSCALL_FOREIGN ? SEVERITY_CRITICAL : SEVERITY_HIGH;
	struct finding *finding;
	char name[64];

	finding = check_finding(run, severity, "syscall", at, "%s[%u]", place, number);
	if (syscall_name(abi, number, name, sizeof(name)))
		finding_title(finding, "System call %u (%s) leads to %s", number, name,
			      fit == SYSCALL_FOREIGN ? "code that is no system call" :
						       "another system call's function");
	code_evidence(run, owners, finding, "system call entry", at, expected, handler);
	return finding;
}

/* The table ends where the next symbol begins; what aligns that is zero. */
static int read_table(struct check_run *run, const struct syscall_entries *table, gva at,
		      uint64_t **ret, uint32_t *count, struct err *err)
{
	cleanup(freep) uint64_t *entries = NULL;
	struct symbol symbol;
	uint64_t bytes;
	uint32_t n;
	int r;

	r = symbols_at(check_kernel(run)->symbols, at, &symbol, &bytes);
	if (r < 0 || bytes / ENTRY_BYTES < ENTRIES_MIN || bytes / ENTRY_BYTES > SYSCALLS_MAX)
		return err_set(err, -EBADMSG, "%s has no size that it could have", table->symbol);
	n = (uint32_t)(bytes / ENTRY_BYTES);
	entries = calloc(n, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	r = view_read(check_view(run), at, entries, n * sizeof(*entries), err);
	if (r < 0)
		return wrap(err, r, "%s", table->symbol);
	while (n > ENTRIES_MIN && !entries[n - 1])
		n--;
	*ret = take_ptr(&entries);
	*count = n;
	return 0;
}

/*
 * What led where it should in this boot of this kernel still does if it is the same: a table of
 * which all was right, as it was read then. It is read anew each time, and compared with that.
 */
struct right_table {
	struct kernel_boot boot;
	gva text;
	uint32_t n;
	uint64_t entries[];
};

static bool was_right(const struct kernel *kernel, const struct syscall_entries *table,
		      const uint64_t *entries, uint32_t n)
{
	const struct right_table *right = types_kept(kernel->types, table->symbol);

	return right && right->n == n && right->text.v == kernel->text.v &&
	       !memcmp(&right->boot, &kernel->boot, sizeof(right->boot)) &&
	       !memcmp(right->entries, entries, n * sizeof(*entries));
}

/* Without memory it is looked at again. */
static void keep_right(const struct kernel *kernel, const struct syscall_entries *table,
		       const uint64_t *entries, uint32_t n)
{
	struct right_table *right = types_kept(kernel->types, table->symbol);

	/* There is one, and of something else: that of another kernel with the same types. */
	if (right)
		return;
	right = calloc(1, sizeof(*right) + n * sizeof(*entries));
	if (!right)
		return;
	right->boot = kernel->boot;
	right->text = kernel->text;
	right->n = n;
	memcpy(right->entries, entries, n * sizeof(*entries));
	if (types_keep(kernel->types, table->symbol, right, free) < 0)
		free(right);
}

static int check_table(struct check_run *run, struct owners **owners,
		       const struct syscall_entries *table, gva at, struct err *err)
{
	const struct kernel *kernel = check_kernel(run);
	cleanup(freep) uint64_t *entries = NULL;
	uint32_t n = 0, told = 0;
	bool right;
	int r;

	r = read_table(run, table, at, &entries, &n, err);
	right = r >= 0 && was_right(kernel, table, entries, n);
	for (uint32_t i = 0; r >= 0 && i < n && !right; i++) {
		char expected[96];
		enum syscall_fit fit = syscall_judge(kernel, table->abi, i, gva_of(entries[i]),
						     expected, sizeof(expected));

		if (fit == SYSCALL_RIGHT)
			continue;
		if (told++ == TOLD_MAX) {
			check_inconclusive(run, "%s: more is changed than is told", table->symbol);
			break;
		}
		if (!*owners)
			r = check_owners(run, owners, err);
		if (r >= 0)
			syscall_entry_finding(run, *owners, table->symbol, table->abi, i,
					      gva_add(at, (uint64_t)i * ENTRY_BYTES),
					      gva_of(entries[i]), fit, expected);
	}
	if (r >= 0 && !right && !told)
		keep_right(kernel, table, entries, n);
	if (r >= 0)
		check_covered(run, "entries", n);
	return r;
}

int syscall_entries_check(struct check_run *run, const struct syscall_entries *tables, size_t n,
			  struct err *err)
{
	cleanup(owners_close) struct owners *owners = NULL;
	unsigned seen = 0;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		gva at = symbols_lookup(check_kernel(run)->symbols, tables[i].symbol);

		if (!at.v)
			continue;
		seen++;
		r = check_table(run, &owners, &tables[i], at, err);
		check_covered(run, "tables", 1);
	}
	check_quiet(run);	/* constants */
	if (!seen)
		check_note(run, "this kernel has no %s: it dispatches in code alone",
			   tables[0].symbol);
	return r;
}
