/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reactions, seen from the parent. Control asks for them, and it reads what guests wrote: so what
 * is carried out says the configuration, of which control names a part, and nothing else.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "monitor/journal.h"
#include "monitor/parent.h"
#include "monitor/sealed.h"

static const char *name_of(const struct parent *parent, const char *key)
{
	for (size_t i = 0; i < parent->fleet.guests.n; i++)
		if (!strcmp(parent->fleet.guests.v[i]->key, key))
			return parent->fleet.guests.v[i]->name;
	return key;
}

static void tell_control(struct parent *parent, const struct link_audit *audit)
{
	struct err err = { 0 };

	if (!parent->control_ready)
		return;
	parent_control_told(parent, link_send_audit(&parent->link, audit, &err), "a reaction",
			    &err);
}

static int priority_of(const struct link_audit *audit)
{
	bool log = !strcmp(audit->kind, reaction_kind_name(REACTION_LOG));

	return audit_is_undone(audit->outcome) || log ? LOG_WARNING : LOG_NOTICE;
}

/* The journal has it before anything is done, whether or not control is there. */
static void record(struct parent *parent, const struct link_audit *audit)
{
	const char *about = parent->reacting_to;

	journal(priority_of(audit), "reaction %s (%s) for %s: %s%s%s%s%s%s%s", audit->reaction,
		audit->kind, name_of(parent, audit->guest), audit_outcome_name(audit->outcome),
		*audit->finding ? ", finding " : "", audit->finding, about ? ": " : "",
		about ? about : "", *audit->text ? ": " : "", audit->text);
	tell_control(parent, audit);
}

static void on_audit(const struct audit *audit, void *ctx)
{
	struct parent *parent = ctx;
	const struct link_audit told = {
		.time_ns = audit->time_ns, .duration_ns = audit->duration_ns, .told = true,
		.outcome = audit->outcome, .guest = audit->guest, .reaction = audit->reaction,
		.kind = reaction_kind_name(audit->kind), .finding = audit->finding,
		.text = audit->text,
	};

	parent->reaction_audited = true;
	record(parent, &told);
}

static int on_reactor(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;

	(void)fd;
	(void)events;
	(void)err;
	reactor_dispatch(parent->reactor);
	return 0;
}

int parent_reaction_start(struct parent *parent, struct err *err)
{
	int r = reactor_create(on_audit, parent, parent->config->libvirt, &parent->reactor, err);

	return r < 0 ? r : loop_add(&parent->loop, reactor_fd(parent->reactor), EPOLLIN, on_reactor,
				    parent, err);
}

void parent_reaction_apply(struct parent *parent)
{
	if (parent->reactor && reactor_libvirt(parent->reactor, parent->config->libvirt) < 0)
		parent_incident(parent, 0, "reactions go through the libvirt of before: no memory");
}

void parent_reaction_stop(struct parent *parent)
{
	if (!parent->reactor)
		return;
	loop_remove(&parent->loop, reactor_fd(parent->reactor));
	reactor_free(&parent->reactor);
}

/* Control may know another configuration, for a moment; or be somebody else's. */
static void refuse(struct parent *parent, const struct link_react *react, const char *key)
{
	const struct link_audit audit = {
		.time_ns = now_ns(CLOCK_REALTIME), .told = true, .outcome = AUDIT_FAILED,
		.guest = key, .reaction = react->reaction, .kind = "none",
		.finding = react->finding,
		.text = "the configuration has no such reaction for this guest",
	};

	record(parent, &audit);
}

/* A domain goes by its number, as in its target: "xen:7". 0: it is none. */
static uint16_t domain_of(const struct fleet_guest *guest)
{
	return guest->xen ? (uint16_t)strtoul(guest->target + strlen("xen:"), NULL, 10) : 0;
}

static void submit(struct parent *parent, const struct fleet_guest *guest,
		   const struct config_reaction *reaction, enum config_mode mode,
		   const struct link_react *react, const char *message)
{
	const struct reaction_guest whom = {
		.key = guest->key, .pid = guest->pid, .domain = domain_of(guest),
		.uuid = guest->uuid,
	};
	struct link_audit audit = {
		.guest = guest->key, .reaction = reaction->name,
		.kind = reaction_kind_name(reaction->kind), .finding = react->finding, .text = "",
	};

	parent->reaction_audited = false;
	parent->reacting_to = react->about;
	audit.outcome = reactor_submit(parent->reactor, reaction, &whom, mode, react->finding,
				       message);
	parent->reacting_to = NULL;
	/* That its rate is used up is recorded once; that it was not done is told each time. */
	if (!parent->reaction_audited)
		tell_control(parent, &audit);
}

/* One line, terminated; free(). NULL: it is none. */
static char *message_of(int fd, struct err *err)
{
	cleanup(sealed_unmap) struct sealed bytes = { 0 };
	char *text;

	if (sealed_map(fd, REACTION_MESSAGE_MAX, &bytes, err) < 0)
		return NULL;
	text = strndup(bytes.size ? (const char *)bytes.data : "", bytes.size);
	if (!text)
		err_set(err, -ENOMEM, "no memory for a reaction");
	else if (strlen(text) != bytes.size || strpbrk(text, "\r\n"))
		err_set(err, -EPROTO, "a reaction's message that is not a line");
	else
		return text;
	free(text);
	return NULL;
}

int parent_on_react(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	const struct config_reaction *reaction;
	const struct fleet_guest *guest;
	struct guest_config settings;
	cleanup(freep) char *text = NULL;
	struct link_react react;
	int r = link_read_react(message, &react, err);

	(void)channel;
	if (r < 0)
		return r;
	text = message_of(message->fds[0], err);
	if (!text)
		return err->code;
	guest = fleet_by_number(&parent->fleet, react.guest);
	/* It went meanwhile. */
	if (!guest)
		return 0;
	r = config_guest(parent->config, guest->name, guest->uuid, &settings);
	if (r < 0)
		return r;
	reaction = settings.watch && texts_have(settings.reactions, react.reaction) ?
			   config_reaction(parent->config, react.reaction) : NULL;
	if (reaction)
		submit(parent, guest, reaction, settings.mode, &react, text);
	else
		refuse(parent, &react, guest->key);
	guest_config_free(&settings);
	return 0;
}
