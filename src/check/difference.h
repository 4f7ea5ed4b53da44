/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_DIFFERENCE_H
#define HVSM_CHECK_DIFFERENCE_H

#include "check/check.h"
#include "linux/owner.h"
#include "reference/patch.h"

/* Findings about bytes that are not what was shipped, the same in every check. */

/* What the differences of one comparison have in common. */
struct difference_place {
	enum severity severity;
	const char *kind;	/* of object: "kernel code", "module code", "kernel constant" */
	const char *name;	/* of what was compared: "kernel", "ext4" */
	const struct shipped *shipped;	/* as it should be: what surrounds a difference is of it */
	bool data;		/* no code, although the part as a whole is executable */
};

/**
 * difference_finding - report bytes that are not what they should be
 *
 * The finding's object is the function or the variable that they are in ("tcp4_seq_show",
 * "ext4_fill_super [ext4]"), so that what is changed in one function is one finding, and the
 * same one over sweeps; where no symbol says so, the part and the offset in it
 * ("ext4 .rodata+0x120"). Its evidence has what is expected and what was found, as
 * instructions where it is code, and who owns what a changed branch or pointer leads to.
 *
 * Return: as check_finding().
 */
struct finding *difference_finding(struct check_run *run, struct owners *owners,
				   const struct difference_place *place,
				   const struct difference *difference);

/* The same evidence, for a finding about something larger; up to a number, then no more. */
void difference_evidence(struct check_run *run, struct owners *owners,
			 const struct difference_place *place,
			 const struct difference *difference, struct finding *finding);

#endif
