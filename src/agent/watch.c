/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/interpreter.h"
#include "agent/measure.h"
#include "agent/mounts.h"
#include "agent/process.h"
#include "agent/thread.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/now.h"
#include "base/vec.h"

#define NAMESPACES_MAX	1024u		/* containers, and services of systemd */
#define DEVICES_MAX	8192u
#define MOUNTINFO_MAX	(16u << 20)	/* of one namespace: 100,000 mounts */
#define EVENT_BATCH	16384u		/* bytes of events that are read at a time */
#define NAMESPACE_STEP	16u		/* namespaces whose mounts are asked for at a time */
#define BATCHES_MAX	8		/* … before others have their turn */

/*
 * To be woken costs more than an event does. After so many wakes in a period we are not woken for
 * each exec any more, but by a clock, until there are fewer of them again.
 */
#define WAKES_MAX	24u
#define PACE_NS		20000000
#define SLOW_POLL_MS	1000
#define FULL_NS		5000000000ull	/* that the users' worker may have no room */

enum group {
	GROUP_LOCAL,
	GROUP_SLOW,
	GROUPS
};

struct namespace {
	uint64_t inode;
	uint64_t mounts;	/* hash of what was mounted there; 0: not known yet */
	uint32_t pid;		/* somebody in it */
};

struct device {
	uint64_t device;
	enum group group;	/* whose mark it has */
	bool slow;		/* the file system itself may stand still */
	bool marked;
	uint32_t scan;		/* the last that saw it */
};

static struct {
	int fan[GROUPS];
	struct agent *agent;
	int clock;
	bool paced;
	unsigned wakes, events;		/* in this period */
	uint64_t full_ns;		/* since when there is no room for what is not root's */
	bool changed;			/* mounts of the initial namespace */
	uint32_t scan;			/* number of the current one */
	uint32_t scanned;		/* of the last that found what is local */
	uint32_t added;			/* namespaces, so far */
	struct post slow;
	uint64_t memory_device;		/* of memfd_create(2) */
	pthread_mutex_t lock;		/* of what follows */
	VEC(struct namespace) namespaces;	/* the first is init's */
	VEC(struct device) devices;
	struct map index;		/* device and group → place in @devices */
	size_t next;			/* namespace whose mounts are asked for */
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- what is mounted --- */

static int read_mountinfo(uint32_t pid, char **ret)
{
	cleanup(file_close) FILE *file = NULL;
	cleanup(freep) char *text = NULL;
	size_t room = 0, n = 0;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%u/mountinfo", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	for (;;) {
		size_t got;

		if (room - n < 2) {
			char *more = room < MOUNTINFO_MAX ? realloc(text, room + 65536) : NULL;

			if (!more)
				return -ENOMEM;
			text = more;
			room += 65536;
		}
		got = fread(text + n, 1, room - n - 1, file);
		if (!got)
			break;
		n += got;
	}
	if (ferror(file))
		return -EIO;
	text[n] = 0;
	*ret = take_ptr(&text);
	return 0;
}

/* The number of the mount that an open descriptor is on; 0: not known. */
static uint64_t mount_id_of(int fd)
{
	cleanup(file_close) FILE *file = NULL;
	unsigned long long id;
	char line[64];

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "mnt_id: %llu", &id) == 1)
			return id;
	return 0;
}

/* A mark on the file system that is mounted there, unless something else covers that place. */
static bool mark(enum group group, uint32_t pid, const struct mount_line *mount)
{
	cleanup(freep) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	char link[48];

	if (asprintf(&path, "/proc/%u/root%s", pid, mount->point) < 0)
		return false;
	/* An O_PATH descriptor starts no automount, and is no file that is open. */
	fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || mount_id_of(fd) != mount->id)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return fanotify_mark(watch.fan[group], FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC,
			     AT_FDCWD, link) == 0;
}

/* A key of the map is never 0. */
static uint64_t device_key(uint64_t device, enum group group)
{
	return (device * GROUPS + group) + 1;
}

static struct device *device_of(uint64_t device, enum group group)
{
	uint32_t i;

	return map_get(&watch.index, device_key(device, group), &i) ? &watch.devices.v[i] : NULL;
}

