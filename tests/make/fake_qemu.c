/* SPDX-License-Identifier: Apache-2.0 */

/*
 * qemu-system-x86_64 -name NAME -uuid UUID -machine pc,memory-backend=ram
 *	-object memory-backend-file,id=ram,size=BYTES,mem-path=IMAGE,share=off
 *	[-qmp unix:PATH,server=on,wait=off] - a guest that costs next to nothing
 *
 * A process that hvsm takes for QEMU: it maps a raw memory image of a real guest as its RAM,
 * privately, so that a hundred of them share one file; and it lets the guest's clock tick, so that
 * its kernel is seen to run. Nothing else of the guest moves. "ready" on the standard output, once
 * there is something to watch; it ends with who started it. See tests/vm/lab/fake.py.
 *
 * QMP, one client at a time: qmp_capabilities, query-status, stop, cont, quit; system_reset (RAM
 * is as in the image again); x-load {file} (what another kernel would leave: RAM is as in that
 * image, and its clock ticks); x-poke {symbol, offset, value} (8 bytes, as a root kit would
 * write them); x-churn {on} (the lists of tasks and modules are rewritten as fast as it goes).
 */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "linux/kernel.h"
#include "ram/fake.h"

/* 250 Hz, in steps: what a guest that idles does. */
#define TICK_MS		20
#define TICKS		5
#define TICK_NS		(TICK_MS * 1000000ull)
#define CHURNED_MAX	128	/* links of a list that are rewritten */

struct link {
	uint64_t next, prev;
};

static struct {
	uint8_t *ram;
	size_t size_bytes;
	const char *image;
	uint64_t *jiffies;
	uint64_t *mono_ns;	/* of its timekeeper */
	bool stopped;
	pthread_t churner;
	_Atomic bool churning;
} fake;

static struct {
	struct link *at[CHURNED_MAX];
	struct link was[CHURNED_MAX];
	size_t n;
} churned;

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "fake qemu: %s: %s\n", what, why);
	exit(2);
}

/* --- the guest's kernel, as it lies in RAM --- */

struct inside {
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
};

static void inside_close(struct inside *inside)
{
	kernel_close(&inside->kernel);
	view_close(&inside->view);
	ram_close(&inside->ram);
}

static int inside_open(struct inside *inside, struct err *err)
{
	const struct ram_range range = { gpa_of(0), fake.size_bytes };
	void *bytes = fake.ram;
	int r = fake_open(&range, &bytes, 1, &inside->ram, err);

	if (r >= 0)
		r = view_open(inside->ram, VIEW_FUEL_ATTACH, &inside->view);
	return r < 0 ? r : kernel_open(inside->view, &inside->kernel, err);
}

/* Where in our own memory the guest's kernel has something of 8 bytes or more. */
static int host_of(struct inside *inside, gva at, void *ret, struct err *err)
{
	struct mapping mapping;
	int r = view_translate(inside->view, inside->kernel->space, at, &mapping, err);

	if (r < 0)
		return r;
	if (mapping.at.v > fake.size_bytes - sizeof(struct link))
		return err_set(err, -EFAULT, "not in RAM");
	*(void **)ret = fake.ram + mapping.at.v;
	return 0;
}

/* As src/linux/clock.c finds it. */
static int find_timekeeper(struct inside *inside, gva *ret, struct err *err)
{
	struct field base, behind;
	int r = types_field(inside->kernel->types, "timekeeper.tkr_mono.base", &base, err);

	if (r < 0)
		return r;
	*ret = symbols_lookup(inside->kernel->symbols, "timekeeper_data");
	if (!ret->v)
		r = kernel_symbol(inside->kernel, "tk_core", ret, err);
	if (r < 0)
		return r;
	/* Behind a sequence count, which no kernel that is built without lockdep has over 8 bytes. */
	if (types_field(inside->kernel->types, "tk_data.timekeeper", &behind, NULL) >= 0)
		*ret = field_at(*ret, &behind);
	else
		*ret = gva_add(*ret, 8);
	*ret = field_at(*ret, &base);
	return 0;
}

static int find_clock(struct err *err)
{
	cleanup(inside_close) struct inside inside = { 0 };
	gva at;
	int r = inside_open(&inside, err);

	if (r >= 0)
		r = kernel_symbol(inside.kernel, "jiffies_64", &at, err);
	if (r >= 0)
		r = host_of(&inside, at, &fake.jiffies, err);
	if (r >= 0)
		r = find_timekeeper(&inside, &at, err);
	return r < 0 ? r : host_of(&inside, at, &fake.mono_ns, err);
}

