/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "reference/patch_inside.h"
#include "reference/patch_insn.h"

/*
 * apply_alternatives(): instructions that are replaced where the CPU has a feature, or has it
 * not. Entries are taken in their order, so that the last one that applies is what stays.
 *
 * The kernel's way to move instructions and to join NOPs changed over time. Each way is
 * done here; the one that explains most of the guest's own text is the one that its kernel has.
 */

#define INSTR_MAX	 256u
#define FLAG_NOT	 1u	/* ALT_FLAG_NOT */
#define FLAG_DIRECT_CALL 2u	/* ALT_FLAG_DIRECT_CALL (9824b00c2b58, 6.8) */
#define CPUID_INVERTED	 0x8000u	/* ALTINSTR_FLAG_INV (5.12 to 6.2) */

struct alternative {
	gva at, repl;
	unsigned cpuid, flags;
	uint8_t bytes, repl_bytes;
	const uint8_t *code;	/* the replacement, as patched so far */
};

/* The code of one place while its entries are applied. */
struct working {
	const struct patcher *p;
	struct view *view;
	const struct shipped *shipped;
	uint8_t code[INSTR_MAX];
};

static uint64_t member(const uint8_t *entry, const struct field *field)
{
	uint64_t value = 0;

	memcpy(&value, entry + field->at, field->size_bytes > 8 ? 8 : field->size_bytes);
	if (field->bits)
		value = value >> field->bit_at & ((1ull << field->bits) - 1);
	return value;
}

static bool is_inside(const struct alternative_layout *layout, const struct field *field,
		      uint32_t bytes)
{
	return field->size_bytes >= bytes && field->at <= layout->size.size_bytes &&
	       field->size_bytes <= layout->size.size_bytes - field->at;
}

static bool fits(const struct alternative_layout *layout)
{
	return layout->size.size_bytes >= 8 && layout->size.size_bytes <= 64 &&
	       is_inside(layout, &layout->instr, 4) && is_inside(layout, &layout->repl, 4) &&
	       is_inside(layout, &layout->cpuid, 1) &&
	       is_inside(layout, &layout->instr_bytes, 1) &&
	       is_inside(layout, &layout->repl_bytes, 1) &&
	       (!layout->flags.there || is_inside(layout, &layout->flags, 1));
}

static int read_alternative(const struct patcher *p, const struct shipped *shipped, uint64_t entry,
			    struct alternative *ret, struct err *err)
{
	const struct alternative_layout *layout = &p->alt;
	gva table = shipped->table[TABLE_ALTERNATIVES].at, at = gva_add(table, entry);
	const uint8_t *from = shipped_at(shipped, at, layout->size.size_bytes);

	if (!from)
		return err_set(err, -EBADMSG, "the reference's alternatives are damaged");
	ret->at = s32_relative(gva_add(at, layout->instr.at), from + layout->instr.at);
	ret->repl = s32_relative(gva_add(at, layout->repl.at), from + layout->repl.at);
	ret->cpuid = (unsigned)member(from, &layout->cpuid);
	ret->bytes = (uint8_t)member(from, &layout->instr_bytes);
	ret->repl_bytes = (uint8_t)member(from, &layout->repl_bytes);
	if (layout->flags.there) {
		ret->flags = (unsigned)member(from, &layout->flags);
	} else {
		ret->flags = ret->cpuid & CPUID_INVERTED ? FLAG_NOT : 0;
		ret->cpuid &= ~CPUID_INVERTED;
	}
	ret->code = ret->repl_bytes ? shipped_at(shipped, ret->repl, ret->repl_bytes) : NULL;
	if (!shipped_at(shipped, ret->at, ret->bytes) || (ret->repl_bytes && !ret->code) ||
	    ret->repl_bytes > ret->bytes)
		return err_set(err, -EBADMSG, "an alternative of the reference leads nowhere");
	return 0;
}

static bool applies(const struct patcher *p, const struct alternative *alt)
{
	unsigned word = alt->cpuid / 32;
	bool has = word < p->caps_n && p->caps[word] >> (alt->cpuid % 32) & 1;

	return has != (alt->flags & FLAG_NOT);
}

/* --- up to 6.3 --- */

/* optimize_nops_range(): runs of more than one single NOP. */
static void join_single_nops(const struct patcher *p, uint8_t *code, size_t n)
{
	struct patch_insn insn;

	for (size_t i = 0; i < n;) {
		size_t run = 0;

		if (!patch_insn(code + i, n - i, &insn))
			return;
		if (insn.bytes != 1 || code[i] != OP_NOP) {
			i += insn.bytes;
			continue;
		}
		while (i + run < n && code[i + run] == OP_NOP)
			run++;
		if (run > 1)
			fill_nops(p, code + i, run);
		i += run;
	}
}

/* recompute_jump() */
static void move_jump(const struct patcher *p, const struct alternative *alt, uint8_t *code)
{
	gva target = branch_target(alt->repl, code);
	int64_t offset = (int64_t)(target.v - alt->at.v);

	if (offset >= 0 ? offset - 2 <= 127 : ((offset - 2) & 0xff) == offset - 2) {
		code[0] = OP_JMP8;
		code[1] = (uint8_t)(offset - 2);
		fill_nops(p, code + 2, 3);
	} else {
		branch_encode(code, OP_JMP, alt->at, target);
	}
}

