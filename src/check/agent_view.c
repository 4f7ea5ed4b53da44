/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "check/agent.h"
#include "keeper/inside.h"
#include "keeper/since.h"
#include "linux/module.h"
#include "linux/mount.h"
#include "linux/partial.h"
#include "linux/socket.h"
#include "linux/task_ns.h"

/*
 * What the agent sees from inside is compared with what is there from outside, both ways. The two
 * are never of one instant: what began before the inside view did, and is there after it ended,
 * must be in it. Modules, sockets and mounts do not say when they began, and nobody says when
 * something ended; so a difference counts where it outlasts two more inside views: the second of
 * them began after the difference was seen.
 *
 * A running guest is waited for, where there is something to wait for; an image has one view.
 */

#define VIEWS_AFTER	2u
#define WAIT_MAX_MS	10000u		/* periods are one second */
#define POLL_MS		100u

enum kind { PROCESS, MODULE, SOCKET, MOUNT, KINDS };

static const char *const kind_names[] = { "process", "module", "socket", "mount" };

/* Of one kind: those of the look before are watched as well, until a look ends. */
#define DIFFERENCES_MAX	(SINCE_MAX / (2 * KINDS))

struct difference {
	enum kind kind;
	char name[96];		/* "process 123" */
	char text[160];		/* guest text */
	gva at;
	bool inside;		/* only the inside has it */
	bool lasted;
	struct task task;	/* of a process that only the outside has */
};

struct compare {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct keeper_agent *agent;
	const struct inside *inside;
	struct since *since;
	struct partial partial;
	struct tasks tasks;
	VEC(struct difference) differences;
	uint64_t start;		/* inside view of the first look of this run */
	bool young;		/* some that it saw have not lasted yet */
	uint32_t n_of[KINDS];	/* differences */
	bool overflow[KINDS];	/* there were more of a kind, in any look of this run */
	uint64_t tasks_n, modules_n, sockets_n, mounts_n;
};

/*
 * @dated: it began before the view did, so that one view tells. A busy guest has many sockets that
 * differ for a moment: more of a kind than are watched end that kind, and not the others.
 */
static int differ(struct compare *compare, enum kind kind, uint64_t number, gva at, bool inside,
		  bool dated, const char *text)
{
	uint64_t first, sequence = compare->inside->head.sequence;
	struct difference *slot;
	int r;

	if (compare->n_of[kind] == DIFFERENCES_MAX) {
		compare->overflow[kind] = true;
		return 0;
	}
	compare->n_of[kind]++;
	slot = vec_add(&compare->differences);
	if (!slot)
		return -ENOMEM;
	*slot = (struct difference){ .kind = kind, .at = at, .inside = inside };
	if (number)
		snprintf(slot->name, sizeof(slot->name), "%llu", (unsigned long long)number);
	else
		snprintf(slot->name, sizeof(slot->name), "%s", text);
	snprintf(slot->text, sizeof(slot->text), "%s", text);

	char key[sizeof(slot->name) + 32];

	snprintf(key, sizeof(key), "%s %c %s", kind_names[kind], inside ? 'i' : 'o', slot->name);
	r = since_get(compare->since, key, sequence, &first);
	if (r < 0)
		return r;
	slot->lasted = sequence - first >= (dated ? 1 : VIEWS_AFTER) ||
		       (dated && !ram_is_live(view_ram(compare->view)));
	/* In a busy guest there is always something new: that is for the next sweep. */
	compare->young |= !slot->lasted && first <= compare->start;
	return 0;
}

/* --- tasks --- */

