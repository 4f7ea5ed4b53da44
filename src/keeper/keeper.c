/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "keeper/follow.h"
#include "keeper/page_digests.h"
#include "keeper/patience.h"
#include "keeper/since.h"
#include "keeper/will.h"
#include "linux/clock.h"

/*
 * An agent that has work to do may miss some beats; one that misses these does not run. The
 * guest's clock is as old as its last tick, so a heart may beat a little ahead of it.
 */
#define BEATS_MAX	5u
#define BEAT_MIN_NS	15000000000ull	/* the host may keep a guest from running that long */
#define AHEAD_MAX_NS	10000000000ull
#define NS_PER_S	1000000000u
#define START_MAX_NS	600000000000ull	/* it measures what runs: some 1,000 files */

struct keeper {
	struct builds builds;
	struct keeper_agent agent;
	struct page_digests pages;
	struct patience patience;

	/* What the last look was of. */
	const struct kernel *kernel;
	uint64_t refreshes;
	bool looked;
	int result;			/* of it, and why it failed … */
	struct err why;
	uint64_t fuel;			/* … with so much of it */

	struct memory memory;		/* the agent that is followed */
	struct succession succession;	/* how it came that it is another than before */
	struct follow follow;
	struct measured measured;
	bool believed;			/* the log, as of the last look */
	struct inside inside;
	struct since since, marks;
};

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
	measured_free(&(*keeper)->measured);
	inside_free(&(*keeper)->inside);
	since_free(&(*keeper)->since);
	since_free(&(*keeper)->marks);
	vec_free(&(*keeper)->agent.problems);
	page_digests_free(&(*keeper)->pages);
	patience_free(&(*keeper)->patience);
	free(*keeper);
	*keeper = NULL;
}

const struct keeper_agent *keeper_agent(const struct keeper *keeper)
{
	return &keeper->agent;
}

const struct measured *keeper_measured(const struct keeper *keeper)
{
	return keeper->believed ? &keeper->measured : NULL;
}

struct page_digests *keeper_pages(struct keeper *keeper)
{
	return &keeper->pages;
}

struct patience *keeper_patience(struct keeper *keeper)
{
	return &keeper->patience;
}

const struct inside *keeper_inside(const struct keeper *keeper)
{
	return keeper->believed && keeper->inside.head.sequence ? &keeper->inside : NULL;
}

struct since *keeper_since(struct keeper *keeper)
{
	return &keeper->since;
}

/* --- what the parts of a look tell --- */

void look_vtell(struct look *look, const struct told *told, const char *fmt, va_list ap)
{
	struct keeper_problem *slot;

	for (size_t i = 0; i < look->agent->problems.n; i++)
		if (look->agent->problems.v[i].topic == told->topic &&
		    !strcmp(look->agent->problems.v[i].object, told->object))
			return;
	slot = look->agent->problems.n == AGENT_PROBLEMS_MAX ? NULL :
	       vec_add(&look->agent->problems);
	if (!slot) {
		look_unseen(look, told->topic, "more is wrong than can be told");
		return;
	}
	*slot = (struct keeper_problem){
		.topic = told->topic, .weight = told->weight, .at = told->at,
	};
	snprintf(slot->object, sizeof(slot->object), "%s", told->object);
	snprintf(slot->title, sizeof(slot->title), "%s", told->title);
	snprintf(slot->what, sizeof(slot->what), "%s", told->what ? told->what : told->object);
	snprintf(slot->expected, sizeof(slot->expected), "%s", told->expected);
	vsnprintf(slot->found, sizeof(slot->found), fmt, ap);
}

void look_tell(struct look *look, const struct told *told, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	look_vtell(look, told, fmt, ap);
	va_end(ap);
}

void look_unseen(struct look *look, enum keeper_topic topic, const char *fmt, ...)
{
	char *text = look->agent->unseen[topic];
	va_list ap;

	if (*text)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(look->agent->unseen[topic]), fmt, ap);
	va_end(ap);
}

int look_partial(struct look *look, enum keeper_topic topic, int r, const struct err *err)
{
	if (r >= 0)
		return 0;
	if (r != -EFAULT && r != -EBADMSG && r != -ESTALE)
		return r;
	look_unseen(look, topic, "%s", err && err->code ? err->text : strerror(-r));
	return view_burn(look->view, 1, NULL);
}

