/* SPDX-License-Identifier: Apache-2.0 */

/* The role: libvirt's library, its loop, and a channel to the parent. What for: libvirt.h. */

#include <dlfcn.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/libvirt.h"
#include "monitor/link.h"

/* libvirt-host.h, libvirt-domain.h, libvirt-event.h; these numbers never change. */
enum {
	EVENT_ID_LIFECYCLE = 0,
	EVENT_ID_REBOOT = 1,
	EVENT_ID_DEVICE_REMOVED = 15,
	EVENT_ID_DEVICE_ADDED = 19,
	LIST_ACTIVE = 1 << 0,
	HANDLE_READABLE = 1 << 0,
	HANDLE_HANGUP = 1 << 3,
	UUID_BUFFER = 37,
	KEEPALIVE_S = 5,
	KEEPALIVE_MISSED_MAX = 3,
};

struct library {
	int (*use_loop)(void);
	int (*run_loop)(void);
	int (*add_handle)(int, int, void (*)(int, int, int, void *), void *, void (*)(void *));
	int (*add_timeout)(int, void (*)(int, void *), void *, void (*)(void *));
	void *(*open)(const char *);
	int (*keep_alive)(void *, int, unsigned);
	int (*on_close)(void *, void (*)(void *, int, void *), void *, void (*)(void *));
	int (*on_event)(void *, void *, int, void *, void *, void (*)(void *));
	int (*list)(void *, void ***, unsigned);
	int (*state)(void *, int *, int *, unsigned);
	int (*uuid)(void *, char *);
	int (*free)(void *);
	const char *(*problem)(void);
	void (*quiet)(void *, void *);
};

struct libvirt_role {
	struct channel channel;
	struct library v;
	void *connection;
	bool over;
};

static int load(struct library *v, struct err *err)
{
	const struct { const char *name; void *to; } functions[] = {
		{ "virEventRegisterDefaultImpl", &v->use_loop },
		{ "virEventRunDefaultImpl", &v->run_loop },
		{ "virEventAddHandle", &v->add_handle },
		{ "virEventAddTimeout", &v->add_timeout },
		{ "virConnectOpenReadOnly", &v->open },
		{ "virConnectSetKeepAlive", &v->keep_alive },
		{ "virConnectRegisterCloseCallback", &v->on_close },
		{ "virConnectDomainEventRegisterAny", &v->on_event },
		{ "virConnectListAllDomains", &v->list },
		{ "virDomainGetState", &v->state },
		{ "virDomainGetUUIDString", &v->uuid },
		{ "virDomainFree", &v->free },
		{ "virGetLastErrorMessage", &v->problem },
		{ "virSetErrorFunc", &v->quiet },
	};
	void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_set(err, -ENOTSUP, "libvirt is not installed");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return err_set(err, -ENOTSUP, "libvirt has no %s", functions[i].name);
		memcpy(functions[i].to, &function, sizeof(function));
	}
	return 0;
}

/* It prints errors to the standard one, unless somebody takes them. */
static void ignore(void *ctx, void *error)
{
	(void)ctx;
	(void)error;
}

static void tell(struct libvirt_role *role, void *domain, int what, enum libvirt_why why)
{
	char uuid[UUID_BUFFER] = "";
	const struct libvirt_domain told = { (enum libvirt_what)what, why, uuid };

	if (what < 0 || role->v.uuid(domain, uuid) < 0)
		return;
	/* Who does not read is a parent that is gone. */
	if (libvirt_send_domain(&role->channel, &told, NULL) < 0)
		role->over = true;
}

static void on_lifecycle(void *connection, void *domain, int event, int detail, void *ctx)
{
	enum libvirt_why why = WHY_NONE;
	int what = libvirt_of_event(event, detail, &why);

	(void)connection;
	tell(ctx, domain, what, why);
}

static void on_reboot(void *connection, void *domain, void *ctx)
{
	(void)connection;
	tell(ctx, domain, DOMAIN_REBOOTED, WHY_NONE);
}

static void on_device(void *connection, void *domain, const char *alias, void *ctx)
{
	(void)connection;
	(void)alias;
	tell(ctx, domain, DOMAIN_CHANGED, WHY_DEVICE);
}

static void on_close(void *connection, int reason, void *ctx)
{
	struct libvirt_role *role = ctx;

	(void)connection;
	(void)reason;
	role->over = true;
}

/* The parent says nothing more: if its end is readable it is gone. */
static void on_parent(int watch, int fd, int events, void *ctx)
{
	struct libvirt_role *role = ctx;

	(void)watch;
	(void)fd;
	(void)events;
	role->over = true;
}

static void on_time(int timer, void *ctx)
{
	struct libvirt_role *role = ctx;

	(void)timer;
	if (channel_send(&role->channel, LIBVIRT_ALIVE, NULL, 0, NULL, 0, LINK_WAIT_MS, NULL) < 0)
		role->over = true;
}

