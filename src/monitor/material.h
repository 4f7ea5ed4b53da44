/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_MATERIAL_H
#define HVSM_MONITOR_MATERIAL_H

#include "monitor/broker.h"
#include "monitor/config.h"
#include "monitor/fleet.h"

/*
 * What there is to compare the guests of a host with, for their scanners: kernels as shipped,
 * which guests of one build share, records of each guest's boot, the agents, known programs.
 */
struct material_kernel {
	char sha256[65];		/* of the file that it was taken from; "": there is none */
	char build_id[41];
	struct broker_files files;
	unsigned users;
};

struct material_store {
	VEC(struct material_kernel *) kernels;
};

void material_store_free(struct material_store *store);

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

/* What is @material's stays it. */
void material_lend(const struct material *material, struct broker *broker);

void material_close(struct material *material);

#endif
