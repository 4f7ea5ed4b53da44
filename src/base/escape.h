/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_ESCAPE_H
#define HVSM_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Text that somebody else wrote (a process name, a path, a line of the guest's log), made safe
 * to print. What comes out is valid UTF-8 in which nothing steers a terminal, hides, or turns
 * the order of what is read: such bytes become \xhh, two lower-case hex digits each.
 *
 *	control characters		C0, DEL, C1 (ECMA-48)
 *	bytes that are not UTF-8	stray ones, overlong forms, surrogates (Unicode 3.9)
 *	bidirectional controls		"Trojan Source", CVE-2021-42574
 *	invisible characters		zero width, line and paragraph separators, tags
 *
 * A backslash that would read as such an escape is itself escaped, so that replacing each
 * \xhh by its byte gives the original back. Everything else stays as it is.
 */

/* Room for any @n bytes, escaped and terminated. */
#define ESCAPED_MAX(n) (4 * (n) + 1)

/**
 * escape - make text safe to print
 * @text: @n bytes; NUL bytes among them are escaped as well
 * @buf:  receives the escaped text, always terminated; cut between two characters or escapes
 *        where it does not fit, so never inside one
 * @size: of @buf, > 0; ESCAPED_MAX(@n) is always enough
 *
 * Return: length of what is in @buf.
 */
size_t escape(const char *text, size_t n, char *buf, size_t size);

/**
 * escape_needless - is it safe to print as it is?
 * For what is escaped already, and comes from somebody who may have left that out: what reads
 * as an escape is one.
 */
bool escape_needless(const char *text, size_t n);

/**
 * escape_dup - make text safe to print, however long it becomes
 * @text: terminated
 *
 * Return: a string to be freed by the caller; NULL: no memory.
 */
char *escape_dup(const char *text);

/**
 * escape_once - as escape_dup(), of text that is escaped already, or should be
 * What is safe to print stays as it is, and whatever its writer left out is made up for.
 */
char *escape_once(const char *text);

#endif
