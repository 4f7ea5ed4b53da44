/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/interpreter.h"
#include "agent/maps.h"
#include "agent/measure.h"
#include "agent/modules.h"
#include "agent/rounds.h"
#include "agent/thread.h"
#include "agent/watch.h"
#include "base/cleanup.h"
#include "base/now.h"

#define MS		1000000ull
#define CHORES_NS	(1000 * MS)	/* modules, namespaces that ended */
#define WAKE_NS		(200 * MS)	/* between chores, whatever is mounted */
#define SETTLE_NS	(50 * MS)	/* while the first round's files are measured */
#define ROUND_STEP	16		/* processes of a round before what is due */
#define TURNS_MAX	2048u		/* looks of one kind that are due */
#define CMDLINE_BYTES	4096

/*
 * When to look at a process that executes something: at all of it at once where it has file
 * systems that are not marked yet; else at its script at once, and again when exec(2) is surely
 * done, as the event comes before that; at what it maps when it has loaded its libraries; and once
 * it has come up. The latter two at whole steps of their clocks, so that we wake once for many:
 * most that execute something in a storm are gone by then.
 */
enum look {
	LOOK_NOW,
	LOOK_SCRIPT,
	LOOK_SCRIPT_AGAIN,
	LOOK_EARLY,
	LOOK_UP,
	LOOKS
};

static const struct {
	uint64_t after_ns, step_ns;
} delays[LOOKS] = {
	[LOOK_NOW] = { 0, 1 },
	[LOOK_SCRIPT] = { 0, 1 },
	[LOOK_SCRIPT_AGAIN] = { 5 * MS, 5 * MS },
	[LOOK_EARLY] = { 40 * MS, 50 * MS },
	[LOOK_UP] = { 1000 * MS, 250 * MS },
};

