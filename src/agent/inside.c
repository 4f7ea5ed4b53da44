/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "agent/proc_lines.h"
#include "agent/proc_text.h"
#include "agent/users.h"
#include "base/cleanup.h"
#include "base/now.h"

/* How often the list of modules is read until it stands still. */
#define MODULE_PASSES 4

/* Of IPv6 a line has some 180 bytes: numbers of a fixed width, but for the last ones. */
#define SOCKET_LINE_MAX 512

/* Of mountinfo: 100,000 mounts (fs.mount-max) of 500 bytes; a path has no bound of its own. */
#define MOUNTINFO_MAX (64u << 20)

/* Process 1's view of the network, whatever the agent was started in. */
static const struct file {
	const char *path;	/* under /proc; one that is not there has nothing to list */
	uint16_t kind, family, protocol;
} files[] = {
	{ "modules", AGENT_ITEM_MODULE, 0, 0 },
	{ "1/net/tcp", AGENT_ITEM_SOCKET, AF_INET, IPPROTO_TCP },
	{ "1/net/tcp6", AGENT_ITEM_SOCKET, AF_INET6, IPPROTO_TCP },
	{ "1/net/udp", AGENT_ITEM_SOCKET, AF_INET, IPPROTO_UDP },
	{ "1/net/udp6", AGENT_ITEM_SOCKET, AF_INET6, IPPROTO_UDP },
	{ "1/net/udplite", AGENT_ITEM_SOCKET, AF_INET, IPPROTO_UDPLITE },
	{ "1/net/udplite6", AGENT_ITEM_SOCKET, AF_INET6, IPPROTO_UDPLITE },
	{ "1/net/raw", AGENT_ITEM_SOCKET, AF_INET, IPPROTO_RAW },
	{ "1/net/raw6", AGENT_ITEM_SOCKET, AF_INET6, IPPROTO_RAW },
	{ "1/net/icmp", AGENT_ITEM_SOCKET, AF_INET, IPPROTO_ICMP },
	{ "1/net/icmp6", AGENT_ITEM_SOCKET, AF_INET6, IPPROTO_ICMPV6 },
};

_Static_assert(ARRAY_SIZE(files) == INSIDE_FILES, "a hash for each");

/* Room for the work, from the start on: one thread makes views. */
static struct proc_lines lines;
static struct item_set set;

/* --- what comes line by line --- */

/* One reading of a file. */
struct pass {
	struct items *items;
	const struct file *file;
	const struct item_set *known;	/* what an earlier reading had; NULL: this is the first */
	uint64_t hash;
	uint32_t n;
};

static int module_item(const struct pass *pass, const char *line, size_t len, struct item *item)
{
	(void)pass;
	return proc_module(line, len, (const char **)&item->text, &item->text_bytes,
			   &item->number);
}

static int socket_item(const struct pass *pass, const char *line, size_t len,
		       struct agent_socket *socket, struct item *item)
{
	int r = proc_socket(line, len, pass->file->family, socket, &item->number);

	socket->family = pass->file->family;
	socket->protocol = pass->file->protocol;
	item->text = socket;
	item->text_bytes = sizeof(*socket);
	return r;
}

static bool on_line(const char *line, size_t len, void *ctx)
{
	struct pass *pass = ctx;
	struct agent_socket socket = {0};
	struct item item = { .kind = pass->file->kind };
	int r;

	if (item.kind == AGENT_ITEM_SOCKET && pass->n++ == 0)
		return true;	/* the heading */
	r = item.kind == AGENT_ITEM_SOCKET ? socket_item(pass, line, len, &socket, &item) :
		module_item(pass, line, len, &item);
	if (r < 0) {
		items_missing(pass->items, item.kind);
		return true;
	}
	pass->hash = pass->hash * 3 + item_hash(&item);
	return (pass->known && item_set_has(pass->known, &item)) || items_add(pass->items, &item);
}

/* The list that @fd has, once. 1: the kernel gave it in pieces. */
static int list_once(struct items *items, const struct file *file, int fd,
		     const struct item_set *known, uint64_t *hash)
{
	struct pass pass = { items, file, known, 1, 0 };
	size_t line_max = file->kind == AGENT_ITEM_SOCKET ? SOCKET_LINE_MAX : 0;
	int r = proc_lines_read(&lines, fd, line_max, on_line, &pass);

	if (r < 0)
		items_missing(items, file->kind);
	*hash = pass.hash;
	return r < 0 ? r : lines.reads > 1;
}

