/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PATCH_INSIDE_H
#define HVSM_REFERENCE_PATCH_INSIDE_H

#include "reference/patch.h"

/* The inside of patching: for patch*.c and explain.c. */

#define NOP_BYTES_MAX	11u	/* ASM_NOP_MAX, 8 before 6.3 */
#define CAPS_MAX	64u	/* words of CPU features and bugs: NCAPINTS + NBUGINTS is 24 */
#define JUMP_BYTES	5u	/* jmp rel32, call rel32 */

#define OP_CALL	 0xe8
#define OP_JMP	 0xe9
#define OP_JMP8	 0xeb
#define OP_RET	 0xc3
#define OP_INT3	 0xcc
#define OP_NOP	 0x90
#define PREFIX_LOCK 0xf0
#define PREFIX_DS   0x3e

/* How apply_alternatives() treats NOPs and branches; see patch_alternative.c. */
enum alternative_style {
	STYLE_RANGES,		/* up to 6.3: runs of single NOPs, branches only at the start */
	STYLE_FOLDS,		/* as the next; a jump over NOPs becomes part of them */
	STYLE_RELOCATES,	/* since 6.8: every instruction is relocated, long NOPs jump */
	ALTERNATIVE_STYLES,
};

/* What became of branches through a thunk: apply_retpolines(), patch_retpoline(). */
enum retpoline_mode {
	RETPOLINE_KEPT,
	RETPOLINE_LFENCE,	/* lfence, and the branch itself */
	RETPOLINE_INDIRECT,	/* the branch itself, then NOPs */
	RETPOLINE_INT3,		/* … with int3 behind a jmp (8c03af3e090e, 6.0) */
	RETPOLINE_PADDED,	/* … with prefixes in front of a call instead of NOPs (6.17) */
	RETPOLINE_MODES,
};
enum return_mode { RETURN_KEPT, RETURN_RET, RETURN_THUNK, RETURN_MODES };

struct alternative_layout {
	struct field size, instr, repl, cpuid, flags, instr_bytes, repl_bytes;
};

/* What of pv_ops was patched in as instructions, up to 5.11 (paravirt_patch_64.c). */
struct native_op {
	uint32_t type;		/* index into pv_ops */
	const char *code;
	uint8_t code_bytes;
};

#define NATIVE_OPS 12u

/* The key of a jump label or a static call, as it was when the image was patched. */
struct key_state {
	gva at;
	uint64_t value;
	uint32_t size_bytes;
};

struct patcher {
	const struct kernel *kernel;
	const struct shipped *vmlinux;
	struct symbols *symbols;	/* as shipped */
	struct types *types;
	bool borrows_types;
	gva text, etext;

	uint32_t caps[CAPS_MAX];	/* boot_cpu_data.x86_capability */
	size_t caps_n;

	uint8_t nop[NOP_BYTES_MAX + 1][NOP_BYTES_MAX];	/* [n]: a NOP of n bytes */
	unsigned nop_max;		/* the longest */
	uint8_t nop5[JUMP_BYTES];	/* what a jump label and a call of ftrace are without it */

	struct alternative_layout alt;
	enum alternative_style style;
	enum retpoline_mode retpoline;
	enum return_mode returns;
	gva return_thunk;		/* x86_return_thunk */
	uint8_t poison[4];		/* of an ENDBR that is not needed */
	bool has_poison;
	bool unlocked;			/* one CPU: lock prefixes are taken out */

	gva pv_ops;
	struct native_op native[NATIVE_OPS];
	size_t native_n;
	uint32_t pv_iret, pv_sysret;	/* indices of what is jumped to instead of called */
	bool pv_ident;			/* what does nothing to its argument is put in place, too */

	gva return0, warn_trap;		/* __static_call_return0, …_trap */

	VEC(struct key_state) keys;	/* of the kernel's own; ascending, once each */
};

static inline gva s32_relative(gva at, const uint8_t *bytes)
{
	int32_t offset;

	__builtin_memcpy(&offset, bytes, sizeof(offset));
	return gva_add(at, (uint64_t)(int64_t)offset);
}

/* The target of a call or jump with 32 bits at @at. */
static inline gva branch_target(gva at, const uint8_t *code)
{
	return gva_add(s32_relative(at, code + 1), JUMP_BYTES);
}

static inline void branch_encode(uint8_t *code, uint8_t op, gva at, gva target)
{
	uint32_t offset = (uint32_t)(target.v - at.v - JUMP_BYTES);

	code[0] = op;
	__builtin_memcpy(code + 1, &offset, sizeof(offset));
}

/* A symbol as shipped; 0: there is none. */
gva patcher_symbol(const struct patcher *patcher, const char *name);

/* Does a function of the kernel's text start at @at, as shipped? */
bool patcher_is_function(const struct patcher *patcher, gva at);

