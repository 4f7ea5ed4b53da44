/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "linux/kprobe.h"
#include "reference/patch_inside.h"

/*
 * What the kernel patches at any time: jump labels (kernel/jump_label.c), static calls
 * (kernel/static_call_inline.c), the calls of ftrace. Each must be as the key that it belongs to
 * says; which key that is, and where it leads, is as it was shipped.
 */

/* Is this place there at run time, and a place that is patched? */
static uint8_t *live_place(const struct patcher *p, const struct shipped *shipped, gva at,
			   uint64_t n)
{
	const struct shipped_part *part = shipped_part(shipped, at);

	if (!part || part->flags & PART_GONE || !(part->flags & PART_EXEC))
		return NULL;
	/* Of the kernel's image only the text: what follows is init text, or data. */
	if (shipped == p->vmlinux && at.v >= p->etext.v)
		return NULL;
	return shipped_at(shipped, at, n);
}

static const uint8_t *table_at(const struct shipped *shipped, enum shipped_table table,
			       uint64_t entry, uint64_t n)
{
	const struct shipped_range *range = &shipped->table[table];

	if (entry > range->size_bytes || n > range->size_bytes - entry)
		return NULL;
	return shipped_at(shipped, gva_add(range->at, entry), n);
}

/*
 * Keys are spread over the kernel's data: to read these in a few pieces takes a fifth of what it
 * takes to fetch each page.
 */
#define KEYS_CHUNK_BYTES (128u << 10)

/* --- what the keys were when the image was patched --- */

/* To be called before the key is used: if it is changed meanwhile, it is known to have been. */
static int keys_add(struct patcher *p, struct view *view, const struct shipped *shipped, gva at,
		    const char *member, struct err *err)
{
	struct key_state *key;
	struct field field;
	uint64_t value;
	int r;

	if (shipped != p->vmlinux)	/* a module's go with it */
		return 0;
	r = types_field(p->types, member, &field, err);
	if (r >= 0)
		r = field_read(view, at, &field, &value, err);
	if (r < 0)
		return r;
	key = vec_add(&p->keys);
	if (!key)
		return err_set(err, -ENOMEM, "no memory for keys");
	*key = (struct key_state){ field_at(at, &field), value, field.size_bytes };
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct key_state *x = a, *y = b;

	return (x->at.v > y->at.v) - (x->at.v < y->at.v);
}

void keys_settle(struct patcher *p)
{
	size_t kept = 0;

	if (p->keys.n)
		qsort(p->keys.v, p->keys.n, sizeof(*p->keys.v), by_key);
	for (size_t i = 0; i < p->keys.n; i++)
		if (!kept || p->keys.v[i].at.v != p->keys.v[kept - 1].at.v)
			p->keys.v[kept++] = p->keys.v[i];
	p->keys.n = kept;
}

/* Keys from @from on that lie in @bytes, which are the guest's at @at; how many is returned. */
static size_t keys_compare(const struct patcher *p, size_t from, gva at, const uint8_t *bytes,
			   size_t n, bool *changed)
{
	size_t i = from;

	for (; i < p->keys.n; i++) {
		const struct key_state *key = &p->keys.v[i];
		uint64_t offset = key->at.v - at.v, value = 0;

		if (offset > n || key->size_bytes > n - offset)
			break;
		memcpy(&value, bytes + offset, key->size_bytes);
		*changed |= value != key->value;
	}
	return i - from;
}

int keys_changed(const struct patcher *p, struct view *view, bool *ret, struct err *err)
{
	const struct kernel *kernel = p->kernel;
	cleanup(freep) uint8_t *chunk = malloc(KEYS_CHUNK_BYTES);
	size_t done;

	if (!chunk)
		return err_set(err, -ENOMEM, "no memory for keys");
	*ret = false;
	for (size_t i = 0; i < p->keys.n && !*ret; i += done) {
		gva at = p->keys.v[i].at;
		uint64_t left = kernel->end.v - at.v;
		size_t n = left < KEYS_CHUNK_BYTES ? left : KEYS_CHUNK_BYTES;
		int r;

		if (at.v < kernel->text.v || at.v >= kernel->end.v)
			return fail(err, -EBADMSG, at, "a key of the kernel is outside of it");
		r = kernel_read_image(kernel, view, at, chunk, n, err);
		if (r < 0)
			return wrap(err, r, "the key of a jump label or static call");
		done = keys_compare(p, i, at, chunk, n, ret);
		if (!done)
			return fail(err, -EBADMSG, at, "a key of the kernel ends outside of it");
	}
	return 0;
}