/* All of one kind have the same delay, so they are due in their order. */
struct due {
	uint64_t at_ns;
	uint32_t pid;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct {
		struct due v[TURNS_MAX];
		uint32_t first, n;
	} looks[LOOKS];
	uint32_t interpreters[256];	/* PIDs by their last bits: the last that began one */
	bool round_now;			/* there was no room: look at all */
	bool wake;
	bool has_kernel;		/* that an exec is done is told */
	struct post post;
	/* Who is looked at: by a thread that lost the post, if there is more than one. */
	struct {
		uint32_t pid;		/* 0: free */
		bool told;		/* that others of its user's were passed over */
	} busy[POST_HANGS_MAX + 1];
	/* The thread's own. */
	uint64_t chores_ns, chores_done_ns;	/* when they are due, and were */
	struct rounds rounds;
	struct {
		uint64_t begun_ns;	/* of the newest round, CLOCK_BOOTTIME */
		uint64_t misses;	/* by then */
		struct measure_mark mark;	/* … and what it came to */
		bool ended;		/* its files are not measured yet */
	} found;
	bool started;			/* the first round has ended */
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- what is due --- */

static void add(enum look look, uint32_t pid, uint64_t now)
{
	uint32_t n = process.looks[look].n, last = process.looks[look].first + n - 1;
	uint64_t at;

	if (n && process.looks[look].v[last % TURNS_MAX].pid == pid)
		return;
	if (n == TURNS_MAX) {
		process.round_now = true;
		return;
	}
	at = now + delays[look].after_ns + delays[look].step_ns - 1;
	at -= at % delays[look].step_ns;
	process.looks[look].v[(last + 1) % TURNS_MAX] = (struct due){ at, pid };
	process.looks[look].n++;
	if (!n)
		pthread_cond_signal(&process.more);
}

/* The time of the last tick: that has no cost, and is near enough. */
static uint64_t about_now(void)
{
	return now_ns(CLOCK_MONOTONIC_COARSE);
}

void process_executed(uint32_t pid, bool runs_files)
{
	uint64_t now;

	/* Else we are told when it is done, unless the process has ended by then. */
	if (!runs_files && process.has_kernel)
		return;
	now = about_now();
	pthread_mutex_lock(&process.lock);
	if (runs_files) {
		process.interpreters[pid % 256] = pid;
		add(LOOK_SCRIPT, pid, now);
		add(LOOK_SCRIPT_AGAIN, pid, now);
	}
	if (!process.has_kernel)
		add(LOOK_EARLY, pid, now);
	pthread_mutex_unlock(&process.lock);
}

void process_missed(void)
{
	pthread_mutex_lock(&process.lock);
	process.round_now = true;
	pthread_cond_signal(&process.more);
	pthread_mutex_unlock(&process.lock);
}

void process_wake(void)
{
	pthread_mutex_lock(&process.lock);
	process.wake = true;
	pthread_cond_signal(&process.more);
	pthread_mutex_unlock(&process.lock);
}

/* The look that is due first; false: none is, and *@next is lowered to when one will be. */
static bool take_due(uint64_t now, enum look *look, uint32_t *pid, uint64_t *next)
{
	for (int i = 0; i < LOOKS; i++) {
		const struct due *due = &process.looks[i].v[process.looks[i].first];

		if (!process.looks[i].n)
			continue;
		if (due->at_ns > now) {
			if (due->at_ns < *next)
				*next = due->at_ns;
			continue;
		}
		*look = (enum look)i;
		*pid = due->pid;
		process.looks[i].first = (process.looks[i].first + 1) % TURNS_MAX;
		process.looks[i].n--;
		return true;
	}
	return false;
}

/* --- a look --- */

/* To the file that @path names; 0 also where there is none any more. */
static int measure_named(const char *path, enum agent_reason reason)
{
	cleanup(fd_close) int fd = measure_open(path);
	struct version version;

	/* What is in /proc has no size; an empty script does nothing. */
	if (fd < 0 || version_of_fd(fd, &version) < 0 || !version.stat.st_size ||
	    measure_known(&version, COVER_NONE, NULL))
		return 0;
	return measure_fd(MEASURE_SLOW, take_fd(&fd), reason, COVER_NONE);
}

static void look_at_script(uint32_t pid, const char *exe)
{
	const char *files[INTERPRETER_FILES_MAX], *base = strrchr(exe, '/');
	enum agent_reason reason = AGENT_SCRIPT;
	char path[MEASURE_PATH_MAX], arguments[CMDLINE_BYTES];
	cleanup(fd_close) int fd = -1;
	unsigned n_files;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, arguments, sizeof(arguments));
	if (n <= 0)
		return;
	if (base && (!strcmp(base, "/insmod") || !strcmp(base, "/kmod")))
		reason = AGENT_MODULE;
	/* One program of many names, of which few run files. */
	if (base && (!strcmp(base, "/busybox") || !strcmp(base, "/toybox")) &&
	    (!memchr(arguments, 0, (size_t)n) || !interpreter_by_name(arguments)))
		return;
	n_files = interpreter_files(arguments, (size_t)n, files);
	for (unsigned i = 0; i < n_files; i++) {
		n = interpreter_path(pid, files[i], path, sizeof(path));
		if (n >= (ssize_t)sizeof(path))
			measure_unreadable(files[i], reason, ENAMETOOLONG);
		else if (measure_named(path, reason) < 0)
			measure_lost(1);
	}
}

/* Which pages of a mapped file must be measured. */
static enum cache_cover needed(const struct map_line *map, const struct version *version)
{
	uint64_t file_bytes = (uint64_t)version->stat.st_size;
	uint64_t file_pages = (file_bytes + AGENT_PAGE_BYTES - 1) / AGENT_PAGE_BYTES;
	uint64_t end = map->first_page + map->pages;
	struct cache_entry entry;

	if (!measure_known(version, COVER_NONE, &entry) || entry.cover != COVER_CODE)
		return COVER_CODE;
	if (end > file_pages)
		end = file_pages;
	/* Somebody mapped more of it executable than the file says: all may be code. */
	if (map->first_page < end &&
	    (!entry.in_one || map->first_page < entry.first_page ||
	     end > entry.first_page + entry.pages))
		return COVER_ALL;
	return COVER_CODE;
}

static void look_at_mapping(uint32_t pid, const struct map_line *map, const char *exe)
{
	enum agent_reason reason = strcmp(map->path, exe) ? AGENT_MAPPED : AGENT_EXEC;
	enum watch_device device = watch_device(map->device);
	enum cache_cover cover;
	struct version file;
	char path[80];

	if (device == DEVICE_UNKNOWN) {
		watch_namespace(pid);
		device = watch_device(map->device);
	}
	snprintf(path, sizeof(path), "/proc/%u/map_files/%s", pid, map->range);
	/* What is of no file system that we know may be of one that stands still. */
	if (device != DEVICE_LOCAL) {
		(void)!measure_path(MEASURE_SLOW, path, reason, COVER_CODE);
		return;
	}
	if (version_of_path(path, true, &file) < 0 || !S_ISREG(file.stat.st_mode))
		return;
	cover = needed(map, &file);
	/* Where the worker has too much to do, the next round comes by again. */
	if (!measure_known(&file, cover, NULL))
		(void)!measure_path(measure_worker_of(&file.stat), path, reason, cover);
}

