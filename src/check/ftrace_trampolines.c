/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/code.h"
#include "check/image_compare.h"
#include "linux/exec.h"

/*
 * A user of ftrace that is alone at its functions gets a copy of ftrace_caller() for itself,
 * which calls it directly: create_trampoline() (arch/x86/kernel/ftrace.c). What of the copy is
 * not as in the original is known: the reference to its ftrace_ops, the call, a jump, the end.
 */
#define TRAMPOLINE_BYTES_MAX 4096u
#define CALL_BYTES	     5u
#define LOAD_BYTES	     7u	/* mov rdx, [rip + offset of the ftrace_ops] */
#define RET_BYTES_MAX	     8u

#define OP_CALL 0xe8
#define OP_INT3 0xcc
#define OP_JMP	0xe9
#define OP_RET	0xc3

struct ops_fields {
	struct field trampoline, size, func;
};

static const struct member ops_members[] = {
	MEMBER(struct ops_fields, trampoline, "ftrace_ops.trampoline"),
	MEMBER(struct ops_fields, size, "ftrace_ops.trampoline_size"),
	MEMBER(struct ops_fields, func, "ftrace_ops.func"),
};
LAYOUT(ops_layout, struct ops_fields, ops_members);

/* The two originals, by their symbols; the last one only the first of them has. */
static const struct original {
	const char *start, *end, *load, *call, *jump;
} originals[] = {
	{ "ftrace_regs_caller", "ftrace_regs_caller_end", "ftrace_regs_caller_op_ptr",
	  "ftrace_regs_call", "ftrace_regs_caller_jmp" },
	{ "ftrace_caller", "ftrace_caller_end", "ftrace_caller_op_ptr", "ftrace_call", NULL },
};

struct trampoline {
	struct image_compare *compare;
	gva ops, at, func;
	uint64_t size;
	bool cleared;		/* the page was full of @fill before the copy was made */
	uint8_t fill;
	uint32_t prototype;	/* of whom an ftrace_ops calls */
	bool passing;		/* it calls another function than it will or did */
	uint8_t code[TRAMPOLINE_BYTES_MAX];
};

static gva symbol(const struct trampoline *t, const char *name)
{
	return name ? symbols_lookup(kernel_image_symbols(t->compare->image), name) : gva_of(0);
}

/* Is byte @i of the copy one that is made for this copy? */
static bool is_own(const struct trampoline *t, const struct original *original, gva at)
{
	gva load = symbol(t, original->load), call = symbol(t, original->call);
	gva jump = symbol(t, original->jump);

	return at.v - (load.v + 3) < LOAD_BYTES - 3 || at.v - call.v < CALL_BYTES ||
	       (jump.v && at.v - jump.v < 2);
}

/* "jnz" of the original, or the NOP that stands for it in copies. */
static bool is_nop(const struct trampoline *t, const struct original *original)
{
	gva jump = symbol(t, original->jump), start = symbol(t, original->start);
	const uint8_t *code = t->code + (jump.v - start.v);

	return !jump.v || (code[0] == 0x66 && code[1] == 0x90);
}

/*
 * The kernel leaves room for the longest return, and writes the one that it needs: what was in
 * the page stays behind it. That is what the end of the page is full of.
 */
static bool is_unused(const struct trampoline *t, const uint8_t *code, uint64_t n)
{
	for (uint64_t i = 0; t->cleared && i < n; i++)
		if (code[i] != t->fill)
			return false;
	return true;
}

/* What stands between the copy and the address of the ftrace_ops: a return. */
static bool is_return(const struct trampoline *t, uint64_t at, uint64_t n)
{
	const struct symbols *symbols = kernel_image_symbols(t->compare->image);
	const uint8_t *code = t->code + at;
	struct symbol symbol;
	int32_t offset;

	if (n && code[0] == OP_RET)
		return n == 1 || (code[1] == OP_INT3 && is_unused(t, code + 2, n - 2));
	if (n < CALL_BYTES || code[0] != OP_JMP)
		return false;
	memcpy(&offset, code + 1, sizeof(offset));
	return symbols_at(symbols, gva_add(t->at, at + CALL_BYTES + (uint64_t)(int64_t)offset),
			  &symbol, NULL) >= 0 &&
	       strstr(symbol.name, "return_thunk") &&
	       (n == CALL_BYTES || code[CALL_BYTES] == OP_INT3 ||
		is_unused(t, code + CALL_BYTES, n - CALL_BYTES));
}