bool look_has(const struct look *look, enum keeper_topic topic)
{
	for (size_t i = 0; i < look->agent->problems.n; i++)
		if (look->agent->problems.v[i].topic == topic)
			return true;
	return false;
}

/* --- who is it? --- */

static bool is_memory(const struct memory *memory, const struct task *task)
{
	return memory->there && memory->pid == task->pid && memory->start_ns == task->start_ns;
}

static const struct build *build_by_id(const struct keeper *keeper, const char *id)
{
	for (size_t i = 0; i < keeper->builds.all.n; i++)
		if (!strcmp(keeper->builds.all.v[i]->id, id))
			return keeper->builds.all.v[i];
	return NULL;
}

const struct build *keeper_build(const struct keeper *keeper)
{
	return build_by_id(keeper, keeper->agent.build_id);
}

static void tell_presence(struct look *look, enum keeper_weight weight, gva at, const char *object,
			  const char *title, const char *expected, const char *found)
{
	const struct told told = {
		.topic = KEEPER_PRESENCE, .weight = weight, .at = at,
		.object = object, .title = title, .expected = expected,
	};

	look_tell(look, &told, "%s", found);
}

static void tell_process(struct look *look, const struct task *task, const char *kind,
			 const char *title, const char *expected)
{
	char object[64], found[128];

	snprintf(object, sizeof(object), "%s %d", kind, task->pid);
	snprintf(found, sizeof(found), "PID %d, parent %d, '%s', UID %u", task->pid, task->ppid,
		 task->comm, task->euid);
	tell_presence(look, KEEPER_HIGH, task->at, object, title, expected, found);
}

/* Is the claim's code all right, without telling of it? */
static int is_sound(const struct look *look, const struct claim *claim, bool *ret,
		    struct err *err)
{
	cleanup(freep) struct keeper_agent *trial = calloc(1, sizeof(*trial));
	struct look other = *look;
	int r;

	if (!trial)
		return err_set(err, -ENOMEM, "no memory for a keeper");
	other.agent = trial;
	r = prove_code(&other, claim, err);
	*ret = !trial->problems.n && !*trial->unseen[KEEPER_CODE];
	vec_free(&trial->problems);
	return r;
}

/*
 * Of several that claim to be the agent: the one that is followed, else the first whose code is
 * right, else the first. The others are told.
 */
static int choose(struct keeper *keeper, struct look *look, const struct claims *claims,
		  const struct claim **ret, struct err *err)
{
	const struct claim *chosen = NULL, *first = NULL;
	size_t running = 0;
	bool sound = false;
	int r = 0;

	for (size_t i = 0; i < claims->all.n; i++) {
		const struct claim *claim = &claims->all.v[i];

		if (!claim->runs)
			continue;
		running++;
		first = first ? first : claim;
		if (is_memory(&keeper->memory, &claim->task))
			chosen = claim;
	}
	for (size_t i = 0; running > 1 && i < claims->all.n && r >= 0; i++) {
		const struct claim *claim = &claims->all.v[i];

		if (!claim->runs || claim == chosen)
			continue;
		r = is_sound(look, claim, &sound, err);
		if (r >= 0 && sound && !chosen)
			chosen = claim;
		else if (r >= 0)
			tell_process(look, &claim->task, sound ? "second agent" : "look-alike",
				     sound ? "Second agent" : "Process looks like the agent, "
							      "and is not",
				     sound ? "one agent" : "the agent's code");
	}
	*ret = chosen ? chosen : first;
	return r;
}

/* --- its heart --- */

static void tell_heart(struct look *look, const struct claim *claim,
		       enum keeper_weight weight, const char *title, const char *fmt, ...)
	printf_like(5, 6);

static void tell_heart(struct look *look, const struct claim *claim,
		       enum keeper_weight weight, const char *title, const char *fmt, ...)
{
	const struct told told = {
		.topic = KEEPER_ALIVE, .weight = weight, .at = claim->task.at,
		.object = "heartbeat", .title = title, .expected = "once a period",
	};
	va_list ap;

	va_start(ap, fmt);
	look_vtell(look, &told, fmt, ap);
	va_end(ap);
}

