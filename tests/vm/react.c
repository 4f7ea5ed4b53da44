/* SPDX-License-Identifier: Apache-2.0 */

/*
 * react CONFIG PID UUID REACTION [URI]   carry out one reaction of a configuration at a guest, as
 *                                        the daemon does; what is audited goes to stdout.
 *                                        PID is "xen:ID" for a domain of Xen.
 *
 * For tests/vm/test_reaction.py. The status is 0 where it was done.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "monitor/reaction.h"

static void print(const struct audit *audit, void *ctx)
{
	printf("%s %s %s\n", audit_outcome_name(audit->outcome), audit->reaction, audit->text);
	*(enum audit_outcome *)ctx = audit->outcome;
}

int main(int argc, char **argv)
{
	cleanup(config_free) struct config *config = NULL;
	cleanup(reactor_free) struct reactor *reactor = NULL;
	enum audit_outcome last = AUDIT_FAILED;
	const struct config_reaction *reaction;
	struct reaction_guest guest;
	struct err err = {0};

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: react CONFIG PID UUID REACTION [URI]\n");
		return 2;
	}
	if (config_load(argv[1], &config, &err) < 0 ||
	    reactor_create(print, &last, argv[5], &reactor, &err) < 0) {
		fprintf(stderr, "react: %s\n", err.text);
		return 2;
	}
	guest = (struct reaction_guest){ .key = argv[3], .uuid = argv[3] };
	if (!strncmp(argv[2], "xen:", 4))
		guest.domain = (uint16_t)atoi(argv[2] + 4);
	else
		guest.pid = atoi(argv[2]);
	reaction = config_reaction(config, argv[4]);
	if (!reaction) {
		fprintf(stderr, "react: no reaction '%s'\n", argv[4]);
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	reactor_submit(reactor, reaction, &guest, config->mode, "", "{}");
	while (reactor_running(reactor)) {
		struct pollfd poller = { .fd = reactor_fd(reactor), .events = POLLIN };

		poll(&poller, 1, -1);
		reactor_dispatch(reactor);
	}
	return last == AUDIT_DONE ? 0 : 1;
}
