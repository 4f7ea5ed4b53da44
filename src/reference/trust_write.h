/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_TRUST_WRITE_H
#define HVSM_REFERENCE_TRUST_WRITE_H

#include "base/map.h"
#include "reference/database.h"
#include "reference/trust.h"

/* Between the two files that the trust store is written in. */
struct trust_answer {
	uint8_t digest[TRUST_DIGEST_BYTES];
	bool known;
	struct trust_known what;	/* its texts are this one's */
};

struct trust {
	struct database *database;
	sqlite3_stmt *find;		/* prepared with the first question */
	VEC(struct trust_answer *) answers;
	struct trust_elsewhere elsewhere; /* nothing in it: it is here */
	struct map index;		/* begin of a digest → place in @answers */
};

/**
 * trust_judge - is a file of a package or directory one that is trusted?
 * @head: how it begins, up to TRUST_HEAD_BYTES
 * Return: 1 and its kind, or 0.
 */
#define TRUST_HEAD_BYTES 4u
int trust_judge(const char *path, uint32_t mode, const uint8_t *head, size_t n,
		enum trust_kind *ret);

#endif