/*
 * A probe's breakpoint, or its jump, becomes what it took the place of: that is what the code
 * is.
 */
int patch_without_kprobes(const struct kernel *kernel, struct view *view,
			  struct shipped *shipped, struct err *err)
{
	struct kprobes kprobes = {0};
	int r = kprobes_read(kernel, view, &kprobes, err);

	for (size_t i = 0; r >= 0 && i < kprobes.list.n; i++) {
		const struct kprobe *kprobe = &kprobes.list.v[i];
		size_t n = kprobe->optimized ? KPROBE_JUMP_BYTES : 1;
		uint8_t *code = shipped_at(shipped, kprobe->address, n);

		if (code && (*code == OP_INT3 || (kprobe->optimized && *code == OP_JMP)))
			memcpy(code, kprobe->original, n);
	}
	kprobes_free(&kprobes);
	return r;
}

/* --- jump labels: struct jump_entry { s32 code, target; long key; } --- */

#define JUMP_ENTRY_BYTES 16u
#define JUMP_KEY_BRANCH	 1u	/* the low bits of the key */
#define JUMP_KEY_FLAGS	 3u

struct jump_entry {
	gva code, target, key;
	bool branch;
};

static bool jump_entry(const struct shipped *shipped, uint64_t entry, struct jump_entry *ret)
{
	const uint8_t *from = table_at(shipped, TABLE_JUMPS, entry, JUMP_ENTRY_BYTES);
	gva at = gva_add(shipped->table[TABLE_JUMPS].at, entry);
	uint64_t key;

	if (!from)
		return false;
	memcpy(&key, from + 8, 8);
	ret->code = s32_relative(at, from);
	ret->target = s32_relative(gva_add(at, 4), from + 4);
	ret->branch = key & JUMP_KEY_BRANCH;
	ret->key = gva_add(gva_add(at, 8), key & ~(uint64_t)JUMP_KEY_FLAGS);
	return true;
}

static void jump_encode(const struct patcher *p, const struct site *site, gva target, bool jumps,
		 uint8_t *code)
{
	if (!jumps && site->size_bytes == 2) {
		memcpy(code, p->nop[2], 2);
	} else if (!jumps) {
		memcpy(code, p->nop5, JUMP_BYTES);
	} else if (site->size_bytes == 2) {
		code[0] = OP_JMP8;
		code[1] = (uint8_t)(target.v - site->at.v - 2);
	} else {
		branch_encode(code, OP_JMP, site->at, target);
	}
}

int jump_label_code(const struct patcher *p, struct view *view, const struct shipped *shipped,
		    const struct site *site, bool other, uint8_t *code, struct err *err)
{
	struct jump_entry entry;
	struct field enabled;
	uint64_t count;
	int r;

	if (!jump_entry(shipped, site->entry, &entry))
		return err_set(err, -EBADMSG, "a jump label of the reference is damaged");
	r = types_field(p->types, "static_key.enabled", &enabled, err);
	if (r >= 0)
		r = field_read(view, entry.key, &enabled, &count, err);
	if (r < 0)
		return r;
	jump_encode(p, site, entry.target, (count != 0) != (entry.branch != other), code);
	return 0;
}

int patch_jump_labels(struct patcher *p, struct view *view, struct shipped *shipped,
		      struct sites *sites, struct err *err)
{
	struct jump_entry entry;

