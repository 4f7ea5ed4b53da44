/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_MATERIAL_H
#define HVSM_MONITOR_MATERIAL_H

#include "base/loop.h"
#include "monitor/broker.h"
#include "monitor/config.h"
#include "monitor/fleet.h"
#include "monitor/session.h"

/*
 * What there is to compare the guests of a host with, for their scanners: kernels as shipped,
 * which guests of one build share, records of each guest's boot, the agents, known programs.
 */
struct material_kernel {
	char sha256[65];		/* of the file that it was taken from; "": there is none */
	char build_id[41];
	struct broker_files files;
	unsigned users;

	/* Who makes files.profile, until it is there, or will not be. */
	struct session preparing;
	int fd;				/* of its channel, as long as the loop waits for it; -1 */
	uint64_t started;		/* CLOCK_MONOTONIC */
	struct material_store *store;
};

struct material_store {
	VEC(struct material_kernel *) kernels;
	struct loop *loop;
	void (*prepared)(void *ctx);	/* a guest may be material_is_ready() now */
	void *ctx;
};

void material_store_free(struct material_store *store);

/* What takes too long is ended: each scanner does it for itself then. To be called now and then. */
void material_store_tend(struct material_store *store, uint64_t now);

/* … one guest. */
struct material {
	struct reference *reference;
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
 * That there is nothing is no error. Return: 0, -ENOMEM, or another errno.
 */
nodiscard int material_open(struct material_store *store, const struct config *config,
			    const struct fleet_guest *guest, const struct kernel *kernel,
			    void (*said)(const char *text, void *ctx), void *ctx,
			    struct material *ret, struct err *err);

/* Is all there that will be? Else store->prepared() is called later. */
bool material_is_ready(const struct material *material);

/* What is @material's stays it. */
void material_lend(const struct material *material, struct broker *broker);

void material_close(struct material *material);

#endif