static void look_at_maps(uint32_t pid, const char *exe)
{
	cleanup(file_close) FILE *file = NULL;
	char line[AGENT_PATH_MAX + 128];
	bool begins = true;

	snprintf(line, sizeof(line), "/proc/%u/maps", pid);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file)) {
		bool whole = begins;
		struct map_line map;

		begins = strchr(line, '\n');
		if (whole && map_parse(line, &map) >= 0 && map.executable && map.inode)
			look_at_mapping(pid, &map, exe);
	}
}

/* False: there is no such process, or it has no program. */
static bool look_at(enum look look, uint32_t pid)
{
	char link[48], exe[AGENT_PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%u/exe", pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = 0;
	if (interpreter_by_name(exe))
		look_at_script(pid, exe);
	if (look != LOOK_SCRIPT && look != LOOK_SCRIPT_AGAIN) {
		look_at_maps(pid, exe);
		watch_namespace(pid);
	}
	return true;
}

/* Whose process it is, also of one that says nothing of itself; 0 where it is gone. */
static uint32_t user_of(uint32_t pid)
{
	cleanup(file_close) FILE *file = NULL;
	char line[128];
	uint32_t uid;

	snprintf(line, sizeof(line), "/proc/%u/status", pid);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Uid: %u", &uid) == 1)
			return uid;
	return 0;
}

/*
 * Does another thread hang at this process, or at one of the same user's? Who made one that nobody
 * can look at makes as many as he likes; what they run is measured as it is executed.
 */
static bool is_hopeless(const uint32_t *hanging, size_t n, uint32_t pid, size_t *at)
{
	uint32_t uid = n ? user_of(pid) : 0;

	for (*at = 0; *at < n; (*at)++)
		if (hanging[*at] && (hanging[*at] == pid || (uid && user_of(hanging[*at]) == uid)))
			return true;
	return false;
}

/* Note who is looked at; its place, or -EBUSY: there is no use in it. */
static int enter(uint32_t pid)
{
	uint32_t hanging[ARRAY_SIZE(process.busy)];
	size_t n = 0, at;
	int place = -EBUSY;
	bool told;

	pthread_mutex_lock(&process.lock);
	for (size_t i = 0; i < ARRAY_SIZE(process.busy); i++) {
		hanging[i] = process.busy[i].pid;
		if (hanging[i])
			n = i + 1;
		else
			place = (int)i;
	}
	if (place >= 0) {
		process.busy[place].pid = pid;
		process.busy[place].told = false;
	}
	pthread_mutex_unlock(&process.lock);
	if (place < 0 || !is_hopeless(hanging, n, pid, &at))
		return place;

	pthread_mutex_lock(&process.lock);
	process.busy[place].pid = 0;
	told = process.busy[at].told;
	process.busy[at].told = true;
	pthread_mutex_unlock(&process.lock);
	if (told)
		measure_miss();
	else
		measure_lost(1);
	return -EBUSY;
}

static void leave(int place)
{
	pthread_mutex_lock(&process.lock);
	process.busy[place].pid = 0;
	pthread_mutex_unlock(&process.lock);
}

/* --- the thread --- */

static void look(enum look look, uint32_t pid)
{
	int place = enter(pid);
	bool there;

	if (place < 0)
		return;
	there = look_at(look, pid);
	leave(place);
	if (!there || look != LOOK_EARLY)
		return;
	pthread_mutex_lock(&process.lock);
	add(LOOK_UP, pid, about_now());
	pthread_mutex_unlock(&process.lock);
}

/* Some processes of the round; true: that was the last of them. */
static bool round_step(struct post *post, uint32_t turn, DIR *proc)
{
	for (int i = 0; i < ROUND_STEP; i++) {
		const struct dirent *entry = readdir(proc);

		if (!entry)
			return true;
		if (isdigit((unsigned char)entry->d_name[0]) && post_busy(post, turn))
			look(LOOK_UP, (uint32_t)strtoul(entry->d_name, NULL, 10));
	}
	return false;
}

/* All that the newest round found is measured: tell since when nothing is missing. */
static void settle(void)
{
	if (!process.found.ended || !measure_reached(&process.found.mark))
		return;
	process.found.ended = false;
	if (measure_misses() == process.found.misses)
		anchor_set_complete(process.found.begun_ns);
}

static void do_chores(uint64_t now)
{
	bool new_ones = watch_look();

	process.chores_done_ns = now;
	process.chores_ns = now + CHORES_NS;
	if (watch_changed() || new_ones)
		watch_rescan();
	modules_measure();
	settle();
	/* The files that the first round has found are measured as well. */
	if (process.started && our_anchor->state == AGENT_STARTING) {
		if (measure_settled())
			anchor_set_state(AGENT_RUNNING);
		else
			process.chores_ns = now + SETTLE_NS;
	}
}

/* What was asked for from outside of the thread; the lock is held. */
static void take_wishes(void)
{
	uint64_t soon = process.chores_done_ns + WAKE_NS;

	if (process.wake && soon < process.chores_ns)
		process.chores_ns = soon;
	if (process.round_now)
		rounds_hurry(&process.rounds);
	process.wake = process.round_now = false;
}

/* Wait until there is something to do; false: the post is another's. */
static bool wait_due(struct post *post, uint32_t turn, bool in_round, enum look *next,
		     uint32_t *pid)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), until;
	bool mine = post_waits(post, turn);

	*pid = 0;
	pthread_mutex_lock(&process.lock);
	take_wishes();
	until = process.chores_ns;
	if (process.rounds.due_ns < until)
		until = process.rounds.due_ns;
	if (mine && !take_due(now, next, pid, &until) && !in_round && until > now) {
		struct timespec time = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

		pthread_cond_timedwait(&process.more, &process.lock, &time);
	}
	pthread_mutex_unlock(&process.lock);
	return mine && post_busy(post, turn);
}