	for (uint64_t i = 0; jump_entry(shipped, i, &entry); i += JUMP_ENTRY_BYTES) {
		uint8_t *code = live_place(p, shipped, entry.code, 2);
		struct site site = { entry.code, JUMP_BYTES, TABLE_JUMPS, (uint32_t)i };
		int r;

		if (!code)
			continue;
		if (code[0] == OP_JMP8 || (code[0] == 0x66 && code[1] == OP_NOP))
			site.size_bytes = 2;
		code = live_place(p, shipped, entry.code, site.size_bytes);
		if (!code)
			continue;
		r = keys_add(p, view, shipped, entry.key, "static_key.enabled", err);
		if (r >= 0)
			r = jump_label_code(p, view, shipped, &site, false, code, err);
		if (r < 0)
			return wrap(err, r, "a jump label's key");
		if (sites_add(sites, site.at, site.size_bytes, TABLE_JUMPS, (uint32_t)i) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}

/* --- static calls: struct static_call_site { s32 addr, key; } --- */

#define STATIC_ENTRY_BYTES 8u
#define STATIC_CALL_TAIL   1u	/* the low bits of the key */
#define STATIC_CALL_FLAGS  3u

static const uint8_t ret_insn[JUMP_BYTES] = { OP_RET, OP_INT3, OP_INT3, OP_INT3, OP_INT3 };

/* xor %eax, %eax, as long as a call: up to 6.2, and since (arch/x86/kernel/static_call.c). */
static const uint8_t return0_old[JUMP_BYTES] = { 0x66, 0x66, 0x48, 0x31, 0xc0 };
static const uint8_t return0_new[JUMP_BYTES] = { 0x2e, 0x2e, 0x2e, 0x31, 0xc0 };

/* lea-like ud1 of __WARN_trap (6.19, "bug: Implement WARN_ON() using UD1") */
static const uint8_t warn_insn[JUMP_BYTES] = { 0x67, 0x48, 0x0f, 0xb9, 0x3a };

struct static_entry {
	gva code, key;
	bool tail;
};

static bool static_entry(const struct shipped *shipped, uint64_t entry, struct static_entry *ret)
{
	const uint8_t *from = table_at(shipped, TABLE_STATIC_CALLS, entry, STATIC_ENTRY_BYTES);
	gva at = gva_add(shipped->table[TABLE_STATIC_CALLS].at, entry), key;

	if (!from)
		return false;
	ret->code = s32_relative(at, from);
	key = s32_relative(gva_add(at, 4), from + 4);
	ret->tail = key.v & STATIC_CALL_TAIL;
	ret->key = gva_of(key.v & ~(uint64_t)STATIC_CALL_FLAGS);
	return true;
}

static int key_func(const struct patcher *p, struct view *view, gva key, gva *ret,
		    struct err *err)
{
	struct field func;
	int r;

	r = types_field(p->types, "static_call_key.func", &func, err);
	return r < 0 ? r : field_ptr(view, key, &func, ret, err);
}

/* "ret", or the jump to the thunk that stands for it. */
static void return_encode(const struct patcher *p, gva at, uint8_t *code)
{
	if (p->returns == RETURN_KEPT || (p->returns == RETURN_THUNK && wants_thunk(p, at)))
		branch_encode(code, OP_JMP, at, p->return_thunk);
	else
		memcpy(code, ret_insn, JUMP_BYTES);
}

static const uint8_t *return0_code(const struct patcher *p)
{
	gva at = patcher_symbol(p, "xor5rax");
	const uint8_t *code = at.v ? shipped_at(p->vmlinux, at, JUMP_BYTES) : NULL;

	if (code)
		return code;
	return p->nop_max > 8 ? return0_new : return0_old;
}

/* __static_call_transform(); @from is how the place was shipped, or is. */
static void static_encode(const struct patcher *p, gva at, bool tail, gva func,
			  const uint8_t *from, uint8_t *code)
{
	if (from[0] == 0x0f && (from[1] & 0xf0) == 0x80) {	/* jcc */
		gva target = func;

		if (!func.v)
			target = p->returns == RETURN_THUNK ? p->return_thunk :
				patcher_symbol(p, "__static_call_return");
		code[0] = 0x0f;
		branch_encode(code + 1, from[1], gva_add(at, 1), target);
	} else if (tail && !func.v) {
		return_encode(p, at, code);
	} else if (tail) {
		branch_encode(code, OP_JMP, at, func);
	} else if (!func.v) {
		memcpy(code, p->nop5, JUMP_BYTES);
	} else if (func.v == p->return0.v) {
		memcpy(code, return0_code(p), JUMP_BYTES);
	} else if (func.v == p->warn_trap.v) {
		memcpy(code, warn_insn, JUMP_BYTES);
	} else {
		branch_encode(code, OP_CALL, at, func);
	}
}

int static_call_code(const struct patcher *p, struct view *view, const struct shipped *shipped,
		     const struct site *site, gva *func, uint8_t *code, struct err *err)
{
	uint8_t from[STATIC_CALL_BYTES];
	struct static_entry entry;
	int r;

	if (site->size_bytes > sizeof(from) ||
	    !shipped_copy(shipped, site->at, from, site->size_bytes) ||
	    !static_entry(shipped, site->entry, &entry))
		return err_set(err, -EBADMSG, "a static call of the reference is damaged");
	r = key_func(p, view, entry.key, func, err);
	if (r < 0)
		return r;
	memcpy(code, from, site->size_bytes);
	static_encode(p, site->at, entry.tail, *func, from, code);
	return 0;
}

/*
 * What a key leads to is the guest's word. Only functions of the kernel itself are predicted
 * from it; a site that leads elsewhere stays as it was shipped, is thus a difference, and
 * explained or not by who owns the target (explain.c).
 */
static bool is_predictable(const struct patcher *p, gva func)
{
	return !func.v || patcher_is_function(p, func);
}

/* Of the kernel's own the names say which belong together, of a module's its file. */
static int trampoline_key(const struct patcher *p, const struct shipped *shipped,
			  const struct site *site, gva *ret, struct err *err)
{
	struct symbol symbol = {0};
	char name[160];

	if (shipped != p->vmlinux) {
		if (site->entry >= shipped->trampolines.n)
			return err_set(err, -EBADMSG, "a trampoline of the reference is damaged");
		*ret = shipped->trampolines.v[site->entry].key;
		return 0;
	}
	/* By number: __static_call_text_start has the first one's address. */
	if (site->entry < symbols_count(p->symbols))
		symbol = symbols_get(p->symbols, site->entry);
	if (symbol.at.v != site->at.v || strncmp(symbol.name, "__SCT__", strlen("__SCT__")) != 0)
		return err_set(err, -EBADMSG, "a trampoline of the reference is damaged");
	snprintf(name, sizeof(name), "__SCK__%s", symbol.name + strlen("__SCT__"));
	*ret = patcher_symbol(p, name);
	return ret->v ? 0 : err_set(err, -ENOENT, "no symbol '%s'", name);
}

bool static_call_is_dispatcher(const struct patcher *p, const struct shipped *shipped,
			       const struct site *site)
{
	static const char prefix[] = "__SCK__bpf_dispatcher_";
	struct static_entry entry;
	struct symbol symbol;
	gva key = {0};

	if (site->kind == SITE_TRAMPOLINE) {
		if (trampoline_key(p, shipped, site, &key, NULL) < 0)
			return false;
	} else if (static_entry(shipped, site->entry, &entry)) {
		key = entry.key;
	}
	return key.v && symbols_at(p->symbols, key, &symbol, NULL) >= 0 &&
	       symbol.at.v == key.v && !strncmp(symbol.name, prefix, strlen(prefix));
}

/*
 * Was the trampoline's code changed when it was predicted: does it jump elsewhere than its
 * shipped key leads? (One without a function returns.)
 */
static bool was_changed(const struct patcher *p, gva at, gva was, const uint8_t *code)
{
	gva target = branch_target(at, code);

	return code[0] == OP_JMP && target.v != was.v && target.v != p->return_thunk.v &&
	       target.v != patcher_symbol(p, "__x86_return_thunk").v;
}

/*
 * The trampoline of a key is as it was shipped until the key is changed for the first time:
 * it goes where the shipped key leads, which has the same code.
 */
int trampoline_code(const struct patcher *p, struct view *view, const struct shipped *shipped,
		    const struct site *site, gva *func, uint8_t *code, struct err *err)
{
	uint8_t from[JUMP_BYTES];
	struct field field;
	gva key, was = {0};
	int r;

	if (!shipped_copy(shipped, site->at, from, JUMP_BYTES))
		return err_set(err, -EBADMSG, "a trampoline of the reference is damaged");
	r = trampoline_key(p, shipped, site, &key, err);
	if (r >= 0)
		r = types_field(p->types, "static_call_key.func", &field, err);
	if (r >= 0)
		r = key_func(p, view, key, func, err);
	if (r < 0)
		return r;
	memcpy(code, from, JUMP_BYTES);
	if (!shipped_copy(shipped, field_at(key, &field), (uint8_t *)&was.v, 8))
		was.v = 0;
	if (was.v != func->v || was_changed(p, site->at, was, from))
		static_encode(p, site->at, true, *func, ret_insn, code);
	return 0;
}

static int patch_trampoline(struct patcher *p, struct view *view, struct shipped *shipped,
			    const struct site *site, uint8_t *from, struct sites *sites,
			    struct err *err)
{
	uint8_t code[STATIC_CALL_BYTES];
	gva func, key;
	int r;

	r = trampoline_key(p, shipped, site, &key, err);
	if (r >= 0)
		r = keys_add(p, view, shipped, key, "static_call_key.func", err);
	if (r >= 0)
		r = trampoline_code(p, view, shipped, site, &func, code, err);
	if (r < 0)
		return r;
	if (is_predictable(p, func))
		memcpy(from, code, JUMP_BYTES);
	return sites_add(sites, site->at, JUMP_BYTES, SITE_TRAMPOLINE, site->entry) < 0 ?
		err_set(err, -ENOMEM, "no memory for sites") : 0;
}

static int patch_trampolines(struct patcher *p, struct view *view, struct shipped *shipped,
			     struct sites *sites, struct err *err)
{
	int r;

	for (size_t i = 0; i < symbols_count(p->symbols); i++) {
		struct symbol symbol = symbols_get(p->symbols, i);
		struct site site = { symbol.at, JUMP_BYTES, SITE_TRAMPOLINE, (uint32_t)i };
		uint8_t *from;

		if (strncmp(symbol.name, "__SCT__", strlen("__SCT__")))
			continue;
		from = live_place(p, shipped, symbol.at, JUMP_BYTES);
		if (!from)
			continue;
		r = patch_trampoline(p, view, shipped, &site, from, sites, err);
		if (r < 0 && r != -ENOENT)	/* __static_call_return0 and the like have no key */
			return r;
	}
	return 0;
}

static int patch_module_trampolines(struct patcher *p, struct view *view,
				    struct shipped *shipped, struct sites *sites,
				    struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < shipped->trampolines.n && r >= 0; i++) {
		struct site site = {
			shipped->trampolines.v[i].at, JUMP_BYTES, SITE_TRAMPOLINE, (uint32_t)i,
		};
		uint8_t *from = live_place(p, shipped, site.at, JUMP_BYTES);

		if (from)
			r = patch_trampoline(p, view, shipped, &site, from, sites, err);
	}
	return r;
}

int patch_static_calls(struct patcher *p, struct view *view, struct shipped *shipped,
		       struct sites *sites, struct err *err)
{
	uint8_t code[STATIC_CALL_BYTES];
	struct static_entry entry;
	gva func;
	int r = 0;