static void apply_ranges(struct working *w, const struct alternative *alt)
{
	uint8_t *code = w->code;

	if (applies(w->p, alt)) {
		if (alt->repl_bytes)
			memcpy(code, alt->code, alt->repl_bytes);
		if (alt->repl_bytes == JUMP_BYTES && code[0] == OP_CALL)
			branch_encode(code, OP_CALL, alt->at, branch_target(alt->repl, code));
		else if (alt->repl_bytes == JUMP_BYTES && code[0] == OP_JMP)
			move_jump(w->p, alt, code);
		memset(code + alt->repl_bytes, OP_NOP, alt->bytes - alt->repl_bytes);
	}
	join_single_nops(w->p, code, alt->bytes);
}

/* --- since 6.4 --- */

/* add_nop(): one NOP, or a jump over int3 where there is none so long. */
static void long_nop(const struct patcher *p, uint8_t *code, size_t n)
{
	if (n && n <= p->nop_max) {
		memcpy(code, p->nop[n], n);
	} else if (n && n < 128) {
		memset(code, OP_INT3, n);
		code[0] = OP_JMP8;
		code[1] = (uint8_t)(n - 2);
	} else if (n) {
		memset(code, OP_INT3, n);
		branch_encode(code, OP_JMP, gva_of(0), gva_of(n));
	}
}

/*
 * optimize_nops(). From 6.4 to 6.7 (b6c881b248ef) a jump to the end of the NOPs became part of
 * them: @folds.
 */
static void join_nops(const struct patcher *p, uint8_t *code, size_t n, bool folds)
{
	size_t jump = 0, target = 0;
	struct patch_insn insn, next;

	for (size_t i = 0; i < n;) {
		size_t from = i, end;

		if (!patch_insn(code + i, n - i, &insn))
			return;
		end = i + insn.bytes;
		if (!insn.is_nop) {
			bool is_jump = insn.opcode[0] == OP_JMP8 || insn.opcode[0] == OP_JMP;
			int32_t offset = 0;

			target = 0;
			if (is_jump && insn.imm_bytes == 1)
				offset = (int8_t)code[i + insn.imm_at];
			else if (is_jump)
				memcpy(&offset, code + i + insn.imm_at, 4);
			if (is_jump) {
				jump = i;
				target = end + (size_t)(int64_t)offset;
			}
			i = end;
			continue;
		}
		while (end < n && patch_insn(code + end, n - end, &next) && next.is_nop)
			end += next.bytes;
		if (folds && target && end == target)
			from = jump;
		long_nop(p, code + from, end - from);
		i = end;
	}
}

/* One offset, if it leads out; gives back what it was. */
static int32_t move_field(const struct alternative *alt, uint8_t *field, int64_t next,
			  int64_t moved)
{
	int32_t offset, now;

	memcpy(&offset, field, 4);
	now = (int32_t)(offset + moved);
	if (next + offset < 0 || next + offset > alt->repl_bytes)
		memcpy(field, &now, 4);
	return offset;
}

/* apply_relocation(): what led out of the replacement must lead there from its new place. */
static void relocate(const struct alternative *alt, uint8_t *code)
{
	int64_t moved = (int64_t)(alt->repl.v - alt->at.v);
	struct patch_insn insn;

	for (size_t i = 0; i < alt->bytes; i += insn.bytes) {
		int64_t next;

		if (!patch_insn(code + i, alt->bytes - i, &insn))
			return;
		next = (int64_t)(i + insn.bytes);
		if (insn.is_branch && insn.imm_bytes == 4) {
			int64_t offset = move_field(alt, code + i + insn.imm_at, next, moved);

			offset += moved + JUMP_BYTES - 2;
			if (insn.opcode[0] == OP_JMP && offset == (int8_t)offset) {
				memset(code + i, OP_INT3, insn.bytes);
				code[i] = OP_JMP8;
				code[i + 1] = (uint8_t)offset;
			}
		}
		if (insn.disp_at)
			move_field(alt, code + i + insn.disp_at, next, moved);
	}
}

/* alt_replace_call(): a call through a pointer becomes a call of what it points to now. */
static int direct_call(const struct working *w, const struct alternative *alt, uint8_t *code,
		       size_t *used, struct err *err)
{
	gva bug = patcher_symbol(w->p, "BUG_func"), target = {0};
	int32_t offset;
	int r;

	if (alt->repl_bytes != JUMP_BYTES || code[0] != 0xff || code[1] != 0x15 || alt->bytes != 6)
		return err_set(err, -EBADMSG, "an alternative of the reference is no call");
	memcpy(&offset, code + 2, 4);
	r = paravirt_operation(w->p, w->view, gva_add(alt->at, 6 + (uint64_t)(int64_t)offset),
			       &target, err);
	if (r < 0)
		return r;
	/* What is not the kernel's own stays as it was shipped, and is then a difference. */
	if (target.v && !patcher_is_function(w->p, target))
		return 0;
	memcpy(code, alt->code, JUMP_BYTES);
	branch_encode(code, OP_CALL, alt->repl, target.v ? target : bug);
	*used = target.v && target.v == patcher_symbol(w->p, "nop_func").v ? 0 : JUMP_BYTES;
	return 0;
}

