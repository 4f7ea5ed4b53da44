/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "linux/exec.h"
#include "reference/explain_inside.h"

/*
 * Which difference between what was predicted and what the guest has is its kernel's own doing.
 * A place that is patched at run time must be exactly as the kernel's structures say now; only
 * while the kernel patches (text_mutex) may it be on its way from one to the other.
 */

/* Those under which the kernel patches its code; which there are depends on its version. */
static const char *const mutexes[] = {
	"text_mutex", "jump_label_mutex", "static_call_mutex", "ftrace_lock",
};

/* As it is now, as the code is that is compared: whatever the view has kept. */
static int is_held(const struct patcher *p, struct view *view, const char *mutex, bool *ret,
		   struct err *err)
{
	gva at = patcher_symbol(p, mutex);
	struct mapping mapping;
	struct field owner;
	uint64_t value;
	int r;

	if (!at.v)
		return 0;
	r = types_field(p->types, "mutex.owner", &owner, err);
	if (r >= 0)
		r = view_translate(view, p->kernel->space, gva_add(at, owner.at), &mapping, err);
	if (r >= 0)
		r = view_copy_phys(view, mapping.at, &value, sizeof(value), err);
	if (r < 0)
		return r;
	*ret |= value & ~7ull;	/* the low bits are flags (kernel/locking/mutex.c) */
	return 0;
}

static int read_ftrace(struct explainer *e, struct err *err)
{
	const struct patcher *p = e->p;
	gva list = patcher_symbol(p, "ftrace_ops_list"), first = {0};
	gva function = patcher_symbol(p, "ftrace_trace_function");
	int r = 0;

	e->ftrace_caller = patcher_symbol(p, "ftrace_caller");
	e->ftrace_regs_caller = patcher_symbol(p, "ftrace_regs_caller");
	e->ftrace_stub = patcher_symbol(p, "ftrace_stub");
	e->graph_caller = patcher_symbol(p, "ftrace_graph_caller");
	e->list_func = patcher_symbol(p, "arch_ftrace_ops_list_func");
	if (!e->list_func.v)
		e->list_func = patcher_symbol(p, "ftrace_ops_list_func");
	if (list.v)
		r = view_ptr(e->view, list, &first, err);
	if (r >= 0 && function.v)
		r = view_ptr(e->view, function, &e->trace_function, err);
	e->traces = first.v && first.v != patcher_symbol(p, "ftrace_list_end").v;
	return r;
}

int explainer_open(struct patcher *patcher, struct view *view, struct owners *owners,
		   struct explainer **ret, struct err *err)
{
	cleanup(explainer_close) struct explainer *e = calloc(1, sizeof(*e));
	int r = 0;

	if (!e)
		return err_set(err, -ENOMEM, "no memory to explain with");
	e->p = patcher;
	e->view = view;
	e->owners = owners;
	for (size_t i = 0; i < ARRAY_SIZE(mutexes) && r >= 0; i++)
		r = is_held(patcher, view, mutexes[i], &e->busy, err);
	if (r >= 0)
		r = read_ftrace(e, err);
	if (r >= 0)
		r = kprobes_read(patcher->kernel, view, &e->kprobes, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&e);
	return 0;
}

void explainer_close(struct explainer **explainer)
{
	if (!*explainer)
		return;
	kprobes_free(&(*explainer)->kprobes);
	ftrace_sites_free(&(*explainer)->ftrace);
	free(*explainer);
	*explainer = NULL;
}

bool explainer_is_shipped_function(const struct explainer *e, gva at)
{
	return patcher_is_function(e->p, at);
}

bool explainer_is_busy(const struct explainer *e)
{
	return e->busy;
}

bool explainer_was_quiet(const struct explainer *e)
{
	bool busy = e->busy;

	for (size_t i = 0; i < ARRAY_SIZE(mutexes); i++)
		if (is_held(e->p, e->view, mutexes[i], &busy, NULL) < 0)
			return false;
	return !busy;
}