static int compare_tasks(struct compare *compare, struct err *err)
{
	const struct inside *inside = compare->inside;
	struct map outside = {0};
	size_t n;
	int r;

	r = task_list(compare->kernel, compare->view, &compare->tasks, err);
	for (size_t i = 0; r >= 0 && i < compare->tasks.n; i++) {
		const struct task *task = &compare->tasks.v[i];
		char text[96];

		compare->tasks_n++;
		r = map_put(&outside, (uint64_t)(uint32_t)task->pid, 1);
		if (r < 0 || task->partial || task->start_ns >= inside->head.begun_ns ||
		    inside_has_task(inside, task->pid) ||
		    !inside_has_all(inside, AGENT_ITEM_TASK))
			continue;
		snprintf(text, sizeof(text), "PID %d, '%s', UID %u", task->pid, task->comm,
			 task->euid);
		n = compare->differences.n;
		r = differ(compare, PROCESS, (uint64_t)task->pid, task->at, false, true, text);
		if (r >= 0 && compare->differences.n > n)
			compare->differences.v[n].task = *task;
	}
	for (size_t i = 0; r >= 0 && i < inside->items.n; i++) {
		const struct inside_item *item = &inside->items.v[i];
		char text[96];

		if (item->kind != AGENT_ITEM_TASK || !item->number ||
		    map_get(&outside, item->number, NULL))
			continue;
		snprintf(text, sizeof(text), "PID %llu", (unsigned long long)item->number);
		r = differ(compare, PROCESS, item->number, gva_of(0), true, false, text);
	}
	map_free(&outside);
	return r < 0 ? r : 0;
}

/* --- modules --- */

static bool is_text(const struct inside_item *item, const char *text)
{
	return strlen(text) == item->text_bytes && !memcmp(item->text, text, item->text_bytes);
}

static bool inside_has_module(const struct inside *inside, const char *name)
{
	for (size_t i = 0; i < inside->items.n; i++)
		if (inside->items.v[i].kind == AGENT_ITEM_MODULE &&
		    is_text(&inside->items.v[i], name))
			return true;
	return false;
}

static bool outside_has_module(const struct modules *modules, const struct inside_item *item)
{
	for (size_t i = 0; i < modules->list.n; i++)
		if (is_text(item, modules->list.v[i].name))
			return true;
	return false;
}

static int compare_modules(struct compare *compare, struct err *err)
{
	const struct inside *inside = compare->inside;
	struct modules modules = {0};
	int r = modules_read(compare->kernel, compare->view, MODULE_BY_LIST, &modules, err);

	for (size_t i = 0; r >= 0 && i < modules.list.n; i++) {
		const struct module_info *module = &modules.list.v[i];

		compare->modules_n++;
		if (module->state == MODULE_UNFORMED || inside_has_module(inside, module->name) ||
		    !inside_has_all(inside, AGENT_ITEM_MODULE))
			continue;
		r = differ(compare, MODULE, 0, module->at, false, false, module->name);
	}
	for (size_t i = 0; r >= 0 && i < inside->items.n; i++) {
		const struct inside_item *item = &inside->items.v[i];
		char name[MODULE_NAME_MAX];

		if (item->kind != AGENT_ITEM_MODULE || outside_has_module(&modules, item))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)item->text_bytes, item->text);
		r = differ(compare, MODULE, 0, gva_of(0), true, false, name);
	}
	modules_free(&modules);
	return r;
}

/* --- sockets --- */

static bool is_compared(const struct socket *socket, uint32_t net)
{
	return socket->inode && socket->listed && socket->net == net &&
	       (socket->kind == SOCKET_TCP || socket->kind == SOCKET_UDP ||
		socket->kind == SOCKET_UDPLITE || socket->kind == SOCKET_RAW ||
		socket->kind == SOCKET_PING);
}

static int compare_outer_sockets(struct compare *compare, const struct sockets *sockets,
				 uint32_t net, struct map *outside)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sockets->all.n; i++) {
		const struct socket *socket = &sockets->all.v[i];
		char text[160], local[64], remote[64];

		if (socket->inode)
			r = map_put(outside, socket->inode, 1);
		if (r < 0 || !is_compared(socket, net))
			continue;
		compare->sockets_n++;
		if (map_get(&compare->inside->sockets, socket->inode, NULL) ||
		    !inside_has_all(compare->inside, AGENT_ITEM_SOCKET))
			continue;
		snprintf(text, sizeof(text), "%s %s, %s to %s", socket_kind_name(socket),
			 socket_state_name(socket->state),
			 socket_print(socket, &socket->local, local, sizeof(local)),
			 socket_print(socket, &socket->remote, remote, sizeof(remote)));
		r = differ(compare, SOCKET, socket->inode, socket->at, false, false, text);
	}
	return r;
}

