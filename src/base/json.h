/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_JSON_H
#define HVSM_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Text from JSON and JSON from text, where memory may run out. jansson 2.14 does not look whether
 * its buffers could grow: json_dumps() leaves keys out then, json_loads() letters of a string, and
 * both call that success.
 */

/**
 * json_dump_text - a document as compact text, all of it
 * @json:  may be NULL
 * @flags: of jansson, such as JSON_SORT_KEYS
 *
 * Return: for free(), NUL at its end; NULL: there was no memory, or no document.
 */
char *json_dump_text(const json_t *json, size_t flags);

/**
 * json_load_text - what a text says, all of it
 * @flags: of jansson, such as JSON_REJECT_DUPLICATES
 * @ret:   a new reference
 * @why:   what is wrong with it; may be NULL
 *
 * Changes jansson's allocator for the moment: not for several threads at once.
 *
 * Return: 0, -EBADMSG (it is no JSON), -ENOMEM.
 */
nodiscard int json_load_text(const char *text, size_t n, size_t flags, json_t **ret,
			     json_error_t *why);

#endif