bool explainer_is_function(struct explainer *e, gva at)
{
	return patcher_is_function(e->p, at) || owner_is_function(e->owners, at);
}

/* Half a page: BPF makes the next version of a trampoline or dispatcher in the other half. */
#define IMAGE_HALF (GUEST_PAGE_SIZE / 2)

bool explainer_is_image(struct explainer *e, gva at)
{
	struct owner owner;
	uint64_t offset;

	if (owner_of(e->owners, at, &owner, NULL) < 0 ||
	    (owner.kind != OWNER_FTRACE && owner.kind != OWNER_BPF))
		return false;
	offset = at.v - owner.start.v;
	return !offset || (owner.kind == OWNER_BPF && owner.size_bytes == GUEST_PAGE_SIZE &&
			   offset == IMAGE_HALF);
}

/* An int3 that holds the place while the rest is written: text_poke_bp_batch(). */
static bool is_half(const struct looked *l, const uint8_t *code)
{
	size_t n = l->site->size_bytes;

	return l->found[0] == OP_INT3 && !memcmp(l->found + 1, code + 1, n - 1);
}

static enum verdict passing(const struct looked *l)
{
	if (l->e->busy)
		return PASSING;
	snprintf(l->d->why, sizeof(l->d->why), "%s",
		 l->found[0] == OP_INT3 ? "a breakpoint that the kernel did not set"
					: "the kernel's own state says otherwise");
	return NO;
}

static void leads(const struct looked *l, gva target)
{
	struct owner owner;

	l->d->target = target;
	if (owner_of(l->e->owners, target, &owner, NULL) < 0)
		return;		/* whoever reports it asks again, and says so */
	snprintf(l->d->why, sizeof(l->d->why), "leads to %#" PRIx64 " (%s)", target.v, owner.text);
}

/* --- jump labels --- */

static int explain_jump(const struct looked *l, enum verdict *ret, struct err *err)
{
	uint8_t code[2][JUMP_BYTES];
	size_t n = l->site->size_bytes;
	int r = 0;

	for (unsigned other = 0; other < 2 && r >= 0; other++)
		r = jump_label_code(l->e->p, l->e->view, l->shipped, l->site, other, code[other],
				    err);
	if (r < 0)
		return r;
	if (!memcmp(l->found, code[0], n))
		*ret = YES;
	else if (!memcmp(l->found, code[1], n) || is_half(l, code[0]) || is_half(l, code[1]))
		*ret = passing(l);
	else if (l->found[0] == OP_JMP && n == JUMP_BYTES)
		leads(l, branch_target(l->site->at, l->found));
	return 0;
}

/* --- static calls --- */

/* What stands for "ret": set before or after it was known whether returns need a thunk. */
static bool is_return(const struct looked *l)
{
	gva target;

	if (l->found[0] == OP_RET)
		return l->found[1] == OP_INT3 && !memcmp(l->found + 1, l->found + 2, 3);
	if (l->found[0] != OP_JMP)
		return false;
	target = branch_target(l->site->at, l->found);
	return target.v && (target.v == patcher_symbol(l->e->p, "__x86_return_thunk").v ||
			    target.v == l->e->p->return_thunk.v);
}

static bool is_tail(const struct looked *l, const uint8_t *code)
{
	return l->site->kind == SITE_TRAMPOLINE || code[0] == OP_JMP || code[0] == OP_RET;
}

/* Is it as it would be with another function of the kernel or a module, or none? */
static bool is_other_call(const struct looked *l)
{
	gva target;

	if (l->found[0] == OP_INT3 || !memcmp(l->found, l->e->p->nop5, JUMP_BYTES) || is_return(l))
		return true;
	if (l->found[0] != OP_CALL && l->found[0] != OP_JMP)
		return false;
	target = branch_target(l->site->at, l->found);
	return explainer_is_function(l->e, target);
}

