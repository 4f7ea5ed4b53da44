/* SPDX-License-Identifier: Apache-2.0 */

/* libvirt, seen from the parent: the process that talks to it, and what its words lead to. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/journal.h"
#include "monitor/libvirt.h"
#include "monitor/parent.h"

#define NS_PER_MS 1000000ull

/* libvirtd is asked again after 1 s, and then twice as late each time that it is not there. */
#define AGAIN_MS     1000u
#define AGAIN_MAX_MS 60000u

/* The host is looked at no more often, however much is told. */
#define LOOK_NS (50 * NS_PER_MS)

static void went(struct parent *parent, const char *why)
{
	struct parent_libvirt *libvirt = &parent->libvirt;
	uint64_t wait_ms = AGAIN_MS;

	loop_remove(&parent->loop, libvirt->channel.fd);
	channel_close(&libvirt->channel);
	spawn_kill(&libvirt->process);
	for (uint32_t i = 0; i < libvirt->failures && wait_ms < AGAIN_MAX_MS; i++)
		wait_ms *= 2;
	libvirt->failures++;
	libvirt->next = now_ns(CLOCK_MONOTONIC) +
			(wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS) * NS_PER_MS;
	/* Once: on many hosts there is none. */
	if (libvirt->connected)
		journal(LOG_NOTICE, "libvirt is gone: %s; guests are found without it", why);
	else if (strcmp(why, libvirt->why) != 0)
		journal(LOG_INFO, "libvirt is not asked: %s", why);
	snprintf(libvirt->why, sizeof(libvirt->why), "%s", libvirt->connected ? "" : why);
	libvirt->connected = false;
	for (size_t i = 0; i < parent->wards.n; i++)
		ward_hint(parent->wards.v[i], NULL, 0);
}

static int on_connected(struct channel *channel, struct message *message, void *ctx,
			struct err *err)
{
	struct parent *parent = ctx;

	(void)channel;
	(void)message;
	(void)err;
	journal(LOG_INFO, "libvirt tells what happens to its guests");
	parent->libvirt.connected = true;
	parent->libvirt.failures = 0;
	parent->libvirt.why[0] = '\0';
	return 0;
}

static int on_alive(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	(void)channel;
	(void)message;
	(void)ctx;
	(void)err;
	return 0;
}

/* The last word: on_message() reads the end next. */
static int on_failed(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	const char *text = bytes_text(&message->body);

	(void)channel;
	(void)ctx;
	return err_set(err, -ECONNREFUSED, "%.200s", text ? text : "?");
}

/* All that say so: a guest that migrates within the host is there twice for a while. */
static void hint(struct parent *parent, const struct libvirt_domain *domain)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < parent->wards.n; i++) {
		struct ward *ward = parent->wards.v[i];

		if (ward->guest->uuid && !strcasecmp(ward->guest->uuid, domain->uuid))
			ward_hint(ward, domain, now);
	}
}

static int on_domain(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct parent *parent = ctx;
	struct libvirt_domain domain;
	int r = libvirt_read_domain(message, &domain, err);
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	(void)channel;
	if (r < 0)
		return r;
	/* Its process may have ended before, or may be about to. */
	if (domain.what == DOMAIN_STOPPED)
		journal(LOG_INFO, "libvirt says of guest %s: %s", domain.uuid,
			libvirt_words(domain.what, domain.why));
	hint(parent, &domain);
	if (now - parent->libvirt.looked > LOOK_NS) {
		parent->libvirt.looked = now;
		parent_look(parent);
		if (domain.what != DOMAIN_STOPPED)
			hint(parent, &domain);
	}
	parent_work(parent);
	return 0;
}

static int on_message(int fd, uint32_t events, void *ctx, struct err *err)
{
	struct parent *parent = ctx;
	struct err why = { 0 };
	int r = channel_dispatch(&parent->libvirt.channel, parent, 0, &why);

	(void)fd;
	(void)events;
	(void)err;
	parent->libvirt.heard = now_ns(CLOCK_MONOTONIC);
	if (r == -EPIPE)
		went(parent, "its daemon closed the connection");
	else if (r < 0 && r != -ETIMEDOUT)
		went(parent, why.code ? why.text : strerror(-r));
	return 0;
}

static int start(struct parent *parent, struct err *err)
{
	static const struct libvirt_handlers handlers = {
		.connected = on_connected, .domain = on_domain, .alive = on_alive,
		.failed = on_failed,
	};
	struct parent_libvirt *libvirt = &parent->libvirt;
	const struct libvirt_setup setup = {
		.uid = parent->is_root ? parent->user.uid : LINK_SELF,
		.gid = parent->is_root ? parent->user.gid : LINK_SELF,
		.uri = parent->config->libvirt,
	};
	cleanup(fd_close) int ours = -1;
	cleanup(fd_close) int theirs = -1;
	int fds[2], r = channel_pair(fds, err);

	if (r < 0)
		return r;
	ours = fds[0];
	theirs = fds[1];
	free(libvirt->uri);
	libvirt->uri = strdup(setup.uri);
	if (!libvirt->uri)
		return err_set(err, -ENOMEM, "no memory for a URI");
	r = spawn_role(LIBVIRT_ROLE, NULL, theirs, &libvirt->process, err);
	if (r < 0)
		return r;
	libvirt_rules(&handlers, libvirt->rules);
	channel_init(&libvirt->channel, take_fd(&ours), ROLE_STARTER, ROLE_LIBVIRT, libvirt->rules,
		     LIBVIRT_RULES);
	libvirt->heard = now_ns(CLOCK_MONOTONIC);
	r = libvirt_send_setup(&libvirt->channel, &setup, err);
	if (r >= 0)
		r = loop_add(&parent->loop, libvirt->channel.fd, EPOLLIN, on_message, parent, err);
	return r;
}

/* To another one: that is no failure, and nothing is waited for. */
static void change(struct parent *parent)
{
	went(parent, "the configuration names another one");
	parent->libvirt.failures = 0;
	parent->libvirt.next = 0;
}

void parent_libvirt_tend(struct parent *parent)
{
	struct parent_libvirt *libvirt = &parent->libvirt;
	bool wanted = !parent->stopping && strcmp(parent->config->libvirt, LIBVIRT_NONE) != 0;
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct err err = { 0 };

	if (libvirt->process.pid > 0) {
		if (!wanted)
			went(parent, "the configuration does not want it");
		else if (strcmp(libvirt->uri, parent->config->libvirt) != 0)
			change(parent);
		else if (now - libvirt->heard > LIBVIRT_SILENT_MS * NS_PER_MS)
			went(parent, "it does not answer");
		return;
	}
	if (wanted && now >= libvirt->next && start(parent, &err) < 0)
		went(parent, err.text);
}

void parent_libvirt_stop(struct parent *parent)
{
	struct parent_libvirt *libvirt = &parent->libvirt;

	if (libvirt->channel.fd >= 0)
		loop_remove(&parent->loop, libvirt->channel.fd);
	channel_close(&libvirt->channel);
	spawn_kill(&libvirt->process);
	free(libvirt->uri);
	libvirt->uri = NULL;
}
