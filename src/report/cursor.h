/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_CURSOR_H
#define HVSM_REPORT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where a page of what is listed the newest first has ended, and the next one goes on: "17", before
 * record 17; "17-0123456789abcdef", before this finding of those that record 17 opened. What comes
 * in meanwhile is newer, and moves nothing of what a next page has.
 */
#define CURSOR_ID_MAX	17u	/* bytes of a finding's id, with its NUL */
#define CURSOR_TEXT_MAX 48u

struct cursor {
	uint64_t seq;			/* 0: none */
	char id[CURSOR_ID_MAX];		/* "": all that @seq opened come before */
};

/**
 * cursor_read - understand one; @n bytes, without a NUL
 * @with_id: findings: an id may be there
 * False: it is none.
 */
bool cursor_read(const char *text, size_t n, bool with_id, struct cursor *ret);

/* As cursor_read() takes it; returns @text, which has CURSOR_TEXT_MAX bytes. */
char *cursor_text(const struct cursor *cursor, char *text);

#endif