/* Nobody, for good: whatever libvirtd sends is read without a right. */
static int become(const struct libvirt_setup *setup, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "no new privileges: %s", strerror(errno));
	if (setup->uid == LINK_SELF)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(setup->gid, setup->gid, setup->gid) < 0 ||
	    setresuid(setup->uid, setup->uid, setup->uid) < 0)
		return err_set(err, -errno, "user %u: %s", setup->uid, strerror(errno));
	/* Another user than before: without it the end of the starter would not be ours. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(err, -errno, "end with the starter: %s", strerror(errno));
	return 0;
}

static int refused(const struct libvirt_role *role, struct err *err)
{
	return err_set(err, -EIO, "%s", role->v.problem());
}

static int listen_to(struct libvirt_role *role, struct err *err)
{
	static const struct { int id; void (*to)(void); } events[] = {
		{ EVENT_ID_LIFECYCLE, (void (*)(void))on_lifecycle },
		{ EVENT_ID_REBOOT, (void (*)(void))on_reboot },
		{ EVENT_ID_DEVICE_ADDED, (void (*)(void))on_device },
		{ EVENT_ID_DEVICE_REMOVED, (void (*)(void))on_device },
	};
	struct library *v = &role->v;

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		void *to;

		memcpy(&to, &events[i].to, sizeof(to));
		if (v->on_event(role->connection, NULL, events[i].id, to, role, NULL) < 0)
			return refused(role, err);
	}
	if (v->on_close(role->connection, on_close, role, NULL) < 0 ||
	    v->add_handle(CHANNEL_FD, HANDLE_READABLE | HANDLE_HANGUP, on_parent, role, NULL) < 0 ||
	    v->add_timeout(LIBVIRT_ALIVE_MS, on_time, role, NULL) < 0)
		return refused(role, err);
	/* Not every driver can; then silence is no sign of an end. */
	(void)v->keep_alive(role->connection, KEEPALIVE_S, KEEPALIVE_MISSED_MAX);
	return 0;
}

/* Those that there are; what happens to them meanwhile is told after. */
static int tell_all(struct libvirt_role *role, struct err *err)
{
	struct library *v = &role->v;
	void **domains = NULL;
	int n = v->list(role->connection, &domains, LIST_ACTIVE);

	if (n < 0)
		return refused(role, err);
	for (int i = 0; i < n; i++) {
		enum libvirt_why why = WHY_NONE;
		int state, reason, what;

		if (v->state(domains[i], &state, &reason, 0) == 0) {
			what = libvirt_of_state(state, reason, &why);
			tell(role, domains[i], what, why);
		}
		v->free(domains[i]);
	}
	free(domains);
	return channel_send(&role->channel, LIBVIRT_CONNECTED, NULL, 0, NULL, 0, LINK_WAIT_MS,
			    err);
}

static int on_setup(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct libvirt_role *role = ctx;
	struct libvirt_setup setup;
	int r = libvirt_read_setup(message, &setup, err);

	(void)channel;
	if (r >= 0)
		r = load(&role->v, err);
	if (r < 0)
		return r;
	role->v.quiet(NULL, (void *)(uintptr_t)ignore);
	if (role->v.use_loop() < 0)
		return refused(role, err);
	role->connection = role->v.open(setup.uri);
	if (!role->connection)
		return refused(role, err);
	r = become(&setup, err);
	if (r >= 0)
		r = listen_to(role, err);
	return r < 0 ? r : tell_all(role, err);
}

static void say_failure(struct libvirt_role *role, const struct err *why)
{
	uint8_t body[512];
	struct writer w = writer_of(body, sizeof(body));

	write_text(&w, why->text);
	/* A parent that is gone need not be told. */
	(void)!channel_send_written(&role->channel, LIBVIRT_FAILED, &w, NULL, 0, LINK_WAIT_MS,
				    NULL);
}

int libvirt_run(void)
{
	static const struct libvirt_handlers handlers = { .setup = on_setup };
	struct libvirt_role role = { .channel = CHANNEL_NONE };
	struct channel_rule rules[LIBVIRT_RULES];
	struct err err = { 0 };
	int r;

	libvirt_rules(&handlers, rules);
	channel_init(&role.channel, CHANNEL_FD, ROLE_LIBVIRT, ROLE_STARTER, rules, LIBVIRT_RULES);
	r = channel_dispatch(&role.channel, &role, -1, &err);
	while (r >= 0 && !role.over)
		r = role.v.run_loop() < 0 ? refused(&role, &err) : 0;
	if (r < 0 && r != -EPIPE)
		say_failure(&role, &err);
	/* What the library holds ends with the process. */
	return r < 0 && r != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}