static int explain_static_call(const struct looked *l, enum verdict *ret, struct err *err)
{
	uint8_t code[STATIC_CALL_BYTES];
	size_t n = l->site->size_bytes;
	gva func = {0};
	int r;

	if (l->site->kind == SITE_TRAMPOLINE)
		r = trampoline_code(l->e->p, l->e->view, l->shipped, l->site, &func, code, err);
	else
		r = static_call_code(l->e->p, l->e->view, l->shipped, l->site, &func, code, err);
	if (r < 0)
		return r;
	if (func.v && !explainer_is_function(l->e, func) &&
	    !(static_call_is_dispatcher(l->e->p, l->shipped, l->site) &&
	      explainer_is_image(l->e, func)))
		leads(l, func);
	else if (!memcmp(l->found, code, n) || (!func.v && is_tail(l, code) && is_return(l)))
		*ret = YES;
	else if (is_other_call(l))
		*ret = passing(l);
	if (!*ret && (l->found[0] == OP_CALL || l->found[0] == OP_JMP))
		leads(l, branch_target(l->site->at, l->found));
	return 0;
}

/* --- ftrace --- */

/* A trampoline that ftrace or BPF made, from its very start on. */
static bool is_trampoline(struct explainer *e, gva target)
{
	struct owner owner;

	if (e->target.target.v == target.v)
		return e->target.good;
	e->target.target = target;
	e->target.good = explainer_is_image(e, target);
	e->target.is_ftrace = e->target.good &&
			      owner_of(e->owners, target, &owner, NULL) >= 0 &&
			      owner.kind == OWNER_FTRACE;
	return e->target.good;
}

int explain_ftrace_sites(struct explainer *e, struct err *err)
{
	gva disabled = patcher_symbol(e->p, "ftrace_disabled");
	uint32_t gave_up = 0;
	int r = 0;

	if (e->has_ftrace)
		return 0;
	if (disabled.v)
		r = view_u32(e->view, disabled, &gave_up, err);
	if (r >= 0)
		r = ftrace_sites_read(e->p->kernel, e->view, &e->ftrace, err);
	if (r < 0)
		return wrap(err, r, "places of ftrace");
	e->gave_up = gave_up != 0;
	e->has_ftrace = true;
	return 0;
}

/* Does ftrace itself say that someone wants to be called at @at? */
static int has_users(struct explainer *e, gva at, bool *ret, struct err *err)
{
	const struct ftrace_site *site;
	int r = explain_ftrace_sites(e, err);

	if (r < 0)
		return r;
	site = ftrace_sites_find(&e->ftrace, at);
	*ret = e->traces && site && site->users;
	return 0;
}

static int explain_mcount(const struct looked *l, enum verdict *ret, struct err *err)
{
	struct explainer *e = l->e;
	gva target = branch_target(l->site->at, l->found);
	/* The last is the function graph's own trampoline, up to 5.18. */
	bool is_caller = target.v && (target.v == e->ftrace_caller.v ||
				      target.v == e->ftrace_regs_caller.v ||
				      target.v == e->graph_caller.v);

	bool is_branch = l->found[0] == OP_CALL || l->found[0] == OP_JMP, used = false;
	int r = 0;

	/* BPF patches some places without ftrace, and by itself. */
	is_caller |= is_trampoline(e, target) && e->target.is_ftrace;
	if (l->found[0] == OP_CALL && is_caller)
		r = has_users(e, l->site->at, &used, err);
	if (r < 0)
		return r;
	if (used || (is_branch && is_trampoline(e, target) && !e->target.is_ftrace))
		*ret = YES;
	else if (l->found[0] == OP_CALL && is_caller)
		*ret = passing(l);
	else if (l->found[0] == OP_INT3 &&
		 (is_half(l, e->p->nop5) || is_caller || is_trampoline(e, target)))
		*ret = passing(l);
	else if (is_branch)
		leads(l, target);
	return 0;
}

