/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_MATERIAL_H
#define HVSM_MONITOR_MATERIAL_H

#include "base/loop.h"
#include "monitor/broker.h"
#include "monitor/config.h"
#include "monitor/finder.h"
#include "monitor/fleet.h"
#include "monitor/session.h"

/*
 * What there is to compare the guests of a host with, for their scanners: kernels as shipped,
 * which guests of one build share, records of each guest's boot, the agents, known programs.
 *
 * A kernel is looked for by a process (finder.h), and its symbols and types are unpacked by another
 * (session_prepare()), each once for all guests for which the same is asked.
 */
enum material_state { MATERIAL_FINDING, MATERIAL_PREPARING, MATERIAL_READY };

struct material_kernel {
	struct blob request;		/* finder_request(): who asks the same shares it */
	char build_id[41];
	enum material_state state;
	struct reference *reference;	/* without its kernel; NULL: there is none, or not yet */
	char remarks[FINDER_REMARKS][FINDER_REMARK_BYTES];	/* for a person; "": none */
	struct broker_files files;
	unsigned users;

	struct finder finder;		/* until the reference was found … */
	struct session preparing;	/* … and who makes files.profile, then */
	int fd;				/* of the channel that the loop waits for; -1 */
	uint64_t started;		/* its state, or to be unused; CLOCK_MONOTONIC */
	struct material_store *store;
};

struct material_store {
	VEC(struct material_kernel *) kernels;
	VEC(struct spawned) leaving;	/* that were killed, and are to be reaped */
	struct loop *loop;
	void (*prepared)(void *ctx);	/* a guest may be material_is_ready() now */
	void *ctx;
};

void material_store_free(struct material_store *store);

/*
 * What takes too long is ended: guests have no reference then, or each scanner unpacks symbols for
 * itself. To be called now and then.
 */
void material_store_tend(struct material_store *store, uint64_t now);

/* … one guest. */
struct material {
	struct baseline *baseline;
	struct trust *trust;
	struct material_store *store;
	struct material_kernel *kernel;
};

/**
 * material_open - find it
 * @kernel: release, build_id, boot and text of the guest's, as its scanner says
 * @said:   told what is not used, and why
 *
 * That there is nothing is no error. What is slow is begun: see material_is_ready().
 * Return: 0, -ENOMEM, or another errno.
 */
nodiscard int material_open(struct material_store *store, const struct config *config,
			    const struct fleet_guest *guest, const struct kernel *kernel,
			    void (*said)(const char *text, void *ctx), void *ctx,
			    struct material *ret, struct err *err);

/* Is all there that will be? Else store->prepared() is called later. */
bool material_is_ready(const struct material *material);

/*
 * Once it is ready. What is @material's stays it.
 *
 * @said: told why there is no reference, or another one than was named
 */
void material_lend(const struct material *material, struct broker *broker,
		   void (*said)(const char *text, void *ctx), void *ctx);

void material_close(struct material *material);

#endif
