/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"

/*
 * What the kernel patches once, when it boots. Where it could have done one thing or another
 * (with retpolines or without, …) it did the same everywhere: what it was is told by how most
 * places of the guest's own text look, and each place must then look so.
 */

/* Places that are asked for what was done: enough that tampering with some of them is outvoted. */
#define VOTERS 256u

/* One table of 32-bit offsets to places, each relative to itself. */
struct places {
	const struct shipped *shipped;
	const uint8_t *entries;
	gva at;
	size_t n;
};

static struct places places_of(const struct shipped *shipped, struct shipped_range range)
{
	struct places places = { shipped, NULL, range.at, range.size_bytes / 4 };

	places.entries = places.n ? shipped_at(shipped, range.at, places.n * 4) : NULL;
	if (!places.entries)
		places.n = 0;
	return places;
}

/* The place of entry @i and its code, NULL where it is none (padding). */
static uint8_t *place(const struct places *places, size_t i, gva *at)
{
	int32_t offset;

	memcpy(&offset, places->entries + i * 4, 4);
	*at = gva_add(places->at, i * 4 + (uint64_t)(int64_t)offset);
	return offset ? shipped_at(places->shipped, *at, 1) : NULL;
}

static struct places table_places(const struct shipped *shipped, enum shipped_table table)
{
	return places_of(shipped, shipped->table[table]);
}

/* --- retpolines: apply_retpolines() --- */

/* An indirect branch, as the compiler wrote it: through a thunk for one register. */
struct thunk_branch {
	unsigned reg;		/* 0..15 */
	unsigned bytes;		/* of the whole instruction */
	uint8_t op;		/* OP_CALL, OP_JMP, or 0x80..0x8f: jcc */
	gva target;
};

static const char *const registers[16] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static bool thunk_register(const struct patcher *p, gva target, unsigned *reg)
{
	static const char *const prefixes[] = {
		"__x86_indirect_thunk_", "__x86_indirect_call_thunk_",
		"__x86_indirect_jump_thunk_",
	};
	char name[64];

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		for (size_t j = 0; j < ARRAY_SIZE(prefixes); j++) {
			snprintf(name, sizeof(name), "%s%s", prefixes[j], registers[i]);
			if (target.v && patcher_symbol(p, name).v == target.v) {
				*reg = i;
				return true;
			}
		}
	return false;
}

bool thunk_matches(const char *thunk, const uint8_t *code, size_t n)
{
	const char *reg = strrchr(thunk, '_');
	size_t at = 0;

	while (at + 3 < n && code[at] == 0x2e)
		at++;
	for (unsigned i = 0; reg && i < ARRAY_SIZE(registers); i++) {
		const uint8_t *jump = code + at + (i >= 8);

		if (strcmp(registers[i], reg + 1))
			continue;
		return (i < 8 || code[at] == 0x41) && at + (i >= 8) + 2 <= n &&
		       jump[0] == 0xff && jump[1] == (0xe0 | (i & 7));
	}
	return false;
}

static bool thunk_branch(const struct patcher *p, const struct shipped *shipped, gva at,
			 struct thunk_branch *ret)
{
	const uint8_t *code = shipped_at(shipped, at, 6);
	unsigned prefix = code && code[0] == 0x2e;	/* cs: room for a longer branch */

	if (!code)
		code = shipped_at(shipped, at, 5);
	if (!code)
		return false;
	if (code[prefix] == OP_CALL || code[prefix] == OP_JMP) {
		ret->op = code[prefix];
		ret->bytes = prefix + JUMP_BYTES;
	} else if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80 && shipped_at(shipped, at, 6)) {
		prefix = 1;
		ret->op = code[1];
		ret->bytes = 6;
	} else {
		return false;
	}
	ret->target = branch_target(gva_add(at, prefix), code + prefix);
	return thunk_register(p, ret->target, &ret->reg);
}

/* patch_retpoline(): false where it leaves the branch as it is. */
static bool direct_indirect(const struct patcher *p, const struct thunk_branch *branch,
			    enum retpoline_mode mode, uint8_t *code)
{
	uint8_t reg = (uint8_t)branch->reg, modrm;
	unsigned n = 0;