/*
 * Sockets come and go on a busy machine all the time: two readings are all that they get. A
 * reading loses one only if another one of the same chain is closed between two of its pieces.
 */
static void list_file(struct inside *inside, struct items *items, unsigned i)
{
	const struct file *file = &files[i];
	unsigned passes = file->kind == AGENT_ITEM_MODULE ? MODULE_PASSES : 2;
	uint64_t from = items->used_bytes, hash, before = inside->hashes[i];
	cleanup(fd_close) int fd = proc_open(inside->proc, file->path);
	int r;

	if (fd < 0) {
		if (fd != -ENOENT)
			items_missing(items, file->kind);
		return;
	}
	r = list_once(items, file, fd, NULL, &hash);
	for (unsigned n = 1; r > 0 && hash != before && n < passes; n++) {
		before = hash;
		if (lseek(fd, 0, SEEK_SET) < 0 ||
		    !item_set_make(&set, items, from, items->used_bytes, file->kind)) {
			items_missing(items, file->kind);
			break;
		}
		r = list_once(items, file, fd, &set, &hash);
	}
	if (r > 0 && hash != before && file->kind == AGENT_ITEM_MODULE)
		items_missing(items, file->kind);
	inside->hashes[i] = hash;
}

/* --- what does not --- */

/* The kernel finds its place by the PID: none is lost that was there all the time. */
static void list_tasks(struct inside *inside, struct items *items)
{
	ssize_t n = 0;

	if (lseek(inside->proc, 0, SEEK_SET) < 0)
		n = -1;
	while (n >= 0 && (n = getdents64(inside->proc, lines.text, sizeof(lines.text))) > 0) {
		const struct dirent64 *entry;

		for (ssize_t at = 0; at < n; at += entry->d_reclen) {
			uint32_t pid;

			entry = (const struct dirent64 *)(lines.text + at);
			pid = proc_pid(entry->d_name);
			if (pid && !items_add(items, &(struct item){ AGENT_ITEM_TASK, pid }))
				return;
		}
	}
	if (n < 0)
		items_missing(items, AGENT_ITEM_TASK);
}

static void add_mount(const struct proc_mount *mount, void *ctx)
{
	items_add(ctx, &(struct item){ AGENT_ITEM_MOUNT, mount->id, mount->device, mount->point,
				       mount->point_bytes });
}

/* The kernel keeps its place with a mark in the list (5.8, 9f6c61f96f2d): none is lost here. */
static void list_mounts(struct inside *inside, struct items *items)
{
	cleanup(fd_close) int fd = proc_open(inside->proc, "1/mountinfo");
	static struct proc_mounts mounts;
	size_t sum = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	proc_mounts_begin(&mounts, add_mount, items);
	while (n > 0 && sum < MOUNTINFO_MAX) {
		n = read(fd, lines.text, sizeof(lines.text));
		if (n > 0)
			proc_mounts_feed(&mounts, lines.text, (size_t)n);
		sum += n > 0 ? (size_t)n : 0;
	}
	proc_mounts_end(&mounts);
	if (n != 0 || mounts.damaged)
		items_missing(items, AGENT_ITEM_MOUNT);
}

static void list_users(struct items *items)
{
	cleanup(fd_close) int run = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (run >= 0)
		users_list(items, run);
	else if (errno != ENOENT)
		items_missing(items, AGENT_ITEM_USER);
}

/* --- views --- */

void inside_changes(const struct items *now, const struct items *before, enum agent_item_kind kind,
		    inside_change_fn *fn, void *ctx)
{
	const uint64_t first = sizeof(struct agent_inside);
	const struct agent_item *at;

	if (((now->missing | before->missing) & 1u << kind) ||
	    !item_set_make(&set, before, first, before->used_bytes, kind))
		return;
	for (uint64_t i = first; (at = items_at(now, i)); i += at->size_bytes) {
		const struct item item = { at->kind, at->number, at->value, at + 1,
					   at->text_bytes };

		if (at->kind == kind && !item_set_has(&set, &item))
			fn(at, ctx);
	}
}