static int poke(const char *symbol, uint64_t offset, uint64_t value, struct err *err)
{
	cleanup(inside_close) struct inside inside = { 0 };
	uint64_t *to;
	gva at;
	int r = inside_open(&inside, err);

	if (r >= 0)
		r = kernel_symbol(inside.kernel, symbol, &at, err);
	if (r >= 0)
		r = host_of(&inside, gva_add(at, offset), &to, err);
	if (r >= 0)
		*to = value;
	return r;
}

/* --- a guest that rewrites its own lists --- */

static int remember_list(struct inside *inside, gva head, size_t most, struct err *err)
{
	gva at = head;

	do {
		struct link *link;
		int r = host_of(inside, at, &link, err);

		if (r < 0)
			return r;
		churned.at[churned.n] = link;
		churned.was[churned.n++] = *link;
		at = gva_of(link->next);
	} while (at.v != head.v && --most && churned.n < CHURNED_MAX);
	return 0;
}

static int remember_lists(struct err *err)
{
	cleanup(inside_close) struct inside inside = { 0 };
	struct field tasks;
	gva at;
	int r = inside_open(&inside, err);

	churned.n = 0;
	if (r >= 0)
		r = types_field(inside.kernel->types, "task_struct.tasks", &tasks, err);
	if (r >= 0)
		r = kernel_symbol(inside.kernel, "init_task", &at, err);
	if (r >= 0)
		r = remember_list(&inside, field_at(at, &tasks), CHURNED_MAX / 2, err);
	if (r >= 0)
		r = kernel_symbol(inside.kernel, "modules", &at, err);
	return r < 0 ? r : remember_list(&inside, at, CHURNED_MAX / 2, err);
}

static void *churn(void *ctx)
{
	struct link *const *at = churned.at;
	const struct link *was = churned.was;
	unsigned seed = 1;

	(void)ctx;
	while (fake.churning) {
		size_t i = (size_t)rand_r(&seed) % churned.n, j = (size_t)rand_r(&seed) % churned.n;
		uint64_t wild = ((uint64_t)rand_r(&seed) << 32) | (uint64_t)rand_r(&seed);

		switch (rand_r(&seed) % 5) {
		case 0:		/* a cycle, or one list in the other */
			__atomic_store_n(&at[i]->next, was[j].next, __ATOMIC_RELAXED);
			break;
		case 1:
			__atomic_store_n(&at[i]->prev, was[j].prev, __ATOMIC_RELAXED);
			break;
		case 2:		/* to nowhere */
			__atomic_store_n(&at[i]->next, wild, __ATOMIC_RELAXED);
			break;
		default:	/* as it was: else it would all be broken soon, for good */
			*at[i] = was[i];
			break;
		}
	}
	for (size_t i = 0; i < churned.n; i++)
		*at[i] = was[i];
	return NULL;
}

static int set_churning(bool on, struct err *err)
{
	int r;

	if (on == fake.churning)
		return 0;
	if (!on) {
		fake.churning = false;
		pthread_join(fake.churner, NULL);
		return 0;
	}
	r = remember_lists(err);
	if (r < 0)
		return r;
	fake.churning = true;
	return -pthread_create(&fake.churner, NULL, churn, NULL);
}

/* --- its RAM --- */

static int load(const char *path, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = 1;

	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	while (at < fake.size_bytes && n > 0) {
		n = read(fd, fake.ram + at, fake.size_bytes - at);
		at += n > 0 ? (size_t)n : 0;
	}
	if (at < fake.size_bytes)
		return err_set(err, -EBADMSG, "%s: too short", path);
	return find_clock(err);
}

static int reset(struct err *err)
{
	if (madvise(fake.ram, fake.size_bytes, MADV_DONTNEED) < 0)
		return err_set(err, -errno, "RAM: %s", strerror(errno));
	return find_clock(err);
}

/* The descriptor stays open, as QEMU's does. */
static void map_ram(const char *backend)
{
	const char *size = strstr(backend, "size="), *path = strstr(backend, "mem-path=");
	void *ram;
	int fd;

	if (!size || !path)
		die("-object", "size=BYTES and mem-path=IMAGE are missing");
	fake.size_bytes = strtoull(size + strlen("size="), NULL, 10);
	path += strlen("mem-path=");
	fake.image = strndup(path, strcspn(path, ","));
	fd = open(fake.image, O_RDONLY | O_CLOEXEC);
	ram = mmap(NULL, fake.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		   fd, 0);
	if (ram == MAP_FAILED)
		die(fake.image, strerror(errno));
	fake.ram = ram;
}

/* --- its monitor --- */

static int listen_at(const char *option)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = option + strlen("unix:");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%.*s", (int)strcspn(path, ","), path);
	unlink(to.sun_path);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 8) < 0)
		die(to.sun_path, strerror(errno));
	return fd;
}