/* As something is found by its place, and others have moved. */
static void index_devices(void)
{
	map_free(&watch.index);
	for (size_t i = 0; i < watch.devices.n; i++) {
		const struct device *device = &watch.devices.v[i];

		/* What is not found is marked once more. */
		(void)!map_put(&watch.index, device_key(device->device, device->group),
			       (uint32_t)i);
	}
}

static void note_device(const struct device *device)
{
	struct device *known;

	pthread_mutex_lock(&watch.lock);
	known = device_of(device->device, device->group);
	if (!known && watch.devices.n < DEVICES_MAX &&
	    map_put(&watch.index, device_key(device->device, device->group),
		    (uint32_t)watch.devices.n) >= 0)
		known = vec_add(&watch.devices);
	if (known)
		*known = *device;
	else
		measure_miss();
	pthread_mutex_unlock(&watch.lock);
}

static bool is_marked(uint64_t device, enum group group, uint32_t scan)
{
	const struct device *known;
	bool marked;

	pthread_mutex_lock(&watch.lock);
	known = device_of(device, group);
	marked = known && known->marked && known->scan == scan;
	pthread_mutex_unlock(&watch.lock);
	return marked;
}

/* The lock is held. */
static void count_marks(void)
{
	uint32_t marks = 0;

	for (size_t i = 0; i < watch.devices.n; i++)
		marks += watch.devices.v[i].marked;
	__atomic_store_n(&our_anchor->marks, marks, __ATOMIC_RELEASE);
}

/* What this scan did not see is not mounted any more. */
static void forget_devices(enum group group, uint32_t scan)
{
	size_t before;

	pthread_mutex_lock(&watch.lock);
	before = watch.devices.n;
	for (size_t i = 0; i < watch.devices.n;) {
		struct device *device = &watch.devices.v[i];

		/* Not what a newer one saw: a thread that hung may still be in an old one. */
		if (device->group == group && (int32_t)(scan - device->scan) > 0) {
			measure_forget(device->device);
			*device = watch.devices.v[--watch.devices.n];
			continue;
		}
		i++;
	}
	if (watch.devices.n != before)
		index_devices();
	count_marks();
	pthread_mutex_unlock(&watch.lock);
}

enum watch_device watch_device(uint64_t device)
{
	enum watch_device is = DEVICE_UNKNOWN;

	pthread_mutex_lock(&watch.lock);
	/* On a way that is slow there are others, too: what it is mounted on says nothing of it. */
	for (int i = 0; i < GROUPS && is == DEVICE_UNKNOWN; i++) {
		const struct device *known = device_of(device, (enum group)i);

		if (known)
			is = known->slow ? DEVICE_SLOW : DEVICE_LOCAL;
	}
	pthread_mutex_unlock(&watch.lock);
	return is == DEVICE_UNKNOWN && device == watch.memory_device ? DEVICE_LOCAL : is;
}

bool watch_is_marked(uint64_t device)
{
	bool marked = false;

	pthread_mutex_lock(&watch.lock);
	for (int i = 0; i < GROUPS; i++) {
		const struct device *known = device_of(device, (enum group)i);

		marked = marked || (known && known->marked);
	}
	pthread_mutex_unlock(&watch.lock);
	return marked;
}

/*
 * May a look at it stand still? What is stacked up in a namespace of its own may be on anything
 * that is mounted there, also by a user; not what the initial one has too (a container's root).
 */
static bool is_slow(const struct mount_line *mount, uint32_t pid)
{
	bool seen;

	if (!mount_is_stacked(mount->type) || pid == 1)
		return mount_is_slow(mount->type);
	pthread_mutex_lock(&watch.lock);
	seen = device_of(mount->device, GROUP_LOCAL);
	pthread_mutex_unlock(&watch.lock);
	return !seen;
}