static int look_heart(struct look *look, const struct claim *claim,
		      const struct agent_anchor *anchor, struct err *err)
{
	uint64_t now, limit = BEATS_MAX * anchor->period_ms * 1000000ull;
	int r;

	if (limit < BEAT_MIN_NS)
		limit = BEAT_MIN_NS;
	r = clock_boot_now(look->kernel, look->view, &now, err);
	if (r < 0)
		return look_partial(look, KEEPER_ALIVE, r, err);
	if (anchor->heartbeat_ns > now && anchor->heartbeat_ns - now > AHEAD_MAX_NS)
		tell_heart(look, claim, KEEPER_HIGH, "Agent's heartbeat is of the future",
			   "%" PRIu64 " ms ahead", (anchor->heartbeat_ns - now) / 1000000);
	else if (anchor->started_ns > now && anchor->started_ns - now > AHEAD_MAX_NS)
		tell_heart(look, claim, KEEPER_HIGH, "Agent's start is of the future",
			   "%" PRIu64 " ms ahead", (anchor->started_ns - now) / 1000000);
	else if (now > anchor->heartbeat_ns && now - anchor->heartbeat_ns > limit)
		tell_heart(look, claim, KEEPER_MEDIUM, "Agent's heart does not beat",
			   "the last one %" PRIu64 " ms ago, period %u ms",
			   (now - anchor->heartbeat_ns) / 1000000, anchor->period_ms);
	else if (anchor->state == AGENT_STARTING && now > anchor->started_ns &&
		 now - anchor->started_ns > START_MAX_NS)
		tell_heart(look, claim, KEEPER_MEDIUM, "Agent does not get through its start",
			   "it began %" PRIu64 " s ago",
			   (now - anchor->started_ns) / 1000000000);
	return 0;
}

/* --- one look --- */

/* A proved agent is the one to follow from now on. */
static void adopt(struct keeper *keeper, const struct claim *claim)
{
	struct memory *memory = &keeper->memory;

	if (!is_memory(memory, &claim->task)) {
		if (memory->there)
			succession_begin(&keeper->succession, memory, claim->task.start_ns);
		keeper->follow = (struct follow){0};
		measured_restart(&keeper->measured);
		inside_free(&keeper->inside);
		*memory = (struct memory){0};
	}
	memory->there = true;
	snprintf(memory->build_id, sizeof(memory->build_id), "%s", claim->build->id);
	memory->pid = claim->task.pid;
	memory->start_ns = claim->task.start_ns;
	memory->bias = claim->bias;
}

/* What is not in the log stays unseen, look after look. */
static void look_incomplete(struct look *look, const struct measured *measured)
{
	if (measured->full)
		look_unseen(look, KEEPER_LOG, "the agent's log is full since %" PRIu64 " s after "
			    "the guest's boot: what ran later was not measured",
			    measured->full_ns / NS_PER_S);
	if (measured->partial)
		look_unseen(look, KEEPER_LOG, "the agent's log has more files than are kept");
}

/* What the next one has to be compared with, and what this one says of the one before. */
static void take_note(struct keeper *keeper, const struct agent_anchor *anchor)
{
	const struct follow *follow = &keeper->follow;
	uint64_t seen = anchor->heartbeat_ns;

	keeper->memory.began_ns = follow->started_ns;
	keeper->memory.seen_ns = follow->reached_ns > seen ? follow->reached_ns : seen;
	succession_settle(&keeper->succession, follow, anchor->state != AGENT_STARTING);
}

/* Its log, and what it says of the guest: for those whose code was proved. */
static int look_inside(struct keeper *keeper, struct look *look, const struct claim *claim,
		       const struct agent_anchor *anchor, struct err *err)
{
	int r;

	adopt(keeper, claim);
	r = follow_log(look, claim, anchor, &keeper->follow, &keeper->measured, err);
	if (keeper->follow.joined && keeper->follow.mark.offset >= keeper->memory.mark.offset)
		keeper->memory.mark = keeper->follow.mark;
	look_incomplete(look, &keeper->measured);
	keeper->believed = !look_has(look, KEEPER_LOG) && keeper->follow.mark.sequence;
	if (keeper->believed)
		take_note(keeper, anchor);
	return r < 0 ? r : follow_inside(look, claim, anchor, &keeper->inside, err);
}

static int look_at(struct keeper *keeper, struct look *look, const struct claim *claim,
		   struct err *err)
{
	struct keeper_agent *agent = &keeper->agent;
	struct agent_anchor anchor = {0};
	bool proved;
	int r;

