/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_LOOK_H
#define HVSM_KEEPER_LOOK_H

#include <stdarg.h>

#include "keeper/keeper.h"
#include "keeper/since.h"
#include "linux/task.h"
#include "linux/vma.h"

/* What the parts of the keeper share while they look: for them only, not for its callers. */
struct look {
	const struct kernel *kernel;
	struct view *view;
	const struct builds *builds;
	struct keeper_agent *agent;	/* receives what is found */
	struct since *since;		/* of what it does not watch */
};

/* A struct keeper_problem in the making: all of it but found. Its texts are copied. */
struct told {
	enum keeper_topic topic;
	enum keeper_weight weight;
	gva at;
	const char *object, *title, *expected;
	const char *what;	/* NULL: as @object */
};

/**
 * look_tell - something is not as it must be
 * @fmt: found, printf style
 *
 * Said once for each topic and object; beyond AGENT_PROBLEMS_MAX it is counted as unseen.
 */
void look_tell(struct look *look, const struct told *told, const char *fmt, ...)
	printf_like(3, 4);
void look_vtell(struct look *look, const struct told *told, const char *fmt, va_list ap)
	printf_like(3, 0);

/* Something could not be seen; the first of each topic is kept. */
void look_unseen(struct look *look, enum keeper_topic topic, const char *fmt, ...)
	printf_like(3, 4);

/**
 * look_partial - how one part went
 * Return: 0 (go on: it was fine, or what was missing is noted), or what must end the look.
 */
nodiscard int look_partial(struct look *look, enum keeper_topic topic, int r,
			   const struct err *err);

/* Has a problem of this topic been found? */
bool look_has(const struct look *look, enum keeper_topic topic);

/* A process that has an agent's program mapped, or parts of it. */
struct claim {
	struct task task;
	const struct build *build;
	uint64_t bias;		/* how far above its link addresses the program lies */
	bool by_id, by_code;	/* build ID, first page of code */
	bool runs;		/* its anchor says that it is an agent, and not one of its tools */
};

/* Start with {0}; free with claims_free(). */
struct claims {
	VEC(struct claim) all;
	VEC(struct task) namesakes;	/* called as the agent is, without its program */
};

/**
 * find_claims - look for agents among all processes
 * @known_pid, @known_ns: one that was an agent before is one that claims to be, whatever it has
 *                        mapped by now; 0: none was
 *
 * Return: 0, or what must end the look.
 */
nodiscard int find_claims(struct look *look, int32_t known_pid, uint64_t known_ns,
			  const struct build *known, uint64_t known_bias, struct claims *ret,
			  struct err *err);

void claims_free(struct claims *claims);

/**
 * prove_code - is the process's memory that of the agent, and of nothing else?
 * Tells problems of KEEPER_CODE. Return: 0, or what must end the look.
 */
nodiscard int prove_code(struct look *look, const struct claim *claim, struct err *err);

/* Does it run? Tells problems of KEEPER_ALIVE, but for its heartbeat; as prove_code(). */
nodiscard int prove_alive(struct look *look, const struct claim *claim, struct err *err);

/* Are its fanotify marks there? Tells problems of KEEPER_WATCH; as prove_code(). */
nodiscard int prove_watch(struct look *look, const struct claim *claim,
			  const struct agent_anchor *anchor, struct err *err);

#endif
