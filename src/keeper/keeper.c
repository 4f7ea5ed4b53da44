/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "keeper/page_digests.h"

struct keeper {
	struct builds builds;
	struct keeper_agent agent;
	struct page_digests pages;
};

const char *keeper_state_name(enum keeper_state state)
{
	static const char *const names[] = {
		"absent", "starting", "trusted", "stalled", "tampered", "replaced", "gone",
	};

	return names[state];
}

int keeper_open(struct builds *builds, struct keeper **ret, struct err *err)
{
	struct keeper *keeper;

	if (!builds->all.n)
		return err_set(err, -EINVAL, "no copy of the agent");
	keeper = calloc(1, sizeof(*keeper));
	if (!keeper)
		return err_set(err, -ENOMEM, "no memory for a keeper");
	keeper->builds = *builds;
	*builds = (struct builds){0};
	*ret = keeper;
	return 0;
}

void keeper_close(struct keeper **keeper)
{
	if (!*keeper)
		return;
	builds_free(&(*keeper)->builds);
	vec_free(&(*keeper)->agent.problems);
	page_digests_free(&(*keeper)->pages);
	free(*keeper);
	*keeper = NULL;
}

int keeper_look(struct keeper *keeper, const struct kernel *kernel, struct view *view,
		struct err *err)
{
	(void)keeper;
	(void)kernel;
	(void)view;
	(void)err;
	return 0;
}

const struct keeper_agent *keeper_agent(const struct keeper *keeper)
{
	return &keeper->agent;
}

const struct measured *keeper_measured(const struct keeper *keeper)
{
	(void)keeper;
	return NULL;
}

struct page_digests *keeper_pages(struct keeper *keeper)
{
	return &keeper->pages;
}

const struct inside *keeper_inside(const struct keeper *keeper)
{
	(void)keeper;
	return NULL;
}

int keeper_remember(const struct keeper *keeper, struct blob *ret, struct err *err)
{
	(void)keeper;
	(void)err;
	*ret = (struct blob){0};
	return 0;
}

int keeper_recall(struct keeper *keeper, const void *data, size_t size, struct err *err)
{
	(void)keeper;
	(void)data;
	(void)size;
	(void)err;
	return 0;
}