	agent->task = claim->task.at;
	agent->pid = claim->task.pid;
	agent->start_ns = claim->task.start_ns;
	snprintf(agent->build_id, sizeof(agent->build_id), "%s", claim->build->id);

	r = prove_code(look, claim, err);
	if (r >= 0)
		r = prove_alive(look, claim, err);
	if (r < 0)
		return r;
	proved = !look_has(look, KEEPER_CODE) && !*agent->unseen[KEEPER_CODE];
	r = follow_anchor(look, claim, &anchor, err);
	if (r == -EFAULT)
		r = look_partial(look, KEEPER_LOG, r, err);
	if (r || anchor.magic != AGENT_MAGIC)
		return r < 0 ? r : 0;
	agent->period_ms = anchor.period_ms;
	agent->heartbeat_ns = anchor.heartbeat_ns;
	agent->round_ns = anchor.round_ns;
	agent->complete_ns = anchor.complete_ns;
	agent->state = anchor.state == AGENT_STARTING ? KEEPER_STARTING : KEEPER_TRUSTED;
	r = look_heart(look, claim, &anchor, err);
	if (r >= 0)
		r = prove_watch(look, claim, &anchor, err);
	if (r >= 0 && proved)
		r = look_inside(keeper, look, claim, &anchor, err);
	return r;
}

/* There is none now. */
static int look_for_gone(struct keeper *keeper, struct look *look, struct err *err)
{
	const struct memory *memory = &keeper->memory;
	bool told = memory->mark.ended;
	char found[128];
	int r = 0;

	keeper->agent.state = memory->there ? KEEPER_GONE : KEEPER_ABSENT;
	if (!memory->there)
		return 0;
	if (!told) {
		r = will_find(look, memory, err);
		told = r > 0;
		/* What cannot be looked for is not there: that it is gone is so in any case. */
		r = r == -ELOOP || r == -ESRCH || r == -ENOMEM ? r : 0;
	}
	snprintf(keeper->agent.build_id, sizeof(keeper->agent.build_id), "%s", memory->build_id);
	snprintf(found, sizeof(found), "none; %s",
		 told ? "it said that it was told to end" :
		 memory->mark.full ? "its log was full, so it could not say that it would end" :
				     "it did not say that it would end");
	tell_presence(look, told || memory->mark.full ? KEEPER_MEDIUM : KEEPER_HIGH, gva_of(0),
		      "agent", told ? "Agent was stopped" : "Agent is gone",
		      "the agent that was there in this boot", found);
	return r;
}

/* Proved, and nothing wrong with it, whatever came before? What it writes just now is no matter. */
static bool is_well(const struct keeper *keeper, const struct look *look)
{
	for (enum keeper_topic topic = 0; topic < KEEPER_TOPICS; topic++)
		if (topic != KEEPER_PRESENCE && look_has(look, topic))
			return false;
	return keeper->agent.state == KEEPER_TRUSTED && !*keeper->agent.unseen[KEEPER_CODE];
}

/* By what was seen. */
static enum keeper_state judge(const struct keeper *keeper, const struct look *look)
{
	const struct keeper_agent *agent = &keeper->agent;

	if (!agent->pid)
		return agent->state;
	if (look_has(look, KEEPER_CODE) || look_has(look, KEEPER_LOG) ||
	    look_has(look, KEEPER_WATCH) || look_has(look, KEEPER_VIEW))
		return KEEPER_TAMPERED;
	if (succession_is_replaced(&keeper->succession))
		return KEEPER_REPLACED;
	return look_has(look, KEEPER_ALIVE) ? KEEPER_STALLED : agent->state;
}

/* Who is not seen whole is not trusted, if nothing worse is known of him. */
static enum keeper_state doubt(const struct keeper_agent *agent)
{
	bool is_well = agent->apparent == KEEPER_TRUSTED || agent->apparent == KEEPER_STARTING;

	for (int topic = 0; topic < KEEPER_TOPICS && is_well; topic++)
		if (topic != KEEPER_VIEW && *agent->unseen[topic])
			return KEEPER_STALLED;
	return agent->apparent;
}