static int explain_ftrace_call(const struct looked *l, enum verdict *ret, struct err *err)
{
	struct explainer *e = l->e;
	gva target = branch_target(l->site->at, l->found);
	bool known = target.v && (target.v == e->ftrace_stub.v || target.v == e->list_func.v ||
				  target.v == e->graph_caller.v ||
				  (target.v == e->trace_function.v &&
				   explainer_is_function(e, target)));
	uint8_t shipped;
	/* Only where it leads changes: a call stays a call, a jump a jump. */
	bool same = shipped_copy(l->shipped, l->site->at, &shipped, 1) && l->found[0] == shipped;

	(void)err;
	if (same && known)
		*ret = YES;
	else if (l->found[0] == OP_INT3)
		*ret = passing(l);
	else if (same && e->busy && explainer_is_function(e, target))
		*ret = PASSING;
	else
		leads(l, target);
	return 0;
}

/* --- branches through the thunks of ITS, which lie in memory of their own --- */

static int explain_retpoline(const struct looked *l, enum verdict *ret, struct err *err)
{
	size_t n = l->site->size_bytes, prefix = n - JUMP_BYTES;
	uint8_t expected[6], code[4] = {0};
	gva target, thunk;
	struct symbol symbol;

	(void)err;
	if (n < JUMP_BYTES || n > sizeof(expected) ||
	    !shipped_copy(l->shipped, l->site->at, expected, n) ||
	    memcmp(l->found, expected, prefix + 1) ||
	    (expected[prefix] & 0xfe) != OP_CALL)
		return 0;
	target = branch_target(gva_add(l->site->at, prefix), l->found + prefix);
	thunk = branch_target(gva_add(l->site->at, prefix), expected + prefix);
	leads(l, target);
	if (!exec_is_thunk(l->e->view, target) ||
	    view_read(l->e->view, target, code, sizeof(code), NULL) < 0 ||
	    symbols_at(l->e->p->symbols, thunk, &symbol, NULL) < 0)
		return 0;
	if (thunk_matches(symbol.name, code, sizeof(code)))
		*ret = YES;
	return 0;
}

/* --- lock prefixes --- */

/* A kernel with one CPU puts them back when it gets a second one, never the other way. */
static int explain_lock(const struct looked *l, enum verdict *ret, struct err *err)
{
	struct explainer *e = l->e;
	int r = 0;

	if (!e->p->unlocked || *l->found != PREFIX_LOCK)
		return 0;
	if (!e->has_locks)
		r = vote_locks(e->p, e->view, &e->unlocked, err);
	if (r < 0)
		return r;
	e->has_locks = true;
	if (!e->unlocked)
		*ret = YES;
	return 0;
}

/* --- one difference --- */

int explain_site(const struct looked *l, enum verdict *ret, struct err *err)
{
	switch (l->site->kind) {
	case TABLE_JUMPS:
		return explain_jump(l, ret, err);
	case TABLE_STATIC_CALLS:
	case SITE_TRAMPOLINE:
		return explain_static_call(l, ret, err);
	case TABLE_MCOUNT:
		return explain_mcount(l, ret, err);
	case SITE_FTRACE_CALL:
		return explain_ftrace_call(l, ret, err);
	case TABLE_RETPOLINES:
		return explain_retpoline(l, ret, err);
	case TABLE_LOCKS:
		return explain_lock(l, ret, err);
	default:
		return 0;
	}
}

const char *explain_kind(unsigned kind)
{
	static const char *const names[] = {
		[TABLE_ALTERNATIVES] = "alternative", [TABLE_PARAVIRT] = "paravirt call",
		[TABLE_RETPOLINES] = "retpoline", [TABLE_RETURNS] = "return",
		[TABLE_CALLS] = "call", [TABLE_ENDBR] = "ENDBR", [TABLE_LOCKS] = "lock prefix",
		[TABLE_JUMPS] = "jump label", [TABLE_STATIC_CALLS] = "static call",
		[TABLE_MCOUNT] = "ftrace site", [SITE_RUNTIME] = "runtime constant",
		[SITE_TRAMPOLINE] = "static call trampoline",
		[SITE_FTRACE_CALL] = "call inside of ftrace",
	};

	return names[kind];
}