/* Mark those of @group. */
static void mark_mounts(enum group group, uint32_t pid, uint32_t scan,
			const struct mount_line *mounts, size_t n)
{
	struct map slow = {0};
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		if (is_slow(&mounts[i], pid) && strcmp(mounts[i].type, "autofs") != 0)
			r = mount_put_slow(&slow, mounts[i].point);
	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct mount_line *mount = &mounts[i];
		struct device device = { mount->device, group, is_slow(mount, pid), false, scan };

		if (!strcmp(mount->type, "autofs") ||
		    mount_way_is_slow(&slow, mount->point) != (group == GROUP_SLOW) ||
		    is_marked(mount->device, group, scan))
			continue;
		device.marked = mark(group, pid, mount);
		note_device(&device);
	}
	map_free(&slow);
}

/* Mark what belongs to @group among the mounts of the namespace that @pid is in. */
static void scan_mounts(enum group group, uint32_t pid, uint32_t scan)
{
	cleanup(freep) char *text = NULL;
	VEC(struct mount_line) mounts = {0};
	char *rest, *line;

	if (read_mountinfo(pid, &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		struct mount_line *mount = vec_add(&mounts);

		if (!mount)
			break;
		if (mount_parse(line, mount) < 0)
			mounts.n--;
	}
	mark_mounts(group, pid, scan, mounts.v, mounts.n);
	vec_free(&mounts);
}

/* --- namespaces --- */

static uint64_t namespace_of(uint32_t pid)
{
	struct stat stat_;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%u/ns/mnt", pid);
	return stat(path, &stat_) < 0 ? 0 : stat_.st_ino;
}

/* True: it was not known. */
static bool add_namespace(uint32_t pid)
{
	uint64_t inode = namespace_of(pid);
	struct namespace *added = NULL;

	if (!inode)
		return false;
	pthread_mutex_lock(&watch.lock);
	for (size_t i = 0; i < watch.namespaces.n; i++) {
		if (watch.namespaces.v[i].inode != inode)
			continue;
		pthread_mutex_unlock(&watch.lock);
		return false;
	}
	if (watch.namespaces.n < NAMESPACES_MAX)
		added = vec_add(&watch.namespaces);
	if (added)
		*added = (struct namespace){ .inode = inode, .pid = pid };
	pthread_mutex_unlock(&watch.lock);
	if (!added)
		measure_miss();
	return added;
}

/* Of the others nothing has changed: users can make one after the other. */
void watch_namespace(uint32_t pid)
{
	if (!add_namespace(pid))
		return;
	scan_mounts(GROUP_LOCAL, pid, __atomic_load_n(&watch.scan, __ATOMIC_ACQUIRE));
	pthread_mutex_lock(&watch.lock);
	count_marks();
	pthread_mutex_unlock(&watch.lock);
	__atomic_add_fetch(&watch.added, 1, __ATOMIC_ACQ_REL);
}

/* Drop namespaces whose process is gone; true where there was one. */
static bool forget(void)
{
	bool gone = false;

	pthread_mutex_lock(&watch.lock);
	for (size_t i = 1; i < watch.namespaces.n;) {
		struct namespace *namespace = &watch.namespaces.v[i];

		if (namespace_of(namespace->pid) == namespace->inode) {
			i++;
			continue;
		}
		*namespace = watch.namespaces.v[--watch.namespaces.n];
		gone = true;
	}
	pthread_mutex_unlock(&watch.lock);
	return gone;
}

/*
 * Is something else mounted in a namespace than the last time? The initial one tells of itself
 * (on_mounts()); a descriptor for each of the others would keep them from going away.
 */
static bool mounts_changed(uint32_t pid, uint64_t inode)
{
	cleanup(freep) char *text = NULL;
	bool changed = false;
	uint64_t hash;

	if (read_mountinfo(pid, &text) < 0)
		return false;
	hash = hash_bytes(text, strlen(text), hash_secret()) | 1;
	pthread_mutex_lock(&watch.lock);
	for (size_t i = 0; i < watch.namespaces.n; i++) {
		if (watch.namespaces.v[i].inode != inode)
			continue;
		changed = watch.namespaces.v[i].mounts != hash;
		watch.namespaces.v[i].mounts = hash;
	}
	pthread_mutex_unlock(&watch.lock);
	return changed;
}

bool watch_look(void)
{
	bool changed = forget();

	for (unsigned i = 0; i < NAMESPACE_STEP && i + 1 < watch.namespaces.n; i++) {
		struct namespace namespace = {0};

		pthread_mutex_lock(&watch.lock);
		watch.next = watch.next + 1 < watch.namespaces.n ? watch.next + 1 : 1;
		if (watch.next < watch.namespaces.n)
			namespace = watch.namespaces.v[watch.next];
		pthread_mutex_unlock(&watch.lock);
		if (namespace.pid)
			changed |= mounts_changed(namespace.pid, namespace.inode);
	}
	return changed;
}

static uint32_t pid_of_namespace(size_t i)
{
	uint32_t pid = 0;

	pthread_mutex_lock(&watch.lock);
	if (i < watch.namespaces.n)
		pid = watch.namespaces.v[i].pid;
	pthread_mutex_unlock(&watch.lock);
	return pid;
}

static void scan_group(enum group group, uint32_t scan)
{
	uint32_t pid;

	for (size_t i = 0; (pid = pid_of_namespace(i)); i++)
		scan_mounts(group, pid, scan);
	forget_devices(group, scan);
}

void watch_rescan(void)
{
	uint32_t scan = __atomic_add_fetch(&watch.scan, 1, __ATOMIC_ACQ_REL);

	scan_group(GROUP_LOCAL, scan);
	/* The slow ones after the others, see is_slow(). */
	__atomic_store_n(&watch.scanned, scan, __ATOMIC_RELEASE);
}

bool watch_changed(void)
{
	return __atomic_exchange_n(&watch.changed, false, __ATOMIC_ACQ_REL);
}

/* --- what is executed --- */

static bool names_interpreter(int fd)
{
	char link[32], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = 0;
	return interpreter_by_name(path);
}

/* Opened to be executed; our descriptor of it is @fd. */
static void executed(enum group group, int fd, uint32_t pid)
{
	cleanup(fd_close) int owned = fd;
	struct cache_entry entry = {0};
	struct version version;
	int r;

	if (version_of_fd(fd, &version) < 0)
		return;
	if (measure_known(&version, COVER_NONE, &entry)) {
		process_executed(pid, entry.runs_files);
		return;
	}
	process_executed(pid, names_interpreter(fd));
	r = measure_fd(group == GROUP_SLOW ? MEASURE_SLOW : measure_worker_of(&version.stat),
		       take_fd(&owned), AGENT_EXEC, COVER_NONE);
	if (r < 0)
		measure_lost(1);
}

/* A batch of events; 1: there may be more, 0: there are none. */
static int read_events(enum group group)
{
	_Alignas(struct fanotify_event_metadata) char buffer[EVENT_BATCH];
	const struct fanotify_event_metadata *event = (void *)buffer;
	ssize_t n = read(watch.fan[group], buffer, sizeof(buffer));

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		measure_lost(1);	/* the file of an event could not be opened for us */
	if (n <= 0)
		return n < 0 && errno != EAGAIN;
	for (; FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n)) {
		watch.events += group == GROUP_LOCAL;
		if (event->vers != FANOTIFY_METADATA_VERSION)
			continue;
		if (event->mask & FAN_Q_OVERFLOW)
			measure_lost(1);
		if (event->fd >= 0)
			executed(group, event->fd, (uint32_t)event->pid);
	}
	return 1;
}