static int compare_sockets(struct compare *compare, uint32_t net, struct err *err)
{
	const struct inside *inside = compare->inside;
	struct sockets sockets = {0};
	struct map outside = {0};
	int r;

	r = socket_list(compare->kernel, compare->view, &compare->tasks, &sockets, err);
	if (r >= 0)
		r = compare_outer_sockets(compare, &sockets, net, &outside);
	for (size_t i = 0; r >= 0 && i < inside->items.n; i++) {
		const struct inside_item *item = &inside->items.v[i];
		char text[64];

		if (item->kind != AGENT_ITEM_SOCKET || !item->number ||
		    map_get(&outside, item->number, NULL))
			continue;
		snprintf(text, sizeof(text), "inode %llu", (unsigned long long)item->number);
		r = differ(compare, SOCKET, item->number, gva_of(0), true, false, text);
	}
	sockets_free(&sockets);
	map_free(&outside);
	return r < 0 ? r : 0;
}

/* --- mounts --- */

/*
 * The root of a namespace is not shown to those whose own root is mounted upon it, as that of an
 * initramfs is.
 */
static int compare_mounts(struct compare *compare, uint32_t ns, struct err *err)
{
	const struct inside *inside = compare->inside;
	struct mounts mounts = {0};
	struct map outside = {0};
	int r;

	r = mount_list(compare->kernel, compare->view, &compare->tasks, &mounts, err);
	for (size_t i = 0; r >= 0 && i < mounts.all.n; i++) {
		const struct mount *mount = &mounts.all.v[i];

		if (mount->ns != ns || !mount->id)
			continue;
		compare->mounts_n++;
		r = map_put(&outside, mount->id, 1);
		if (r < 0 || mount->id == mount->parent ||
		    map_get(&inside->mounts, mount->id, NULL) ||
		    !inside_has_all(inside, AGENT_ITEM_MOUNT))
			continue;
		r = differ(compare, MOUNT, mount->id, mount->at, false, false, mount->point);
	}
	for (size_t i = 0; r >= 0 && i < inside->items.n; i++) {
		const struct inside_item *item = &inside->items.v[i];
		char text[96];

		if (item->kind != AGENT_ITEM_MOUNT || !item->number ||
		    map_get(&outside, item->number, NULL))
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)(item->text_bytes < 90 ?
			 item->text_bytes : 90), item->text);
		r = differ(compare, MOUNT, item->number, gva_of(0), true, false, text);
	}
	mounts_free(&mounts);
	map_free(&outside);
	return r < 0 ? r : 0;
}

/* --- together --- */

static int compare_all(struct compare *compare, struct err *err)
{
	struct task first = { .at = compare->kernel->boot.first_task, .pid = 1 };
	struct task_ns ns = {0};
	int r;

	compare->tasks_n = compare->modules_n = compare->sockets_n = compare->mounts_n = 0;
	compare->differences.n = 0;
	memset(compare->n_of, 0, sizeof(compare->n_of));
	compare->young = false;
	since_begin(compare->since);
	r = partial_add(&compare->partial,
			task_namespaces(compare->kernel, compare->view, &first, &ns, err), err);
	if (r >= 0)
		r = partial_add(&compare->partial, compare_tasks(compare, err), err);
	if (r >= 0)
		r = partial_add(&compare->partial, compare_modules(compare, err), err);
	if (r >= 0)
		r = partial_add(&compare->partial, compare_sockets(compare, ns.net, err), err);
	if (r >= 0)
		r = partial_add(&compare->partial, compare_mounts(compare, ns.mnt, err), err);
	since_end(compare->since);
	tasks_free(&compare->tasks);
	return r;
}

