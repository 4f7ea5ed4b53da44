/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONFIG_VALUE_H
#define HVSM_MONITOR_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What a key of the configuration file may have as its value, and where the value goes. */
enum value_type {
	VALUE_NUMBER,	/* uint32_t; min..max */
	VALUE_PERCENT,	/* uint32_t, in permille; max in percent, with one decimal */
	VALUE_YES_NO,	/* bool */
	VALUE_CHOICE,	/* an enum whose constants are the indices of choices */
	VALUE_EXPIRY,	/* int64_t: "never", a day, or a time */
	VALUE_TEXT,	/* char *, as the following */
	VALUE_WORD,	/* letters, digits, '-', '_' and '.' */
	VALUE_PATH,	/* absolute */
	VALUE_CHECK,	/* the id of a check */
	VALUE_URL,	/* https://…, or http:// of this host itself */
	VALUE_LISTEN,	/* unix:/PATH, ADDRESS:PORT, [ADDRESS]:PORT */
};

struct key {
	const char *name;
	enum value_type type;
	size_t at;			/* in the struct of its section */
	const char *initial;		/* as in the file; NULL: none, 0, false */
	uint32_t min, max;
	const char *const *choices;	/* NULL at the end */
	size_t text_at;			/* VALUE_EXPIRY: a char * that receives it as written */
	enum { KEY_ONE, KEY_LIST } many;	/* LIST: struct texts, of a type that is text */
	enum { KEY_OPTIONAL, KEY_REQUIRED } need;
};

union value {
	uint32_t number;
	bool yes;
	int64_t time_s;
};

/**
 * value_parse - what a text says as the value of a key
 * @ret: receives it unless the type is one of texts
 * Return: 0, -EINVAL (@err says what is allowed).
 */
nodiscard int value_parse(const struct key *key, const char *text, union value *ret,
			  struct err *err);

/* Is "ADDRESS:PORT" or "unix:/PATH" within this host? */
bool listen_is_local(const char *listen);

#endif