static bool has_room(enum measure_worker worker)
{
	return measure_room(worker) > EVENT_BATCH / FAN_EVENT_METADATA_LEN;
}

/*
 * What we do not take the kernel keeps. That there is room for what is not root's is waited for,
 * but not for ever, as users can fill it with what takes long: then its events are lost.
 */
static bool may_take(void)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (has_room(MEASURE_USER))
		watch.full_ns = 0;
	else if (!watch.full_ns)
		watch.full_ns = now;
	return has_room(MEASURE_LOCAL) && (!watch.full_ns || now - watch.full_ns > FULL_NS);
}

static void take_events(void)
{
	for (int i = 0; i < BATCHES_MAX; i++)
		if (!may_take() || !read_events(GROUP_LOCAL))
			return;
}

static int on_events(int fd, uint32_t events, void *ctx, struct err *err)
{
	const struct itimerspec pace = { { 0, PACE_NS }, { 0, PACE_NS } };

	(void)events;
	(void)ctx;
	(void)err;
	take_events();
	if (++watch.wakes < WAKES_MAX || timerfd_settime(watch.clock, 0, &pace, NULL) < 0)
		return 0;
	loop_remove(&watch.agent->loop, fd);
	watch.paced = true;
	return 0;
}

static int on_clock(int fd, uint32_t events, void *ctx, struct err *err)
{
	uint64_t n;

	(void)events;
	(void)ctx;
	(void)err;
	if (read(fd, &n, sizeof(n)) == sizeof(n))
		take_events();
	return 0;
}

