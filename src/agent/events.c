/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/events.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/measure.h"
#include "agent/process.h"
#include "agent/watch.h"
#include "base/cleanup.h"
#include "base/now.h"

/*
 * Datagrams that one turn takes, at most: the loop has more to do. What waits in the socket
 * meanwhile is the kernel's memory, some 800 bytes an event.
 */
#define BATCHES_MAX  32
#define QUEUE_BYTES  (4 << 20)
#define MESSAGE_BYTES 256

/*
 * An exec costs the guest a millisecond, and to be woken for it costs us some 10 µs. After so many
 * in one period a clock wakes us in place of the events, until a period has few of them again.
 */
#define WAKES_MAX     32
#define PACE_NS	      20000000

int events_init(struct events *events, struct agent_anchor *anchor, struct memory *ring,
		struct err *err)
{
	struct agent_event *slots;
	int r = memory_need(ring, AGENT_EVENTS * sizeof(*slots));

	if (r < 0)
		return err_set(err, r, "no memory for the ring of events");
	*events = (struct events){ .anchor = anchor, .ring = ring, .fd = -1 };
	slots = (struct agent_event *)ring->at;
	for (uint32_t i = 0; i < AGENT_EVENTS; i++)
		slots[i].sequence = UINT64_MAX;
	return 0;
}

void events_put(struct events *events, const struct event *event)
{
	uint64_t sequence = events->anchor->events_next;
	struct agent_event *slot = (struct agent_event *)events->ring->at + sequence % AGENT_EVENTS;
	size_t n = event->text_bytes < sizeof(slot->text) ? event->text_bytes : sizeof(slot->text);

	__atomic_store_n(&slot->sequence, UINT64_MAX, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	slot->time_ns = event->time_ns ? event->time_ns : now_ns(CLOCK_BOOTTIME);
	slot->type = event->type;
	slot->pid = event->pid;
	slot->value = event->value;
	memset(slot->text, 0, sizeof(slot->text));
	if (event->text)
		memcpy(slot->text, event->text, n);
	__atomic_store_n(&slot->sequence, sequence, __ATOMIC_RELEASE);
	__atomic_store_n(&events->anchor->events_next, sequence + 1, __ATOMIC_RELEASE);
}

bool events_has_kernel(const struct events *events)
{
	return events->fd >= 0;
}

/* --- the process connector --- */

static loop_fd_fn on_connector;

/* The connector's clock stands still while the guest sleeps; the anchor's does not. */
static uint64_t asleep_ns(void)
{
	return now_ns(CLOCK_BOOTTIME) - now_ns(CLOCK_MONOTONIC);
}

/* False: it is none of those that we want. Its time is that of the connector. */
static bool parse(const void *message, size_t len, struct event *event)
{
	struct nlmsghdr header;
	struct cn_msg connector;
	struct proc_event from;
	size_t head = sizeof(header) + sizeof(connector);

	if (len < head)
		return false;
	memcpy(&header, message, sizeof(header));
	memcpy(&connector, (const char *)message + sizeof(header), sizeof(connector));
	if (header.nlmsg_len > len || header.nlmsg_len < head ||
	    connector.id.idx != CN_IDX_PROC || connector.id.val != CN_VAL_PROC)
		return false;
	/* The struct's union has grown, and may again; what is read of it is older than it all. */
	memset(&from, 0, sizeof(from));
	len = header.nlmsg_len - head;
	if (len < offsetof(struct proc_event, event_data) + sizeof(from.event_data.exec))
		return false;
	memcpy(&from, (const char *)message + head, len < sizeof(from) ? len : sizeof(from));

	*event = (struct event){ .time_ns = from.timestamp_ns };
	if (from.what == PROC_EVENT_EXEC) {
		event->type = AGENT_EVENT_EXEC;
		event->pid = (uint32_t)from.event_data.exec.process_tgid;
		return true;
	}
	if (from.what != PROC_EVENT_EXIT ||
	    from.event_data.exit.process_pid != from.event_data.exit.process_tgid)
		return false;
	event->type = AGENT_EVENT_EXIT;
	event->pid = (uint32_t)from.event_data.exit.process_tgid;
	event->value = from.event_data.exit.exit_code;
	return true;
}

/* Has this process ended, as a later one of them says? Then nothing is to be asked of it. */
static bool has_ended(const struct event *event, const struct event *end)
{
	for (const struct event *later = event + 1; later < end; later++)
		if (later->type == AGENT_EVENT_EXIT && later->pid == event->pid)
			return true;
	return false;
}

/* Those of one batch, in their order. */
static void put_all(struct events *events, struct event *all, size_t n)
{
	uint64_t asleep = n ? asleep_ns() : 0;

	for (size_t i = 0; i < n; i++) {
		all[i].time_ns += asleep;
		if (all[i].type == AGENT_EVENT_EXEC)
			all[i].value = !events->record || has_ended(&all[i], all + n) ?
				UINT64_MAX : events->record(all[i].pid, events->record_ctx);
		events_put(events, &all[i]);
	}
}

void events_messages(struct events *events, const struct iovec *messages, size_t n)
{
	struct event all[EVENTS_BATCH];
	size_t found = 0;

	for (size_t i = 0; i < n && i < EVENTS_BATCH; i++)
		found += parse(messages[i].iov_base, messages[i].iov_len, &all[found]);
	put_all(events, all, found);
}

/* How many the kernel has dropped because they came faster than we took them. */
static void tell_lost(struct events *events)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(memory);
	struct event event = { .type = AGENT_EVENT_LOST };

	if (getsockopt(events->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0 ||
	    memory[SK_MEMINFO_DROPS] == 0)
		events->lost++;		/* it does not say how many */
	else
		events->lost = memory[SK_MEMINFO_DROPS];
	event.value = events->lost;
	events_put(events, &event);
}

/* One batch; false: that was all. */
static bool take_batch(struct events *events)
{
	static char buffers[EVENTS_BATCH][MESSAGE_BYTES];
	static struct sockaddr_nl senders[EVENTS_BATCH];
	static struct iovec parts[EVENTS_BATCH], taken[EVENTS_BATCH];
	static struct mmsghdr messages[EVENTS_BATCH];
	size_t n_taken = 0;
	int n;

	for (unsigned i = 0; i < EVENTS_BATCH; i++) {
		parts[i] = (struct iovec){ buffers[i], MESSAGE_BYTES };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &senders[i], .msg_namelen = sizeof(senders[i]),
			.msg_iov = &parts[i], .msg_iovlen = 1,
		};
	}
	n = recvmmsg(events->fd, messages, EVENTS_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno == ENOBUFS) {
		tell_lost(events);
		process_missed();
		return true;
	}
	for (int i = 0; i < n; i++)
		/* Port 0 is the kernel; who else may send here is not asked. */
		if (senders[i].nl_pid == 0)
			taken[n_taken++] = (struct iovec){ buffers[i], messages[i].msg_len };
	events_messages(events, taken, n_taken);
	return n == EVENTS_BATCH;
}