	if (mode == RETPOLINE_KEPT)
		return false;
	if ((branch->op & 0xf0) == 0x80) {	/* jcc: the opposite one over a jmp */
		code[n++] = (uint8_t)(0x70 | ((branch->op & 0x0f) ^ 1));
		code[n++] = (uint8_t)(branch->bytes - 2);
	}
	if (mode == RETPOLINE_LFENCE) {
		memcpy(code + n, "\x0f\xae\xe8", 3);
		n += 3;
	}
	modrm = branch->op == OP_CALL ? 0x10 : 0x20;
	if (mode == RETPOLINE_PADDED && branch->op == OP_CALL)
		while (n + (reg >= 8 ? 3 : 2) < branch->bytes)
			code[n++] = 0x2e;
	if (reg >= 8)
		code[n++] = 0x41;
	code[n++] = 0xff;
	code[n++] = (uint8_t)(0xc0 | modrm | (reg & 7));
	if (n > branch->bytes)
		return false;	/* no room: it stays a call of the thunk */
	if (mode == RETPOLINE_INT3 && branch->op == OP_JMP && n < branch->bytes)
		code[n++] = OP_INT3;
	if (mode == RETPOLINE_PADDED) {
		memset(code + n, OP_INT3, branch->bytes - n);
		return true;
	}
	/* Single NOPs, which optimize_nops() then joins. */
	fill_nops(p, code + n, branch->bytes - n);
	return true;
}

int patch_retpolines(struct patcher *p, struct shipped *shipped, struct sites *sites,
		     struct err *err)
{
	struct places places = table_places(shipped, TABLE_RETPOLINES);
	struct thunk_branch branch;
	uint8_t code[16];
	gva at;