static int on_tick(void *ctx, struct err *err)
{
	const struct itimerspec never = {0};
	bool calm = watch.events < WAKES_MAX;

	(void)ctx;
	watch.wakes = watch.events = 0;
	if (post_watch(&watch.slow))
		measure_lost(1);
	if (!watch.paced || !calm)
		return 0;
	timerfd_settime(watch.clock, 0, &never, NULL);
	watch.paced = false;
	return loop_add(&watch.agent->loop, watch.fan[GROUP_LOCAL], EPOLLIN, on_events, NULL, err);
}

static int on_mounts(int fd, uint32_t events, void *ctx, struct err *err)
{
	(void)fd;
	(void)events;
	(void)ctx;
	(void)err;
	__atomic_store_n(&watch.changed, true, __ATOMIC_RELEASE);
	process_wake();
	return 0;
}

static void watch_slow(struct post *post, uint32_t turn, void *ctx)
{
	uint32_t scanned = 0, knows = 0;

	(void)ctx;
	for (;;) {
		struct pollfd fan = { watch.fan[GROUP_SLOW], POLLIN, 0 };
		uint32_t scan, added;

		if (!post_waits(post, turn))
			return;
		poll(&fan, 1, SLOW_POLL_MS);
		if (!post_busy(post, turn))
			return;
		added = __atomic_load_n(&watch.added, __ATOMIC_ACQUIRE);
		scan = __atomic_load_n(&watch.scanned, __ATOMIC_ACQUIRE);
		if (scan != scanned || added != knows)
			scan_group(GROUP_SLOW, scan);
		scanned = scan;
		knows = added;
		if (fan.revents && has_room(MEASURE_SLOW))
			read_events(GROUP_SLOW);
	}
}

/* --- start --- */

/* Files without a name (memfd_create(2)) are on a file system that is mounted nowhere. */
static void find_memory_device(void)
{
	cleanup(fd_close) int fd = memfd_create("", MFD_CLOEXEC);
	struct stat stat;

	if (fd >= 0 && fstat(fd, &stat) >= 0)
		watch.memory_device = cache_device(stat.st_dev);
}

int watch_start(struct agent *agent, struct err *err)
{
	struct namespace *first;
	int mounts, r;

	watch.agent = agent;
	for (int i = 0; i < GROUPS; i++) {
		watch.fan[i] = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
					     FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
					     O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
		if (watch.fan[i] < 0)
			return err_set(err, -errno, "fanotify (is this root?)");
	}
	find_memory_device();
	first = vec_add(&watch.namespaces);
	if (!first)
		return -ENOMEM;
	*first = (struct namespace){ .inode = namespace_of(1), .pid = 1 };

	mounts = open("/proc/1/mountinfo", O_RDONLY | O_CLOEXEC);
	if (mounts < 0)
		return err_set(err, -errno, "/proc/1/mountinfo");
	watch.clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watch.clock < 0)
		return err_set(err, -errno, "timer");
	r = loop_add(&agent->loop, mounts, EPOLLPRI, on_mounts, NULL, err);
	if (r >= 0)
		r = loop_add(&agent->loop, watch.clock, EPOLLIN, on_clock, NULL, err);
	if (r >= 0)
		r = loop_add(&agent->loop, watch.fan[GROUP_LOCAL], EPOLLIN, on_events, NULL, err);
	if (r >= 0)
		r = loop_every(&agent->loop, on_tick, NULL, err);
	if (r < 0)
		return r;
	watch_rescan();
	return post_start(&watch.slow, watch_slow, NULL, err);
}