/* Take what is there. */
static void drain(struct events *events)
{
	for (unsigned i = 0; i < BATCHES_MAX && take_batch(events); i++)
		;
}

/* From now on the clock wakes us, or (@paced: false) the connector again. */
static int pace(struct events *events, bool paced)
{
	const struct timespec every = { 0, paced ? PACE_NS : 0 };
	const struct itimerspec spec = { .it_interval = every, .it_value = every };

	if (timerfd_settime(events->clock, 0, &spec, NULL) < 0)
		return 0;
	events->paced = paced;
	if (paced)
		loop_remove(events->loop, events->fd);
	return paced ? 0 : loop_add(events->loop, events->fd, EPOLLIN, on_connector, events, NULL);
}

static int on_connector(int fd, uint32_t mask, void *ctx, struct err *err)
{
	struct events *events = ctx;

	(void)fd;
	(void)mask;
	(void)err;
	drain(events);
	return ++events->wakes > WAKES_MAX ? pace(events, true) : 0;
}

static int on_clock(int fd, uint32_t mask, void *ctx, struct err *err)
{
	struct events *events = ctx;
	uint64_t n, before = events->anchor->events_next;

	(void)mask;
	(void)err;
	if (read(fd, &n, sizeof(n)) == sizeof(n))
		drain(events);
	events->wakes += events->anchor->events_next != before;
	return 0;
}

static int on_period(void *ctx, struct err *err)
{
	struct events *events = ctx;
	unsigned wakes = events->wakes;

	(void)err;
	events->wakes = 0;
	return events->paced && wakes < WAKES_MAX ? pace(events, false) : 0;
}

