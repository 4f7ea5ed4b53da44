/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdbool.h>
#include <stdlib.h>

/* Into room that is large enough nothing has to grow. */
char *json_dump_text(const json_t *json, size_t flags)
{
	size_t n = json ? json_dumpb(json, NULL, 0, flags | JSON_COMPACT) : 0;
	char *text = n ? malloc(n + 1) : NULL;

	if (text && json_dumpb(json, text, n, flags | JSON_COMPACT) != n) {
		free(text);
		return NULL;
	}
	if (text)
		text[n] = '\0';
	return text;
}

static json_malloc_t allocate;
static bool starved;

static void *watched(size_t size)
{
	void *memory = allocate(size);

	starved |= !memory;
	return memory;
}

int json_load_text(const char *text, size_t n, size_t flags, json_t **ret, json_error_t *why)
{
	json_free_t release;
	json_t *json;

	json_get_alloc_funcs(&allocate, &release);
	json_set_alloc_funcs(watched, release);
	starved = false;
	json = json_loadb(text, n, flags, why);
	json_set_alloc_funcs(allocate, release);
	/* A document that lacks something is there all the same. */
	if (starved) {
		json_decref(json);
		return -ENOMEM;
	}
	if (!json)
		return -EBADMSG;
	*ret = json;
	return 0;
}
