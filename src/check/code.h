/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_CODE_H
#define HVSM_CHECK_CODE_H

#include "check/check.h"
#include "linux/owner.h"

/* Evidence about code, the same in every check. */

/**
 * code_evidence - a pointer or branch that leads to the wrong code
 * Names the owner of the finding, shows what was there, and the first instructions of what
 * it leads to.
 *
 * @what:     "system call entry"
 * @at:       where the pointer lies; 0: no one place
 * @expected: what should be there
 * @target:   where it leads
 */
void code_evidence(struct check_run *run, struct owners *owners, struct finding *finding,
		   const char *what, gva at, const char *expected, gva target);

/* The first instructions and bytes at @at, as a fact of its own; nothing where unreadable. */
void code_evidence_bytes(struct check_run *run, struct owners *owners, struct finding *finding,
			 const char *what, gva at);

/* The same of what lies there in another address space. */
void code_evidence_space(struct check_run *run, struct owners *owners, struct finding *finding,
			 const char *what, struct space space, gva at);

#endif