static int apply_relocates(struct working *w, const struct alternative *alt, bool folds,
			   struct err *err)
{
	size_t used = alt->repl_bytes;
	uint8_t code[INSTR_MAX];
	int r = 0;

	if (!applies(w->p, alt)) {
		join_nops(w->p, w->code, alt->bytes, folds);
		return 0;
	}
	memcpy(code, w->code, alt->bytes);
	if (alt->flags & FLAG_DIRECT_CALL) {
		used = SIZE_MAX;
		r = direct_call(w, alt, code, &used, err);
		if (r < 0 || used == SIZE_MAX)
			return r;
	} else if (used) {
		memcpy(code, alt->code, used);
	}
	memset(code + used, OP_NOP, alt->bytes - used);
	relocate(alt, code);
	join_nops(w->p, code, alt->bytes, folds);
	memcpy(w->code, code, alt->bytes);
	return 0;
}

/* --- both --- */

/*
 * All entries of one place, which lie one behind the other.
 * Return: the offset behind them, 0 or a negative errno where they cannot be.
 */
static int64_t apply_place(struct working *w, uint64_t entry, enum alternative_style style,
			   struct alternative *place, struct err *err)
{
	const struct shipped_range *table = &w->shipped->table[TABLE_ALTERNATIVES];
	uint64_t size = w->p->alt.size.size_bytes, end = entry;
	struct alternative alt;
	uint8_t longest = 0;
	int r;

	/* The outer of nested ones may have been padded more: all are as long as the longest. */
	for (; end + size <= table->size_bytes; end += size) {
		r = read_alternative(w->p, w->shipped, end, &alt, err);
		if (r < 0)
			return r;
		if (end == entry)
			*place = alt;
		else if (alt.at.v != place->at.v)
			break;
		if (alt.bytes > longest)
			longest = alt.bytes;
	}
	memcpy(w->code, shipped_at(w->shipped, place->at, longest), longest);
	place->bytes = longest;
	for (; entry < end; entry += size) {
		r = read_alternative(w->p, w->shipped, entry, &alt, err);
		if (r >= 0 && style == STYLE_RANGES) {
			apply_ranges(w, &alt);
		} else if (r >= 0) {
			alt.bytes = longest;
			r = apply_relocates(w, &alt, style == STYLE_FOLDS, err);
		}
		if (r < 0)
			return r;
	}
	return (int64_t)end;
}

int patch_alternatives(struct patcher *p, struct view *view, struct shipped *shipped,
		       struct sites *sites, struct err *err)
{
	const struct shipped_range *table = &shipped->table[TABLE_ALTERNATIVES];
	struct working w = { .p = p, .view = view, .shipped = shipped };
	uint64_t entry = 0;

	if (!fits(&p->alt))
		return err_set(err, -EBADMSG, "the reference's alternatives have no shape");
	while (entry + p->alt.size.size_bytes <= table->size_bytes) {
		struct alternative place;
		int64_t next = apply_place(&w, entry, p->style, &place, err);

		if (next < 0)
			return (int)next;
		memcpy(shipped_at(shipped, place.at, place.bytes), w.code, place.bytes);
		if (sites_add(sites, place.at, place.bytes, TABLE_ALTERNATIVES,
			      (uint32_t)entry) < 0)
			return err_set(err, -ENOMEM, "no memory for sites");
		entry = (uint64_t)next;
	}
	return 0;
}

int choose_style(struct patcher *p, struct view *view, struct shipped *shipped, struct err *err)
{
	const struct shipped_range *table = &shipped->table[TABLE_ALTERNATIVES];
	struct working w = { .p = p, .view = view, .shipped = shipped };
	size_t votes[ALTERNATIVE_STYLES] = {0};
	gva etext = p->etext;
	uint64_t entry = 0;

	if (!fits(&p->alt))
		return err_set(err, -EBADMSG, "the reference's alternatives have no shape");
	while (entry + p->alt.size.size_bytes <= table->size_bytes) {
		struct alternative place;
		uint8_t live[INSTR_MAX];
		int64_t next = 0;

		for (unsigned style = 0; style < ALTERNATIVE_STYLES; style++) {
			int r;

			next = apply_place(&w, entry, style, &place, err);
			if (next < 0)
				return (int)next;
			if (place.at.v >= etext.v || !place.bytes)
				continue;
			r = patcher_live(p, view, place.at, live, place.bytes, err);
			if (r < 0)
				return r;
			votes[style] += !memcmp(live, w.code, place.bytes);
		}
		entry = (uint64_t)next;
	}
	for (unsigned style = 0; style < ALTERNATIVE_STYLES; style++)
		if (votes[style] > votes[p->style])
			p->style = style;
	return 0;
}