	for (uint64_t i = 0; static_entry(shipped, i, &entry); i += STATIC_ENTRY_BYTES) {
		uint8_t *from = live_place(p, shipped, entry.code, JUMP_BYTES);
		struct site site = { entry.code, JUMP_BYTES, TABLE_STATIC_CALLS, (uint32_t)i };

		if (!from)
			continue;
		if (from[0] == 0x0f && (from[1] & 0xf0) == 0x80 &&
		    live_place(p, shipped, entry.code, STATIC_CALL_BYTES))
			site.size_bytes = STATIC_CALL_BYTES;
		r = keys_add(p, view, shipped, entry.key, "static_call_key.func", err);
		if (r >= 0)
			r = static_call_code(p, view, shipped, &site, &func, code, err);
		if (r < 0)
			return wrap(err, r, "a static call's key");
		if (is_predictable(p, func))
			memcpy(from, code, site.size_bytes);
		if (sites_add(sites, site.at, site.size_bytes, TABLE_STATIC_CALLS,
			      (uint32_t)i) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return shipped == p->vmlinux ? patch_trampolines(p, view, shipped, sites, err) :
				       patch_module_trampolines(p, view, shipped, sites, err);
}

/* --- calls of ftrace: without it, NOPs --- */

static int add_ftrace_calls(struct patcher *p, struct shipped *shipped, struct sites *sites)
{
	static const char *const names[] = {
		"ftrace_call", "ftrace_regs_call", "ftrace_graph_call",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		gva at = patcher_symbol(p, names[i]);

		if (at.v && live_place(p, shipped, at, JUMP_BYTES) &&
		    sites_add(sites, at, JUMP_BYTES, SITE_FTRACE_CALL, 0) < 0)
			return -ENOMEM;
	}
	return 0;
}

int patch_mcount(struct patcher *p, struct shipped *shipped, struct sites *sites,
		 struct err *err)
{
	const uint8_t *from;
	int r = 0;

	for (uint64_t i = 0; (from = table_at(shipped, TABLE_MCOUNT, i, 8)) && r >= 0; i += 8) {
		uint8_t *code;
		gva at;

		memcpy(&at.v, from, 8);
		code = live_place(p, shipped, at, JUMP_BYTES);
		if (!code)
			continue;
		memcpy(code, p->nop5, JUMP_BYTES);
		r = sites_add(sites, at, JUMP_BYTES, TABLE_MCOUNT, (uint32_t)i);
	}
	if (r >= 0 && shipped == p->vmlinux)
		r = add_ftrace_calls(p, shipped, sites);
	return r < 0 ? err_set(err, r, "no memory for sites") : 0;
}
