/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_opts.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"

/* Objects within objects: nobody writes more than two levels. */
#define NESTED_MAX 4u

static int add(struct qemu_opts *opts, const char *key, const char *value, struct err *err)
{
	struct qemu_pair *pair;

	if (opts->pairs.n == QEMU_OPTS_MAX)
		return err_set(err, -ELOOP, "an option with over %u keys", QEMU_OPTS_MAX);
	pair = vec_add(&opts->pairs);
	if (!pair)
		return -ENOMEM;
	pair->key = strdup(key);
	pair->value = strdup(value);
	return pair->key && pair->value ? 0 : -ENOMEM;
}

/* The next element up to a lone comma, with double commas made single; @to has room. */
static const char *element(const char *text, char *to)
{
	for (; *text; text++) {
		if (*text == ',') {
			text++;
			if (*text != ',')
				break;
		}
		*to++ = *text;
	}
	*to = '\0';
	return text;
}

static int parse_keyval(const char *text, const char *implied, struct qemu_opts *opts,
			struct err *err)
{
	cleanup(freep) char *one = malloc(strlen(text) + 1);
	int r = 0;

	if (!one)
		return -ENOMEM;
	for (bool first = true; *text && r == 0; first = false) {
		char *equals;

		text = element(text, one);
		equals = strchr(one, '=');
		if (equals) {
			*equals = '\0';
			r = add(opts, one, equals + 1, err);
		} else if (first && implied) {
			r = add(opts, implied, one, err);
		} else if (!strncmp(one, "no", 2) && one[2]) {
			/* "nowait"; a flag whose name begins so is seen under its name, too. */
			r = add(opts, one + 2, "off", err);
			if (r == 0)
				r = add(opts, one, "on", err);
		} else if (*one) {
			r = add(opts, one, "on", err);
		}
	}
	return r;
}

static int add_json(struct qemu_opts *opts, const char *prefix, json_t *object, unsigned depth,
		    struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		char number[32];
		char key[256];
		int r = 0;

		snprintf(key, sizeof(key), "%s%s", prefix, name);
		if (json_is_string(value)) {
			r = add(opts, key, json_string_value(value), err);
		} else if (json_is_boolean(value)) {
			r = add(opts, key, json_is_true(value) ? "on" : "off", err);
		} else if (json_is_integer(value)) {
			snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(value));
			r = add(opts, key, number, err);
		} else if (json_is_object(value) && depth < NESTED_MAX) {
			snprintf(key, sizeof(key), "%s%s.", prefix, name);
			r = add_json(opts, key, value, depth + 1, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int qemu_opts_parse(const char *text, const char *implied, struct qemu_opts *opts,
		    struct err *err)
{
	json_error_t problem;
	json_t *object = NULL;
	int r;

	*opts = (struct qemu_opts){ 0 };
	if (text[0] != '{')
		return parse_keyval(text, implied, opts, err);
	r = json_load_text(text, strlen(text), 0, &object, &problem);
	if (r == -ENOMEM)
		return err_set(err, r, "no memory for an option");
	if (!json_is_object(object))
		r = err_set(err, -EBADMSG, "an option that is not JSON: %s", problem.text);
	else
		r = add_json(opts, "", object, 0, err);
	json_decref(object);
	return r;
}

void qemu_opts_free(struct qemu_opts *opts)
{
	for (size_t i = 0; i < opts->pairs.n; i++) {
		free(opts->pairs.v[i].key);
		free(opts->pairs.v[i].value);
	}
	vec_free(&opts->pairs);
}

const char *qemu_opts_get(const struct qemu_opts *opts, const char *key)
{
	for (size_t i = opts->pairs.n; i-- > 0;)
		if (!strcmp(opts->pairs.v[i].key, key))
			return opts->pairs.v[i].value;
	return NULL;
}

bool qemu_opts_on(const struct qemu_opts *opts, const char *key)
{
	const char *value = qemu_opts_get(opts, key);

	return value && (!strcmp(value, "on") || !strcmp(value, "yes") ||
			 !strcmp(value, "true") || !strcmp(value, "y"));
}

/* The unit that a suffix stands for; 0: none. */
static uint64_t suffix_unit(char c)
{
	static const char suffixes[] = "bkmgtpe";
	const char *found = c ? strchr(suffixes, tolower((unsigned char)c)) : NULL;

	return found ? 1ull << (10 * (found - suffixes)) : 0;
}

int qemu_size(const char *text, uint64_t unit, uint64_t *ret)
{
	uint64_t whole, fraction = 0, scale = 1, sum;
	bool hex = text[0] == '0' && tolower((unsigned char)text[1]) == 'x';
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EBADMSG;
	errno = 0;
	whole = strtoull(text, &end, hex ? 16 : 10);
	if (errno)
		return -EBADMSG;
	if (*end == '.' && !hex) {
		/* Nine digits are exact enough for anything that somebody types. */
		for (end++; isdigit((unsigned char)*end); end++) {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*end - '0');
				scale *= 10;
			}
		}
	}
	if (suffix_unit(*end))
		unit = suffix_unit(*end++);
	if (*end || __builtin_mul_overflow(whole, unit, &sum))
		return -EBADMSG;
	fraction = (uint64_t)((unsigned __int128)fraction * unit / scale);
	if (__builtin_add_overflow(sum, fraction, &sum) || sum > INT64_MAX)
		return -EBADMSG;
	*ret = sum;
	return 0;
}
