/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_CALLBACKS_H
#define HVSM_CHECK_CALLBACKS_H

#include "check/check.h"
#include "linux/owner.h"
#include "linux/tracing.h"

/*
 * What all checks of tracing have in common: a callback must lead to the start of a function
 * of the kernel or of a listed module (or to what BPF made, where the kernel lets BPF in), and
 * what holds it must lie where such things are kept: the kernel's data, a listed module's
 * memory, or memory that was allocated, but not among the modules without being one's.
 */
struct callbacks {
	struct check_run *run;
	struct owners *owners;
	uint64_t seen;		/* callbacks */
};

nodiscard int callbacks_open(struct check_run *run, struct callbacks *ret, struct err *err);
void callbacks_close(struct callbacks *callbacks);

/**
 * callbacks_is_sound - is all well with one?
 * @may_be_bpf: a BPF program or trampoline is as good as a function
 */
bool callbacks_is_sound(struct callbacks *callbacks, const struct callback *callback,
			bool may_be_bpf);

/**
 * callbacks_report - one that is not sound
 * @kind: of the finding's object; several callbacks of one object are one finding
 * @name: of it
 */
void callbacks_report(struct callbacks *callbacks, const struct callback *callback,
		      const char *kind, const char *name);

/**
 * callbacks_end - what the walk came to
 * Its failure makes the check inconclusive, and is an error only where there is no going on.
 */
nodiscard int callbacks_end(struct callbacks *callbacks, int r, const char *what, uint64_t seen,
			    const struct err *why);

#endif