static void report(struct compare *compare)
{
	for (size_t i = 0; i < compare->differences.n; i++) {
		const struct difference *difference = &compare->differences.v[i];
		const char *kind = kind_names[difference->kind];
		bool inside = difference->inside;
		struct finding *finding;

		if (!difference->lasted)
			continue;
		if (difference->task.pid)
			check_process(compare->run, &difference->task)->marks |=
				PROCESS_HIDDEN_INSIDE;
		finding = check_finding(compare->run, SEVERITY_HIGH, kind, difference->at,
					 "%s%s", difference->name,
					inside ? " inside" : "");
		finding_title(finding, "%c%s that only the %s sees", kind[0] - 32, kind + 1,
			      inside ? "inside" : "outside");
		finding_evidence(finding, "outside", difference->at, NULL, NULL,
				 inside ? "it is not there" : difference->text);
		finding_evidence(finding, "inside, as the agent sees it", gva_of(0), NULL,
				 inside ? NULL : "it is there",
				 inside ? difference->text : "it is not there");
	}
	for (int kind = 0; kind < KINDS; kind++)
		if (compare->overflow[kind])
			check_inconclusive(compare->run, "inside and outside differ in over %u of "
					   "one kind (%s), more than are watched",
					   DIFFERENCES_MAX, kind_names[kind]);
	check_covered(compare->run, "processes", compare->tasks_n);
	check_covered(compare->run, "modules", compare->modules_n);
	check_covered(compare->run, "sockets", compare->sockets_n);
	check_covered(compare->run, "mounts", compare->mounts_n);
}

/* May another inside view be expected? */
static bool goes_on(const struct compare *compare)
{
	enum keeper_state state = compare->agent->apparent;	/* a full log stops no views */

	return ram_is_live(view_ram(compare->view)) &&
	       (state == KEEPER_TRUSTED || state == KEEPER_STARTING || state == KEEPER_REPLACED);
}

/* Compare, and where something differs that may pass, wait for the next views and again. */
static int compare_long(struct compare *compare, struct err *err)
{
	uint32_t limit = 4 * compare->agent->period_ms, waited = 0;
	int r;

	if (limit > WAIT_MAX_MS)
		limit = WAIT_MAX_MS;
	for (;;) {
		uint64_t sequence = compare->inside->head.sequence;

		r = compare_all(compare, err);
		if (r < 0 || !compare->young || !goes_on(compare))
			return r;
		do {
			if (waited >= limit)
				return 0;
			usleep(POLL_MS * 1000);
			waited += POLL_MS;
			view_refresh(compare->view);
			r = agent_look(compare->run, &compare->agent, err);
			if (r < 0)
				return r;
			compare->inside = keeper_inside(check_keeper(compare->run));
			if (!compare->inside)
				return err_set(err, -ESTALE, "the inside view is gone");
		} while (compare->inside->head.sequence == sequence);
	}
}

static int agent_view_run(struct check_run *run, struct err *err)
{
	struct compare compare = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
		.partial = partial_of(check_view(run)),
	};
	int r = agent_topic(run, KEEPER_VIEW, &compare.agent, err);

	if (r < 0 || !compare.agent)
		return r;
	compare.inside = keeper_inside(check_keeper(run));
	compare.since = keeper_since(check_keeper(run));
	if (!compare.inside) {
		check_not_covered(run, "the agent has no inside view that can be believed");
		return 0;
	}
	compare.start = compare.inside->head.sequence;
	r = compare_long(&compare, err);
	report(&compare);
	if (compare.young && goes_on(&compare))
		check_inconclusive(run, "inside and outside differ, and it is not known for how "
				   "long: the agent made no new view");
	else if (compare.young)
		check_note(run, "what inside and outside differ in may have passed: there is one "
			   "view of one instant");
	if (compare.inside && compare.inside->head.missing)
		check_note(run, "the agent could not list all of what it sees");
	vec_free(&compare.differences);
	return partial_end(&compare.partial, r, err);
}

CHECK(agent_view,
	.id = "agent-view",
	.group = GROUP_AGENT,
	.title = "Inside and outside see different things",
	.proves = "Every process, module, internet socket and mount that is seen from outside is "
		  "seen from inside as well, and the reverse (docs/agent.md).",
	.techniques = TECHNIQUES("T1014", "T1564"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_view_run);