static int look_all(struct keeper *keeper, struct look *look, struct err *err)
{
	const struct memory *memory = &keeper->memory;
	const struct claim *claim = NULL;
	struct claims claims = {0};
	int r;

	r = find_claims(look, memory->pid, memory->start_ns,
			build_by_id(keeper, memory->build_id), memory->bias, &claims, err);
	if (r >= 0)
		r = choose(keeper, look, &claims, &claim, err);
	for (size_t i = 0; i < claims.namesakes.n; i++)
		tell_process(look, &claims.namesakes.v[i], "look-alike",
			     "Process is called as the agent, and is not", "the agent's code");
	if (r >= 0 && claim)
		r = look_at(keeper, look, claim, err);
	else if (r >= 0)
		r = look_for_gone(keeper, look, err);
	if (r >= 0 && claim)
		succession_tell(&keeper->succession, look, is_well(keeper, look),
				keeper->agent.heartbeat_ns);
	claims_free(&claims);
	return r;
}

int keeper_look(struct keeper *keeper, const struct kernel *kernel, struct view *view,
		struct err *err)
{
	struct keeper_agent *agent = &keeper->agent;
	struct look look = {
		.kernel = kernel, .view = view, .builds = &keeper->builds, .agent = agent,
		.since = &keeper->marks,
	};
	uint64_t refreshes = view_stats(view).refreshes;
	int r;

	/* What failed fails again, unless it can be looked at for longer. */
	if (keeper->looked && keeper->kernel == kernel && keeper->refreshes == refreshes &&
	    (keeper->result >= 0 || view_fuel(view) <= keeper->fuel)) {
		if (keeper->result < 0 && err)
			*err = keeper->why;
		return keeper->result;
	}
	vec_free(&agent->problems);
	*agent = (struct keeper_agent){0};
	keeper->believed = false;
	keeper->kernel = kernel;
	keeper->refreshes = refreshes;
	keeper->looked = true;
	keeper->fuel = view_fuel(view);
	keeper->why = (struct err){0};
	r = look_all(keeper, &look, &keeper->why);
	keeper->result = r;
	if (r < 0 && err)
		*err = keeper->why;
	if (r < 0)
		look_unseen(&look, KEEPER_PRESENCE, "the agent was not looked at to the end");
	agent->apparent = judge(keeper, &look);
	agent->state = doubt(agent);
	agent->log_records = keeper->memory.mark.sequence;
	agent->log_bytes = keeper->memory.mark.offset;
	memcpy(agent->log_digest, keeper->memory.mark.chain, AGENT_DIGEST_BYTES);
	return r;
}

/* --- over runs of hvsm --- */

#define PACKED_MAGIC	0x334d4b48u	/* "HKM3" */

struct packed {
	uint32_t magic, reserved;
	struct memory memory;
	struct succession succession;
};

int keeper_remember(const struct keeper *keeper, struct blob *ret, struct err *err)
{
	struct packed *packed;

	*ret = (struct blob){0};
	if (!keeper->memory.there)
		return 0;
	packed = calloc(1, sizeof(*packed));
	if (!packed)
		return err_set(err, -ENOMEM, "no memory for what is known of the agent");
	packed->magic = PACKED_MAGIC;
	packed->memory = keeper->memory;
	packed->succession = keeper->succession;
	*ret = (struct blob){ (uint8_t *)packed, sizeof(*packed) };
	if (patience_save(&keeper->patience, ret) < 0) {
		blob_free(ret);
		return err_set(err, -ENOMEM, "no memory for what is known of the agent");
	}
	return 0;
}

int keeper_recall(struct keeper *keeper, const void *data, size_t size, struct err *err)
{
	struct packed packed;
	struct memory *before = &packed.succession.before;

	if (size < sizeof(packed))
		return err_set(err, -EBADMSG, "what is known of the agent is of another hvsm");
	memcpy(&packed, data, sizeof(packed));
	packed.memory.build_id[sizeof(packed.memory.build_id) - 1] = '\0';
	before->build_id[sizeof(before->build_id) - 1] = '\0';
	if (packed.magic != PACKED_MAGIC || !packed.memory.there)
		return err_set(err, -EBADMSG, "what is known of the agent is of another hvsm");
	keeper->memory = packed.memory;
	keeper->succession = packed.succession;
	keeper->follow = (struct follow){ .before = packed.memory.mark };
	if (patience_load(&keeper->patience, (const uint8_t *)data + sizeof(packed),
			  size - sizeof(packed)) < 0)
		return err_set(err, -EBADMSG, "what is known of the agent is of another hvsm");
	return 0;
}