	for (size_t i = 0; i < places.n; i++) {
		uint8_t *from = place(&places, i, &at);

		if (!from || !thunk_branch(p, shipped, at, &branch))
			continue;
		if (direct_indirect(p, &branch, p->retpoline, code))
			memcpy(from, code, branch.bytes);
		if (sites_add(sites, at, branch.bytes, TABLE_RETPOLINES, (uint32_t)i * 4) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}

static int choose_retpolines(struct patcher *p, struct view *view, struct err *err)
{
	struct places places = table_places(p->vmlinux, TABLE_RETPOLINES);
	size_t votes[RETPOLINE_MODES] = {0}, step = places.n / VOTERS + 1;
	struct thunk_branch branch;
	uint8_t live[8], code[16];
	int r;
	gva at;

	for (size_t i = 0; i < places.n; i += step) {
		if (!place(&places, i, &at) || !thunk_branch(p, p->vmlinux, at, &branch))
			continue;
		r = patcher_live(p, view, at, live, branch.bytes, err);
		if (r < 0)
			return r;
		for (unsigned mode = 0; mode < RETPOLINE_MODES; mode++) {
			memcpy(code, shipped_at(p->vmlinux, at, branch.bytes), branch.bytes);
			direct_indirect(p, &branch, mode, code);
			votes[mode] += !memcmp(code, live, branch.bytes);
		}
	}
	for (unsigned mode = 0; mode < RETPOLINE_MODES; mode++)
		if (votes[mode] > votes[p->retpoline])
			p->retpoline = mode;
	return 0;
}

/* --- returns: apply_returns() --- */

/*
 * cpu_wants_rethunk_at(): where indirect branches are badly predicted in the lower half of a
 * cache line, only the returns there need a thunk (ITS; a75bf27fe41a).
 */
bool wants_thunk(const struct patcher *p, gva at)
{
	return p->return_thunk.v != patcher_symbol(p, "its_return_thunk").v || !(at.v & 0x20);
}

static bool return_code(const struct patcher *p, enum return_mode mode, gva at,
			const uint8_t *from, uint8_t *code)
{
	/* "jmp __x86_return_thunk"; what else stands there is left alone. */
	if (from[0] != OP_JMP ||
	    branch_target(at, from).v != patcher_symbol(p, "__x86_return_thunk").v)
		return false;
	memcpy(code, from, JUMP_BYTES);
	if (mode == RETURN_RET || (mode == RETURN_THUNK && !wants_thunk(p, at))) {
		memset(code, OP_INT3, JUMP_BYTES);
		code[0] = OP_RET;
	} else if (mode == RETURN_THUNK) {
		branch_encode(code, OP_JMP, at, p->return_thunk);
	}
	return true;
}

int patch_returns(struct patcher *p, struct shipped *shipped, struct sites *sites,
		  struct err *err)
{
	struct places places = table_places(shipped, TABLE_RETURNS);
	uint8_t code[JUMP_BYTES];
	gva at;

	for (size_t i = 0; i < places.n; i++) {
		uint8_t *from = place(&places, i, &at);

		if (!from || !shipped_at(shipped, at, JUMP_BYTES) ||
		    !return_code(p, p->returns, at, from, code))
			continue;
		memcpy(from, code, JUMP_BYTES);
		if (sites_add(sites, at, JUMP_BYTES, TABLE_RETURNS, (uint32_t)i * 4) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}

static int choose_returns(struct patcher *p, struct view *view, struct err *err)
{
	struct places places = table_places(p->vmlinux, TABLE_RETURNS);
	size_t votes[RETURN_MODES] = {0}, step = places.n / VOTERS + 1;
	uint8_t live[JUMP_BYTES], code[JUMP_BYTES];
	int r;
	gva at;

	for (size_t i = 0; i < places.n; i += step) {
		uint8_t *from = place(&places, i, &at);

		if (!from || !shipped_at(p->vmlinux, at, JUMP_BYTES))
			continue;
		r = patcher_live(p, view, at, live, sizeof(live), err);
		if (r < 0)
			return r;
		for (unsigned mode = 0; mode < RETURN_MODES; mode++)
			votes[mode] += return_code(p, mode, at, from, code) &&
				       !memcmp(code, live, sizeof(live));
	}
	for (unsigned mode = 0; mode < RETURN_MODES; mode++)
		if (votes[mode] > votes[p->returns])
			p->returns = mode;
	if (p->returns == RETURN_THUNK && !patcher_is_function(p, p->return_thunk))
		return err_set(err, -EBADMSG, "returns go to %#llx, which is no function",
			       (unsigned long long)p->return_thunk.v);
	return 0;
}

/* --- ENDBR that no indirect branch needs: apply_seal_endbr() --- */

/* gen_endbr_poison() of 5.18, its shape since 6.16 (and backports), and one between. */
static const uint8_t poisons[][4] = {
	{ 0x66, 0x0f, 0x1f, 0x00 }, { 0x0f, 0x1f, 0x40, 0xd6 }, { 0x66, 0x90, 0x66, 0x90 },
};

static const uint8_t endbr64[4] = { 0xf3, 0x0f, 0x1e, 0xfa };

int patch_endbr(struct patcher *p, struct shipped *shipped, struct sites *sites, struct err *err)
{
	struct places places = table_places(shipped, TABLE_ENDBR);
	gva at;

	for (size_t i = 0; i < places.n; i++) {
		uint8_t *from = place(&places, i, &at);

		if (!from || !shipped_at(shipped, at, 4) || memcmp(from, endbr64, 4))
			continue;
		if (p->has_poison)
			memcpy(from, p->poison, 4);
		if (sites_add(sites, at, 4, TABLE_ENDBR, (uint32_t)i * 4) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}

static int choose_poison(struct patcher *p, struct view *view, struct err *err)
{
	struct places places = table_places(p->vmlinux, TABLE_ENDBR);
	size_t votes[ARRAY_SIZE(poisons)] = {0}, kept = 0, step = places.n / VOTERS + 1;
	uint8_t live[4];
	int r;
	gva at;

	for (size_t i = 0; i < places.n; i += step) {
		if (!place(&places, i, &at))
			continue;
		r = patcher_live(p, view, at, live, sizeof(live), err);
		if (r < 0)
			return r;
		for (size_t j = 0; j < ARRAY_SIZE(poisons); j++)
			votes[j] += !memcmp(live, poisons[j], 4);
		kept += !memcmp(live, endbr64, 4);
	}
	for (size_t j = 0; j < ARRAY_SIZE(poisons); j++)
		if (votes[j] > kept) {
			kept = votes[j];
			memcpy(p->poison, poisons[j], 4);
			p->has_poison = true;
		}
	return 0;
}

/* --- lock prefixes of a kernel with one CPU: alternatives_smp_unlock() --- */

int patch_locks(struct patcher *p, struct shipped *shipped, struct sites *sites, struct err *err)
{
	struct places places = table_places(shipped, TABLE_LOCKS);
	struct field core;
	/* Until ac3b43283923 (6.4) those outside of .text are left alone (module_finalize()). */
	bool in_text_only = types_field(p->types, "module.core_layout", &core, NULL) >= 0;
	gva at;

	for (size_t i = 0; i < places.n; i++) {
		uint8_t *from = place(&places, i, &at);
		const struct shipped_part *part = from ? shipped_part(shipped, at) : NULL;

		if (!from || *from != PREFIX_LOCK || part->flags & PART_GONE)
			continue;
		/* Only that of the text; the kernel's init text is part of the same image. */
		if (shipped == p->vmlinux && at.v >= p->etext.v)
			continue;
		if (shipped != p->vmlinux && in_text_only && strcmp(part->name, ".text"))
			continue;
		if (p->unlocked)
			*from = PREFIX_DS;
		if (sites_add(sites, at, 1, TABLE_LOCKS, (uint32_t)i * 4) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
	}
	return 0;
}

int vote_locks(const struct patcher *p, struct view *view, bool *unlocked, struct err *err)
{
	struct places places = table_places(p->vmlinux, TABLE_LOCKS);
	size_t locked = 0, taken_out = 0, step = places.n / VOTERS + 1;
	gva etext = p->etext;
	uint8_t live;
	int r;
	gva at;

	for (size_t i = 0; i < places.n; i += step) {
		const uint8_t *from = place(&places, i, &at);

		if (!from || (*from != PREFIX_LOCK && *from != PREFIX_DS) || at.v >= etext.v)
			continue;
		r = patcher_live(p, view, at, &live, 1, err);
		if (r < 0)
			return r;
		locked += live == PREFIX_LOCK;
		taken_out += live == PREFIX_DS;
	}
	*unlocked = taken_out > locked;
	return 0;
}

/* --- calls that are counted: call_depth tracking (retbleed=stuff, 6.2) --- */

static int choose_calls(struct patcher *p, struct view *view, struct err *err)
{
	struct places places = table_places(p->vmlinux, TABLE_CALLS);
	size_t kept = 0, changed = 0, step = places.n / VOTERS + 1;
	gva etext = p->etext;
	uint8_t live[JUMP_BYTES];
	int r;
	gva at;

	for (size_t i = 0; i < places.n; i += step) {
		const uint8_t *from = place(&places, i, &at);

		if (!from || at.v >= etext.v || !shipped_at(p->vmlinux, at, JUMP_BYTES))
			continue;
		r = patcher_live(p, view, at, live, sizeof(live), err);
		if (r < 0)
			return r;
		if (memcmp(from, live, JUMP_BYTES))
			changed++;
		else
			kept++;
	}
	if (changed > kept)
		return err_set(err, -ENOTSUP, "the guest counts its calls (retbleed=stuff), and "
			       "what that makes of its code cannot be predicted yet");
	return 0;
}

int choose_modes(struct patcher *p, struct view *view, struct err *err)
{
	int r;

	r = choose_retpolines(p, view, err);
	if (r >= 0)
		r = choose_returns(p, view, err);
	if (r >= 0)
		r = choose_poison(p, view, err);
	if (r >= 0)
		r = choose_calls(p, view, err);
	return r < 0 ? r : vote_locks(p, view, &p->unlocked, err);
}

/* --- constants that are known at boot only: runtime_const_init() --- */

static size_t constant_bytes(const struct shipped_runtime *runtime)
{
	return !strncmp(runtime->name, "runtime_ptr_", strlen("runtime_ptr_")) ? 8 : 1;
}

/* "runtime_ptr_x", "runtime_shift_x": x */
static const char *constant_name(const struct shipped_runtime *runtime)
{
	const char *rest = strchr(runtime->name, '_');

	rest = rest ? strchr(rest + 1, '_') : NULL;
	return rest ? rest + 1 : "";
}

/*
 * A variable that the compiler took for a constant is gone: what most places hold is then what
 * it was, and must be what it is called: "__dentry_cache" the slab cache "dentry".
 */
static int vote_constant(const struct patcher *p, struct view *view,
			 const struct shipped_runtime *runtime, const struct places *places,
			 uint64_t *ret, struct err *err)
{
	size_t bytes = constant_bytes(runtime), count = 0;
	const char *name = constant_name(runtime);
	struct field field;
	char cache[64];
	gva at, text;
	int r;

	for (size_t i = 0; i < places->n; i++) {	/* Boyer and Moore's majority vote */
		uint64_t value = 0;

		if (!place(places, i, &at) || at.v >= p->etext.v)
			continue;
		r = patcher_live(p, view, at, &value, bytes, err);
		if (r < 0)
			return r;
		if (!count)
			*ret = value;
		count = value == *ret ? count + 1 : count - 1;
	}
	if (bytes != 8 || types_field(p->types, "kmem_cache.name", &field, NULL) < 0)
		return err_set(err, -ENOTSUP, "the kernel has no variable %s, which its text was "
			       "patched with", name);
	r = field_ptr(view, gva_of(*ret), &field, &text, err);
	if (r >= 0)
		r = view_string(view, text, cache, sizeof(cache), err);
	if (r < 0)
		return wrap(err, r, "%s", name);
	name += strspn(name, "_");
	if (strncmp(name, cache, strcspn(name, "_")))
		return err_set(err, -EBADMSG, "the kernel's %s is '%s'", name, cache);
	return 0;
}

static int constant(const struct patcher *p, struct view *view,
		    const struct shipped_runtime *runtime, const struct places *places,
		    uint64_t *ret, struct err *err)
{
	gva variable = patcher_symbol(p, constant_name(runtime));

	if (!variable.v)
		return vote_constant(p, view, runtime, places, ret, err);
	return view_uint(view, variable, constant_bytes(runtime) == 8 ? 8 : 4, ret, err);
}

/*
 * Above USER_PTR_MAX a pointer is not the user's (6.12, 86e6b1547b3d): it is in the lower half,
 * whatever the CPU. Who moves it, and all places with it, lets every process at the kernel.
 */
static bool is_plausible(const struct shipped_runtime *runtime, uint64_t value)
{
	return strcmp(constant_name(runtime), "USER_PTR_MAX") != 0 || !(value >> 63);
}

int patch_runtime(struct patcher *p, struct view *view, struct shipped *shipped,
		  struct sites *sites, struct err *err)
{
	for (size_t i = 0; i < shipped->runtime.n; i++) {
		const struct shipped_runtime *runtime = &shipped->runtime.v[i];
		struct places places = places_of(shipped, runtime->range);
		size_t bytes = constant_bytes(runtime);
		uint64_t value = 0;
		gva at;
		int r;

		if (!places.n)
			continue;
		r = constant(p, view, runtime, &places, &value, err);
		if (r < 0)
			return r;
		for (size_t j = 0; j < places.n; j++) {
			uint8_t *from = place(&places, j, &at);

			if (!from || !shipped_at(shipped, at, bytes))
				continue;
			if (is_plausible(runtime, value))
				memcpy(from, &value, bytes);
			if (sites_add(sites, at, bytes, SITE_RUNTIME, (uint32_t)j) < 0)
				return err_set(err, -ENOMEM, "no memory for sites");
		}
	}
	return 0;
}