/*
 * A function of the kernel that can be an ftrace_ops's: that of a tracer that was in use. In
 * 5.10 the types leave out functions that may not be traced themselves, as these are.
 */
static bool is_tracer(const struct trampoline *t, gva target)
{
	static const char *const untyped[] = {
		"function_trace_call", "function_stack_trace_call", "wakeup_tracer_call",
		"irqsoff_tracer_call",
	};
	const struct kernel *kernel = check_kernel(t->compare->run);
	struct symbol symbol;
	uint32_t prototype;

	if (!explainer_is_shipped_function(t->compare->explainer, target) ||
	    symbols_at(kernel->symbols, target, &symbol, NULL) < 0)
		return false;
	prototype = types_function(kernel->types, symbol.name);
	if (prototype && t->prototype)
		return types_alike(kernel->types, prototype, t->prototype);
	for (size_t i = 0; i < ARRAY_SIZE(untyped); i++)
		if (!strcmp(symbol.name, untyped[i]))
			return true;
	return false;
}

/*
 * Whom the copy calls: ftrace_ops_get_func(), or the list of all users. One that has no user any
 * more keeps the call of its last one.
 */
static bool is_called(const struct trampoline *t, gva target)
{
	static const char *const others[] = {
		"ftrace_ops_assist_func", "arch_ftrace_ops_list_func", "ftrace_ops_list_func",
		"ftrace_stub",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (target.v && target.v == symbol(t, others[i]).v)
			return true;
	if (t->func.v == symbol(t, "ftrace_stub").v)
		return is_tracer(t, target);
	return target.v == t->func.v && explainer_is_function(t->compare->explainer, target);
}

/*
 * Does what is made for this copy lead where it must?
 * @bad: receives the offset of what does not
 */
static bool leads_home(struct trampoline *t, const struct original *original, uint64_t *bad)
{
	uint64_t start = symbol(t, original->start).v, n = symbol(t, original->end).v - start;
	uint64_t load = symbol(t, original->load).v - start, ops;
	int32_t offset;
	gva target;

	*bad = symbol(t, original->call).v - start;
	memcpy(&offset, t->code + *bad + 1, sizeof(offset));
	target = gva_add(t->at, *bad + CALL_BYTES + (uint64_t)(int64_t)offset);
	if (t->code[*bad] != OP_CALL || !is_called(t, target)) {
		t->passing |= explainer_is_busy(t->compare->explainer) &&
			      explainer_is_function(t->compare->explainer, target);
		return false;
	}
	*bad = symbol(t, original->jump).v - start;
	if (!is_nop(t, original))
		return false;
	/* The ftrace_ops is named at the very end, where the load takes it from. */
	*bad = load;
	memcpy(&offset, t->code + load + 3, sizeof(offset));
	load += LOAD_BYTES + (uint64_t)(int64_t)offset;
	if (load < n || load - n > RET_BYTES_MAX || t->size < 8 || load != t->size - 8)
		return false;
	*bad = n;
	memcpy(&ops, t->code + load, sizeof(ops));
	return ops == t->ops.v && is_return(t, n, load - n);
}

/*
 * How many bytes from the start are as in this original; all of them where it is one.
 * @n: receives how many there are
 */
static uint64_t matches(const struct trampoline *t, const struct original *original, uint64_t *n)
{
	gva start = symbol(t, original->start), end = symbol(t, original->end);
	uint8_t room[KERNEL_PART_BYTES(TRAMPOLINE_BYTES_MAX)];
	const uint8_t *expected;
	struct shipped_part part;
	uint64_t i = 0;

	*n = end.v - start.v;
	if (!start.v || !end.v || !symbol(t, original->load).v || *n > t->size ||
	    kernel_image_part(t->compare->image, start, *n, room, &part) < 0)
		return 0;
	expected = part.bytes + (start.v - part.at.v);
	while (i < *n && (expected[i] == t->code[i] || is_own(t, original, gva_add(start, i))))
		i++;
	return i;
}

/*
 * Zeros, or int3 where it comes out of memory that is kept executable (6.13); that the end of
 * the page holds nothing else is what executable-memory looks at.
 */
static int find_fill(struct trampoline *t, struct err *err)
{
	int r = exec_is_cleared(check_kernel(t->compare->run), check_view(t->compare->run), err);

	if (r <= 0 || !(t->size & GUEST_PAGE_MASK))
		return r;
	t->cleared = true;
	return view_read(check_view(t->compare->run), gva_add(t->at, t->size), &t->fill, 1, err);
}

static int check_trampoline(struct trampoline *t, struct err *err)
{
	struct check_run *run = t->compare->run;
	uint64_t best = 0, n, same, bad;
	struct finding *finding;
	char name[160];
	int r;

	r = view_read(check_view(run), t->at, t->code, t->size, err);
	if (r >= 0)
		r = find_fill(t, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(originals); i++) {
		same = matches(t, &originals[i], &n);
		if (same && same == n && leads_home(t, &originals[i], &bad))
			return 0;
		if (same && same == n)
			same = bad;
		if (same >= best)
			best = same;
	}
	if (t->passing) {
		check_inconclusive(run, "the kernel was changing who traces its functions");
		return 0;
	}
	finding = check_finding(run, SEVERITY_CRITICAL, "ftrace trampoline", t->at, "%s",
				owner_symbol(t->compare->owners, t->ops, name, sizeof(name)));
	finding_evidence(finding, "trampoline of an ftrace_ops", t->ops, NULL,
			 "a copy of ftrace_caller or ftrace_regs_caller", NULL);
	code_evidence_bytes(run, t->compare->owners, finding, "first byte that is not",
			    gva_add(t->at, best < t->size ? best : 0));
	return 0;
}

static int check_range(struct image_compare *compare, const struct exec_range *range,
		       const struct ops_fields *f, struct err *err)
{
	struct trampoline t = {
		.compare = compare,
		.ops = range->object,
		.prototype = types_prototype(check_kernel(compare->run)->types, &f->func),
	};
	struct view *view = check_view(compare->run);
	int r;

	r = field_ptr(view, t.ops, &f->trampoline, &t.at, err);
	if (r >= 0)
		r = field_read(view, t.ops, &f->size, &t.size, err);
	if (r >= 0)
		r = field_ptr(view, t.ops, &f->func, &t.func, err);
	if (r < 0)
		return r;
	if (t.at.v < range->start.v || t.at.v - range->start.v >= range->size_bytes ||
	    t.size > TRAMPOLINE_BYTES_MAX || t.size > range->size_bytes) {
		check_inconclusive(compare->run, "a trampoline of ftrace came or went");
		return 0;
	}
	return check_trampoline(&t, err);
}

static int check_ranges(struct image_compare *compare, struct err *err)
{
	struct exec_ranges exec = {0};
	const struct ops_fields *f;
	uint64_t seen = 0;
	int r;

	r = types_layout(check_kernel(compare->run)->types, &ops_layout, (const void **)&f, err);
	if (r == -ENOENT) {
		check_note(compare->run, "this kernel makes no trampolines for ftrace");
		return 0;
	}
	if (r >= 0)
		r = exec_read(check_kernel(compare->run), check_view(compare->run),
			      compare->owners, &exec, err);
	/* Trampolines that no list owns are not among those that are looked at. */
	if (r >= 0 && exec.owners_error)
		check_inconclusive(compare->run, "owners of code: %s", exec.why.text);
	for (size_t i = 0; i < exec.list.n && r >= 0; i++) {
		if (exec.list.v[i].kind != OWNER_FTRACE)
			continue;
		r = check_range(compare, &exec.list.v[i], f, err);
		seen++;
	}
	exec_free(&exec);
	check_covered(compare->run, "trampolines", seen);
	if (r >= 0 && !seen)
		check_note(compare->run, "nothing uses a trampoline of ftrace");
	return r;
}

static int ftrace_trampolines_run(struct check_run *run, struct err *err)
{
	struct image_compare compare;
	int r;

	r = image_compare_open(run, &compare, err);
	if (r > 0)
		r = check_ranges(&compare, err);
	image_compare_close(&compare);
	return r;
}

CHECK(ftrace_trampolines,
	.id = "ftrace-trampolines",
	.group = GROUP_CODE,
	.title = "A trampoline of ftrace is not what ftrace makes",
	.proves = "Each trampoline that ftrace made is a copy of its own code, as shipped, and "
		  "calls a function of the kernel or of a listed module.",
	.techniques = TECHNIQUES("T1014", "T1055"),
	.fuel_max = 60000,
	.worth = 2,
	.run = ftrace_trampolines_run);