static void say(int fd, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (!text || dprintf(fd, "%s\r\n", text) < 0)
		fprintf(stderr, "fake qemu: a client that went\n");
	free(text);
	json_decref(json);
}

/* 1: there is no such command. */
static int execute(const char *command, json_t *arguments, struct err *err)
{
	const char *text = NULL;
	json_int_t offset = 0, value = 0;
	int on = 0;

	if (!strcmp(command, "qmp_capabilities") || !strcmp(command, "query-status"))
		return 0;
	if (!strcmp(command, "stop") || !strcmp(command, "cont")) {
		fake.stopped = command[0] == 's';
		return 0;
	}
	if (!strcmp(command, "quit"))
		exit(0);
	if (!strcmp(command, "system_reset"))
		return reset(err);
	if (!strcmp(command, "x-load") && !json_unpack(arguments, "{s:s}", "file", &text))
		return load(text, err);
	if (!strcmp(command, "x-churn") && !json_unpack(arguments, "{s:b}", "on", &on))
		return set_churning(on, err);
	if (!strcmp(command, "x-poke") && !json_unpack(arguments, "{s:s, s:I, s:I}", "symbol", &text,
						       "offset", &offset, "value", &value))
		return poke(text, (uint64_t)offset, (uint64_t)value, err);
	return 1;
}

static json_t *answer(json_t *request)
{
	const char *command = json_string_value(json_object_get(request, "execute"));
	struct err err = { 0 };
	int r = command ? execute(command, json_object_get(request, "arguments"), &err) : 1;
	json_t *said;

	if (r)
		said = json_pack("{s:{s:s, s:s}}", "error", "class",
				 r > 0 ? "CommandNotFound" : "GenericError", "desc",
				 r > 0 ? "no such command" : err.text);
	else if (!strcmp(command, "query-status"))
		said = json_pack("{s:{s:s, s:b}}", "return", "status",
				 fake.stopped ? "paused" : "running", "running", !fake.stopped);
	else
		said = json_pack("{s:{}}", "return");
	if (json_object_get(request, "id"))
		json_object_set(said, "id", json_object_get(request, "id"));
	return said;
}

/* What has come: one request a line. false: the client went. */
static bool serve(int fd)
{
	static char buf[4096];
	static size_t n;
	ssize_t got = read(fd, buf + n, sizeof(buf) - n - 1);
	char *end;

	if (got <= 0) {
		n = 0;
		return false;
	}
	n += (size_t)got;
	buf[n] = '\0';
	while ((end = strchr(buf, '\n'))) {
		json_t *request = json_loadb(buf, (size_t)(end - buf), 0, NULL);

		if (request)
			say(fd, answer(request));
		json_decref(request);
		n -= (size_t)(end + 1 - buf);
		memmove(buf, end + 1, n + 1);
	}
	return n < sizeof(buf) - 1;
}

static int greet(int monitor)
{
	int fd = accept4(monitor, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		say(fd, json_pack("{s:{s:{s:{s:i, s:i, s:i}, s:s}, s:[]}}", "QMP", "version", "qemu",
				  "major", 7, "minor", 2, "micro", 0, "package", "fake",
				  "capabilities"));
	return fd;
}

static void tick(void)
{
	if (fake.stopped)
		return;
	__atomic_fetch_add(fake.jiffies, TICKS, __ATOMIC_RELAXED);
	__atomic_fetch_add(fake.mono_ns, TICK_NS, __ATOMIC_RELAXED);
}

static _Noreturn void run(int monitor)
{
	uint64_t next = now_ns(CLOCK_MONOTONIC);
	int client = -1;

	for (;;) {
		/* One client at a time: the next one waits. */
		struct pollfd wait = { .fd = client >= 0 ? client : monitor, .events = POLLIN };
		uint64_t now = now_ns(CLOCK_MONOTONIC);

		if (now >= next) {
			tick();
			next = now + TICK_MS * 1000000ull;
		}
		if (poll(&wait, 1, TICK_MS) <= 0)
			continue;
		if (client < 0) {
			client = greet(monitor);
		} else if (!serve(client)) {
			close(client);
			client = -1;
		}
	}
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	int monitor = -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "-object"))
			map_ram(argv[i + 1]);
		else if (!strcmp(argv[i], "-qmp"))
			monitor = listen_at(argv[i + 1]);
	}
	if (!fake.ram)
		die("usage", "-object memory-backend-file,id=ram,size=BYTES,mem-path=IMAGE,share=off");
	if (find_clock(&err) < 0)
		die(fake.image, err.text);
	printf("ready\n");
	fflush(stdout);
	run(monitor);
}
