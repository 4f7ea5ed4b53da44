/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pages.h"

#include <inttypes.h>

#include "base/limits.h"
#include "base/now.h"
#include "monitor/protocol.h"

/*
 * All of memory twice, frame by frame: the kernel is searched for in it, and a search over
 * memory with holes asks for some a second time. Then what the fuel of a job pays for. A guest
 * full of decoys may need more: that is refused. Who goes on asking then has lost its mind.
 */
static uint64_t asked_max(const struct ram *ram)
{
	return 2 * (ram_bytes(ram) >> GUEST_PAGE_SHIFT) + VIEW_FUEL_ATTACH + VIEW_FUEL_SWEEP;
}

void pages_lend(struct pages *pages, struct ram *ram)
{
	*pages = (struct pages){ .ram = ram_is_served(ram) ? ram : NULL };
}

void pages_renew(struct pages *pages)
{
	pages->asked = 0;
}

static int fetch(struct pages *pages, struct bytes *question, uint64_t *there, struct err *err)
{
	uint64_t started = now_ns(CLOCK_THREAD_CPUTIME_ID), first = bytes_u64(question);
	uint32_t n = bytes_u32(question);
	int r = bytes_at_end(question) ? ram_fetch(pages->ram, first, n, there, err) : -EINVAL;

	pages->cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - started;
	return r;
}

int pages_answer(struct pages *pages, struct channel *channel, struct message *question,
		 struct err *err)
{
	uint8_t room[512];
	struct writer w = writer_of(room, sizeof(room));
	struct err why = { 0 };
	uint64_t there = 0, most;
	int r;

	if (!pages->ram)
		return channel_violated(channel, err, "NEED_MEMORY of what it has");
	most = asked_max(pages->ram);
	if (++pages->asked > 2 * most)
		return channel_violated(channel, err, "NEED_MEMORY over %" PRIu64 " times",
					2 * most);
	r = pages->asked > most ? err_set(&why, -ELOOP, "memory was asked for %" PRIu64
					  " times", most) :
				  fetch(pages, &question->body, &there, &why);
	if (r == -EINVAL)
		return channel_violated(channel, err, "NEED_MEMORY where there is none");
	write_u32(&w, (uint32_t)r);
	write_text(&w, r < 0 ? why.text : NULL);
	if (r >= 0)
		write_u64(&w, there);
	/* It waits for each answer, so there is room for one; nobody waits for who does not. */
	r = channel_send_written(channel, MSG_ANSWER, &w, NULL, 0, 0, err);
	return r == -ETIMEDOUT ? channel_violated(channel, err, "NEED_MEMORY without reading "
						  "the answers") : r;
}
