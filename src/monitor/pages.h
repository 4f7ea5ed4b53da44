/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PAGES_H
#define HVSM_MONITOR_PAGES_H

#include "monitor/channel.h"
#include "ram/served.h"

/*
 * The starter's side of NEED_MEMORY (need.h): the scanner of a guest that is served
 * (ram/served.h) says which frames it wants to look at. What it asks is hostile: it reaches RAM
 * of its one guest, which it may read anyhow, and only so often for each thing that it has to do.
 */
struct pages {
	struct ram *ram;	/* the caller's; NULL: the guest was handed over */
	uint64_t asked;		/* since it was last given something to do */
	uint64_t cpu_ns;	/* spent on answers */
};

/* @ram is handed over. Where it is served, it must outlive the scanner. */
void pages_lend(struct pages *pages, struct ram *ram);

/* The scanner has something new to do. */
void pages_renew(struct pages *pages);

/**
 * pages_answer - answer one MSG_NEED_MEMORY
 * That the guest is gone is an answer.
 *
 * Return: 0, -EPROTO (what cannot be asked, or too often), or as channel_send().
 */
nodiscard int pages_answer(struct pages *pages, struct channel *channel,
			   struct message *question, struct err *err);

#endif