/* Offsets into a datagram of the connector, for the filter. */
#define AT_EVENT (sizeof(struct nlmsghdr) + sizeof(struct cn_msg))
#define AT_WHAT	 (AT_EVENT + offsetof(struct proc_event, what))
#define AT_PID	 (AT_EVENT + offsetof(struct proc_event, event_data.exit.process_pid))
#define AT_TGID	 (AT_EVENT + offsetof(struct proc_event, event_data.exit.process_tgid))

/* What is neither an exec nor a whole process's end stays in the kernel. */
static int filter(int fd)
{
	struct sock_filter code[] = {
		/* A filter's loads take what they read for network order. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_WHAT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXEC), 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(PROC_EVENT_EXIT), 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_PID),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_TGID),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_SIZE(code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int listen_to(int fd)
{
	const uint32_t op = PROC_CN_MCAST_LISTEN;
	const struct cn_msg connector = {
		.id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(op),
	};
	char ask[AT_EVENT + sizeof(op)];
	const struct nlmsghdr header = { .nlmsg_len = sizeof(ask), .nlmsg_type = NLMSG_DONE };

	memcpy(ask, &header, sizeof(header));
	memcpy(ask + sizeof(header), &connector, sizeof(connector));
	memcpy(ask + AT_EVENT, &op, sizeof(op));
	return send(fd, ask, sizeof(ask), 0) == sizeof(ask) ? 0 : -1;
}

/*
 * It runs what we were not told of when it was opened: before it has ended. What is in memory does
 * not stand still; what is of a file system that we do not know may.
 */
static void catch_program(uint32_t pid, const char *path, uint64_t device)
{
	struct stat stat;
	int fd;

	if (watch_is_marked(device))
		return;
	if (watch_device(device) != DEVICE_LOCAL) {
		(void)!measure_path(MEASURE_SLOW, path, AGENT_EXEC, COVER_NONE);
		process_unknown(pid);
		return;
	}
	fd = measure_open(path);
	if (fd < 0)
		return;
	if (fstat(fd, &stat) < 0)
		close(fd);
	else if (measure_fd(measure_worker_of(&stat), fd, AGENT_EXEC, COVER_NONE) < 0)
		measure_lost(1);
}

/*
 * The record of the file that a process runs. Nothing is asked of a file server that may be dead:
 * what is known of the file by now has to do.
 */
static uint64_t record_of(uint32_t pid, void *ctx)
{
	struct cache_entry entry = { .sequence = UINT64_MAX };
	struct version version;
	uint64_t device;
	char path[32];

	(void)ctx;
	process_exec_done(pid);
	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	if (version_of_path(path, false, &version) < 0)
		return UINT64_MAX;
	device = cache_device(version.stat.st_dev);
	if (version.verity == VERITY_UNKNOWN && watch_device(device) == DEVICE_LOCAL &&
	    version_of_path(path, true, &version) < 0)
		return UINT64_MAX;
	if (!measure_known(&version, COVER_NONE, &entry))
		catch_program(pid, path, device);
	return entry.unreadable ? UINT64_MAX : entry.sequence;
}

/* A kernel without it (CONFIG_PROC_EVENTS), or a container: then there is none. */
static int connector_open(void)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	const int queue = QUEUE_BYTES;
	cleanup(fd_close) int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
					  NETLINK_CONNECTOR);

	if (fd < 0)
		return -errno;
	if (filter(fd) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen_to(fd) < 0)
		return -errno;
	return take_fd(&fd);
}

static struct events ours;

struct events *events_of(struct agent *agent)
{
	(void)agent;
	return &ours;
}

int events_start(struct agent *agent, struct err *err)
{
	int r = events_init(&ours, our_anchor, &agent->events, err), fd;

	if (r < 0)
		return r;
	fd = connector_open();
	if (fd < 0) {
		agent_say("no events from the kernel (%s): exec and exit are told once a period",
			  strerror(-fd));
		return 0;
	}
	ours.fd = fd;
	ours.record = record_of;
	ours.loop = &agent->loop;
	ours.clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ours.clock < 0)
		return err_set(err, -errno, "timer");
	r = loop_add(&agent->loop, ours.clock, EPOLLIN, on_clock, &ours, err);
	if (r >= 0)
		r = loop_add(&agent->loop, fd, EPOLLIN, on_connector, &ours, err);
	return r < 0 ? r : loop_every(&agent->loop, on_period, &ours, err);
}