/* What the ring says of something that is there, or is not there any more. */
static const struct change {
	uint32_t kind, come, gone;
} changes[] = {
	{ AGENT_ITEM_MODULE, AGENT_EVENT_MODULE_IN, AGENT_EVENT_MODULE_OUT },
	{ AGENT_ITEM_MOUNT, AGENT_EVENT_MOUNT, AGENT_EVENT_UNMOUNT },
	{ AGENT_ITEM_TASK, AGENT_EVENT_EXEC, AGENT_EVENT_EXIT },
};

struct tell {
	struct events *events;
	uint32_t type;
};

static void tell(const struct agent_item *item, void *ctx)
{
	const struct tell *tell = ctx;
	const char *text = (const char *)(item + 1);
	size_t len = item->text_bytes, room = sizeof(((struct agent_event *)0)->text);
	struct event event = { .type = tell->type, .value = UINT64_MAX };

	if (item->kind == AGENT_ITEM_TASK)
		event.pid = (uint32_t)item->number;
	else if (item->kind == AGENT_ITEM_MOUNT)
		event.value = item->number;
	else
		event.value = 0;
	/* Of a path the end says more. */
	event.text = item->kind == AGENT_ITEM_MOUNT && len > room ? text + len - room : text;
	event.text_bytes = len < room ? len : room;
	events_put(tell->events, &event);
}

static void tell_changes(struct inside *inside, const struct items *now, const struct items *before)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct tell come = { inside->events, changes[i].come };
		struct tell gone = { inside->events, changes[i].gone };

		if (changes[i].kind == AGENT_ITEM_TASK && events_has_kernel(inside->events))
			continue;
		inside_changes(before, now, changes[i].kind, tell, &gone);
		inside_changes(now, before, changes[i].kind, tell, &come);
	}
}

/* Sockets last: they are what somebody outside of the guest can make many of. */
static void list_all(struct inside *inside, struct items *items)
{
	list_tasks(inside, items);
	list_mounts(inside, items);
	list_users(items);
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		list_file(inside, items, i);
}

int inside_take(struct inside *inside)
{
	uint64_t sequence = inside->anchor->inside_sequence + 1;
	struct items *now = &inside->views[sequence % 2];
	struct items *before = &inside->views[(sequence - 1) % 2];
	struct agent_inside *view;
	int r = items_begin(now, &inside->halves[sequence % 2]);

	if (r < 0) {
		now->memory = NULL;
		return r;
	}
	view = (struct agent_inside *)now->memory->at;
	__atomic_store_n(&view->sequence, 0, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	view->begun_ns = now_ns(CLOCK_BOOTTIME);
	list_all(inside, now);
	view->ended_ns = now_ns(CLOCK_BOOTTIME);
	view->size_bytes = (uint32_t)now->used_bytes;
	view->items = now->n;
	view->missing = now->missing;
	view->reserved = 0;
	__atomic_store_n(&view->sequence, sequence, __ATOMIC_RELEASE);
	__atomic_store_n(&inside->anchor->inside_sequence, sequence, __ATOMIC_RELEASE);

	if (inside->events && before->memory)
		tell_changes(inside, now, before);
	return 0;
}

void inside_init(struct inside *inside, struct agent_anchor *anchor, const struct memory *region,
		 int proc, struct events *events)
{
	uint64_t half = region->size_bytes / 2;

	*inside = (struct inside){ .anchor = anchor, .events = events, .proc = proc };
	inside->halves[0] = (struct memory){ region->at, half, 0 };
	inside->halves[1] = (struct memory){ region->at + half, half, 0 };
}

static int on_period(void *ctx, struct err *err)
{
	(void)err;
	/* Without memory the last view stays, and grows old for all to see. */
	if (inside_take(ctx) < 0)
		return 0;
	return 0;
}

int inside_start(struct agent *agent, struct err *err)
{
	static struct inside inside;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0)
		return err_set(err, -errno, "/proc");
	inside_init(&inside, our_anchor, &agent->inside, proc, events_of(agent));
	(void)on_period(&inside, err);
	return loop_every(&agent->loop, on_period, &inside, err);
}