/* The guest's bytes of the kernel image; for the choice between ways of patching. */
nodiscard int patcher_live(const struct patcher *patcher, struct view *view, gva at, void *buf,
			   size_t n, struct err *err);

/* Fill with as few NOPs as there can be (add_nops()). */
void fill_nops(const struct patcher *patcher, uint8_t *code, size_t n);

/*
 * Is @code a jump through the register that a thunk is named after: "__x86_indirect_thunk_r11"?
 * Prefixes in front of it are passed over.
 */
bool thunk_matches(const char *thunk, const uint8_t *code, size_t n);

/* Does a return at @at go through the thunk, where returns do? */
bool wants_thunk(const struct patcher *p, gva at);

/*
 * What a paravirt operation was when the calls of it were patched: the pointer at @at, or, if
 * that is no function of the kernel now, what was shipped. So that whoever changes the pointer is
 * found there, and not at every call as well.
 */
nodiscard int paravirt_operation(const struct patcher *p, struct view *view, gva at, gva *ret,
				 struct err *err);

/* patch_boot.c: once, when the kernel boots. */
/* What Xen put into the page for calling it; for vmlinux alone. 0, or an error of view_read(). */
nodiscard int patch_hypercalls(struct patcher *p, struct view *view, struct shipped *shipped,
			       struct err *err);

/* What a PV guest of Xen changes before it starts; for vmlinux alone. */
void patch_iret(const struct patcher *p, struct view *view, struct shipped *shipped);

/**
 * hypercalls_predict - turn the page as shipped into what Xen makes of it
 * @page: HYPERCALL_PAGE_BYTES as shipped; left so where the guest's are not Xen's
 * @live: as many of the guest
 */
#define HYPERCALL_PAGE_BYTES 4096u
void hypercalls_predict(uint8_t *page, const uint8_t *live);

nodiscard int patch_paravirt(struct patcher *p, struct view *view, struct shipped *shipped,
			     struct sites *sites, struct err *err);
nodiscard int patch_retpolines(struct patcher *p, struct shipped *shipped, struct sites *sites,
			       struct err *err);
nodiscard int patch_returns(struct patcher *p, struct shipped *shipped, struct sites *sites,
			    struct err *err);
nodiscard int patch_endbr(struct patcher *p, struct shipped *shipped, struct sites *sites,
			  struct err *err);
nodiscard int patch_locks(struct patcher *p, struct shipped *shipped, struct sites *sites,
			  struct err *err);
nodiscard int patch_runtime(struct patcher *p, struct view *view, struct shipped *shipped,
			    struct sites *sites, struct err *err);
/* Are the lock prefixes taken out now? They come back with the second CPU. */
nodiscard int vote_locks(const struct patcher *p, struct view *view, bool *unlocked,
			 struct err *err);
/* What the modes are, by how the guest's own text was patched. */
nodiscard int choose_modes(struct patcher *p, struct view *view, struct err *err);
nodiscard int choose_paravirt(struct patcher *p, struct view *view, struct err *err);

/* patch_alternative.c */
nodiscard int patch_alternatives(struct patcher *p, struct view *view, struct shipped *shipped,
				 struct sites *sites, struct err *err);
nodiscard int choose_style(struct patcher *p, struct view *view, struct shipped *shipped,
			   struct err *err);

/*
 * patch_live.c: at any time. Each gives the bytes that a place must have as the guest's memory
 * is now; what an entry says is checked against the shipped table only.
 */
#define STATIC_CALL_BYTES 6u	/* a conditional jump has six */

/* @other: as if the key were the other way round. */
nodiscard int jump_label_code(const struct patcher *p, struct view *view,
			      const struct shipped *shipped, const struct site *site, bool other,
			      uint8_t *code, struct err *err);
/* Is the key that of a BPF dispatcher, the only ones that lead to what BPF made (6.2)? */
bool static_call_is_dispatcher(const struct patcher *p, const struct shipped *shipped,
			       const struct site *site);
/* @func: receives what the key leads to; 0: nothing. */
nodiscard int static_call_code(const struct patcher *p, struct view *view,
			       const struct shipped *shipped, const struct site *site, gva *func,
			       uint8_t *code, struct err *err);
nodiscard int trampoline_code(const struct patcher *p, struct view *view,
			      const struct shipped *shipped, const struct site *site, gva *func,
			      uint8_t *code, struct err *err);
nodiscard int patch_jump_labels(struct patcher *p, struct view *view, struct shipped *shipped,
				struct sites *sites, struct err *err);
nodiscard int patch_static_calls(struct patcher *p, struct view *view, struct shipped *shipped,
				 struct sites *sites, struct err *err);
/* Sort what was recorded of keys. */
void keys_settle(struct patcher *p);
/* Is any of them another than it was? */
nodiscard int keys_changed(const struct patcher *p, struct view *view, bool *ret,
			   struct err *err);
nodiscard int patch_mcount(struct patcher *p, struct shipped *shipped, struct sites *sites,
			   struct err *err);

#endif