static void begin_round(uint64_t now)
{
	rounds_begin(&process.rounds, now);
	if (process.found.ended)
		return;
	process.found.begun_ns = now_ns(CLOCK_BOOTTIME);
	process.found.misses = measure_misses();
}

static void end_round(void)
{
	anchor_set_round(rounds_end(&process.rounds, now_ns(CLOCK_MONOTONIC)));
	process.started = true;
	/* Of an earlier round's files some may still wait: then it is that one that counts. */
	if (process.found.ended)
		return;
	process.found.mark = measure_mark();
	process.found.ended = true;
}

/* Go on with the round; false: it has ended. */
static bool go_round(struct post *post, uint32_t turn, DIR *proc)
{
	uint64_t before = now_ns(CLOCK_THREAD_CPUTIME_ID);
	bool ended = round_step(post, turn, proc);

	rounds_took(&process.rounds, now_ns(CLOCK_THREAD_CPUTIME_ID) - before);
	if (ended)
		end_round();
	return !ended;
}

static void work(struct post *post, uint32_t turn, void *ctx)
{
	cleanup(dir_close) DIR *proc = NULL;

	(void)ctx;
	for (;;) {
		enum look next;
		uint32_t pid;
		uint64_t now;

		if (!wait_due(post, turn, proc, &next, &pid))
			return;
		if (pid) {
			look(next, pid);
			continue;
		}
		now = now_ns(CLOCK_MONOTONIC);
		if (now >= process.chores_ns)
			do_chores(now);
		if (!proc && now >= process.rounds.due_ns) {
			proc = opendir("/proc");
			begin_round(now);
		}
		if (proc && !go_round(post, turn, proc)) {
			dir_close(&proc);
			proc = NULL;
		}
	}
}

static int on_tick(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	if (post_watch(&process.post))
		measure_lost(1);
	return 0;
}

void process_exec_done(uint32_t pid)
{
	uint64_t now = about_now();

	pthread_mutex_lock(&process.lock);
	if (process.interpreters[pid % 256] == pid)
		add(LOOK_SCRIPT, pid, now);
	add(LOOK_EARLY, pid, now);
	pthread_mutex_unlock(&process.lock);
}

void process_unknown(uint32_t pid)
{
	pthread_mutex_lock(&process.lock);
	add(LOOK_NOW, pid, about_now());
	pthread_mutex_unlock(&process.lock);
}

int process_start(struct agent *agent, struct err *err)
{
	pthread_condattr_t attributes;
	int r;

	process.has_kernel = events_has_kernel(events_of(agent));
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&process.more, &attributes);
	pthread_condattr_destroy(&attributes);
	r = loop_every(&agent->loop, on_tick, NULL, err);
	return r < 0 ? r : post_start(&process.post, work, NULL, err);
}
