/* SPDX-License-Identifier: Apache-2.0 */

/*
 * serve TARGET [CHECK ...]    scan a guest as if it could not be handed over: a scanner in its sandbox
 *                             asks for all that it reads (ram/served.h), as for a domain of Xen
 *
 * For tests/vm/test_serve.py. Prints {"report": …, "requests": …}, without a reference; the status is
 * 0 where there is a report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/protocol.h"
#include "monitor/scanner.h"
#include "monitor/session.h"
#include "ram/guests.h"
#include "ram/served.h"
#include "report/encode.h"

struct serving {
	struct ram ram;
	struct ram *guest;
};

static int fetch(struct ram *ram, uint64_t first, uint32_t n, uint8_t *to, uint64_t *there,
		 struct err *err)
{
	struct serving *serving = (struct serving *)ram;
	uint64_t found = 0;

	for (uint32_t i = 0; i < n; i++) {
		int r = ram_read(serving->guest, gpa_of((first + i) << GUEST_PAGE_SHIFT),
				 to + i * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, err);

		if (r < 0 && r != -EFAULT)
			return r;
		if (r == 0)
			found |= 1ull << i;
	}
	*there = found;
	return 0;
}

static int alive(struct ram *ram, struct err *err)
{
	return ram_alive(((struct serving *)ram)->guest, err);
}

static void close_nothing(struct ram *ram)
{
	(void)ram;
}

static const struct ram_ops ops = {
	.name = "serving", .fetch = fetch, .alive = alive, .close = close_nothing,
};

static void remark(const char *text)
{
	fprintf(stderr, "serve: %s\n", text);
}

static int scan(struct serving *serving, struct session *session, const struct guest *guest,
		char **ids, size_t n, struct err *err)
{
	const struct identity identity = {
		.name = guest->name, .uuid = guest->uuid, .target = guest->target,
		.hypervisor = guest->hypervisor,
	};
	int r = ram_set_ranges(&serving->ram, serving->guest->ranges, serving->guest->ranges_n, err);

	if (r >= 0)
		r = session_start(session, err);
	if (r >= 0)
		r = session_open(session, &serving->ram, &identity, err);
	if (r >= 0)
		r = session_wait(session, NEWS_READY, remark, err);
	if (r >= 0)
		r = session_grant(session, err);
	if (r >= 0)
		r = session_sweep(session, SWEEP_JSON, (const char *const *)ids, n, NULL, 0, err);
	return r < 0 ? r : session_wait(session, NEWS_REPORT, remark, err);
}

int main(int argc, char **argv)
{
	cleanup(ram_close) struct ram *guest_ram = NULL;
	cleanup(session_end) struct session session = SESSION_NONE;
	cleanup(guest_free) struct guest guest = { 0 };
	struct serving serving = { .ram.ops = &ops };
	struct ram *ram = &serving.ram;
	struct err err = { 0 };
	int r;

	if (spawn_role_of(argc, argv))
		return scanner_main(0);
	if (argc < 2) {
		fprintf(stderr, "usage: serve TARGET [CHECK ...]\n");
		return 2;
	}
	r = guests_resolve(argv[1], &guest, &guest_ram, &err);
	serving.guest = guest_ram;
	if (r >= 0)
		r = scan(&serving, &session, &guest, argv + 2, (size_t)argc - 2, &err);
	if (r >= 0)
		r = encode_print(json_pack("{s:O, s:I}", "report", session.report.json, "requests",
					   (json_int_t)session.pages.asked), stdout, &err);
	session_end(&session);
	ram_close(&ram);
	if (r < 0)
		fprintf(stderr, "serve: %s\n", err.code ? err.text : strerror(-r));
	return r < 0 ? 1 : 0;
}
