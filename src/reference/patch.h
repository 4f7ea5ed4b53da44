/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PATCH_H
#define HVSM_REFERENCE_PATCH_H

#include "linux/kernel.h"
#include "linux/owner.h"
#include "reference/shipped.h"
#include "reference/sites.h"

/*
 * The kernel patches its own code: once when it boots (alternatives, retpolines, returns, …)
 * and at any time afterwards (jump labels, static calls, ftrace, kprobes). This does the same
 * to what was shipped, from the state that the guest's memory holds. Sources:
 * arch/x86/kernel/{alternative,static_call,jump_label,ftrace,paravirt}.c.
 */
struct patcher;

/**
 * patcher_open - what of this guest decides how code is patched
 * CPU features, NOPs, thunks: read from the guest, and held against @vmlinux.
 * @vmlinux: the kernel's own image as shipped, not patched yet; must outlive the patcher
 * @like:    another guest's of the same build, of which it may use what is the same, and which
 *           must then outlive it; or NULL
 *
 * Return: 0, -ENOENT (a symbol or type that is needed), -EBADMSG, -ENOMEM, or as view_read().
 */
nodiscard int patcher_open(const struct kernel *kernel, struct view *view,
			   const struct shipped *vmlinux, const struct patcher *like,
			   struct patcher **ret, struct err *err);

/* A second one that uses the first one's symbols and types. 0, -ENOMEM. */
nodiscard int patcher_copy(const struct patcher *patcher, const struct shipped *vmlinux,
			   struct patcher **ret);

/* Use another copy of the image, which lies at the same addresses, from now on. */
void patcher_move(struct patcher *patcher, const struct shipped *vmlinux);

/* *@patcher becomes NULL. NULL is fine. */
void patcher_close(struct patcher **patcher);

/* Find those tables of the kernel itself that no section, but two symbols surround. */
void patch_find_tables(const struct patcher *patcher, struct shipped *vmlinux);

/**
 * patch_without_kprobes - take out of a copy of the guest's code what kprobes put into it
 * Return: 0, or as kprobes_read().
 */
nodiscard int patch_without_kprobes(const struct kernel *kernel, struct view *view,
				    struct shipped *shipped, struct err *err);

/**
 * patch_all - patch @shipped as the guest's kernel does
 * @sites: receives every place that may differ at run time, packed; for sites_free(), whatever
 *         came back
 *
 * State that can change (keys, static calls) is as the view has it now.
 *
 * Return: 0, -EBADMSG (a table of the *reference* that cannot be), -ENOMEM, or as view_read().
 */
nodiscard int patch_all(struct patcher *patcher, struct view *view, struct shipped *shipped,
			struct sites *sites, struct err *err);

/**
 * struct explainer - the guest's state at one instant, for explain()
 * Made per run of a check; collects ftrace_ops, kprobes, text_poke's queue when first needed.
 */
struct explainer;

nodiscard int explainer_open(struct patcher *patcher, struct view *view, struct owners *owners,
			     struct explainer **ret, struct err *err);
void explainer_close(struct explainer **explainer);

/* Does a function of the kernel's text start at @at, as it was shipped? */
bool explainer_is_shipped_function(const struct explainer *explainer, gva at);

/* Does a function of the kernel, as shipped, or of a listed module start at @at? */
bool explainer_is_function(struct explainer *explainer, gva at);

/* Was the kernel patching code, or about to, when the explainer was opened? */
bool explainer_is_busy(const struct explainer *explainer);

/* Was it not, and is it not now, as far as that can be read? */
bool explainer_was_quiet(const struct explainer *explainer);

/* Does a trampoline or program that ftrace or BPF made start at @at? */
bool explainer_is_image(struct explainer *explainer, gva at);

/* A run of neighbouring bytes that differ, and which of them is not explained. */
struct difference {
	gva at;
	size_t size_bytes;
	const uint8_t *expected, *found;	/* size_bytes each */
	const char *kind;	/* of place: "ftrace site", "jump label", …; "code" for none */
	char why[160];		/* why it is not explained: "jumps to 0x… (no one)"; "" */
	gva target;		/* where the changed branch leads; 0: it is none */
};

/**
 * compare_part - hold the guest's memory against what it should be
 * @found:    the guest's bytes of [@at, @at + @n)
 * @visit:    called for each difference that is not explained, and for those in passing
 *            (@passing): ascending; then, ascending again, for places that are as they were
 *            predicted, but should not be by now: of keys, then of ftrace. A negative return
 *            ends it
 * @explained: bytes that differ and are explained are added to it
 *
 * Return: 0, what @visit returned, -ENOMEM, or as view_read().
 */
typedef int difference_fn(const struct difference *difference, bool passing, void *ctx,
			  struct err *err);
nodiscard int compare_part(struct explainer *explainer, const struct shipped *shipped,
			   const struct sites *sites, gva at, const uint8_t *found, size_t n,
			   uint64_t *explained, difference_fn *visit, void *ctx,
			   struct err *err);

/* The same with other bytes than those that @shipped has there: @expected, @n of them. */
nodiscard int compare_with(struct explainer *explainer, const struct shipped *shipped,
			    const struct sites *sites, gva at, const uint8_t *expected,
			    const uint8_t *found, size_t n, uint64_t *explained,
			    difference_fn *visit, void *ctx, struct err *err);

#endif
