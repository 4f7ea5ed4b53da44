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

#include "agent/interpreter.h"
#include "agent/maps.h"
#include "agent/measure.h"
#include "agent/modules.h"
#include "agent/thread.h"
#include "agent/watch.h"
#include "base/cleanup.h"
#include "base/now.h"

#define MS		1000000ull
#define CHORES_NS	(1000 * MS)	/* modules, namespaces that ended */
#define ROUND_NS	(15000 * MS)	/* of all processes */
#define SETTLE_NS	(50 * MS)	/* while the first round's files are measured */
#define ROUND_STEP	16		/* processes of a round before what is due */
#define TURNS_MAX	2048u		/* looks of one kind that are due */
#define CMDLINE_BYTES	4096

/*
 * When to look at a process that executes something: at its script at once, and again when exec(2)
 * is surely done, as the event comes before that; at what it maps when it has loaded its
 * libraries; and once it has come up. The latter two at whole steps of their clocks, so that we
 * wake once for many: most that execute something in a storm are gone by then.
 */
enum look {
	LOOK_SCRIPT,
	LOOK_SCRIPT_AGAIN,
	LOOK_EARLY,
	LOOK_UP,
	LOOKS
};

static const struct {
	uint64_t after_ns, step_ns;
} delays[LOOKS] = {
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
	struct post post;
	/* Who is looked at, by which turn of the post: another one keeps clear of it. */
	struct {
		uint32_t turn, pid;
	} busy[POST_HANGS_MAX + 1];
	/* The thread's own. */
	uint64_t chores_ns, round_ns;	/* when they are due */
	unsigned rounds;
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

void process_executed(uint32_t pid, bool runs_files)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	pthread_mutex_lock(&process.lock);
	if (runs_files) {
		process.interpreters[pid % 256] = pid;
		add(LOOK_SCRIPT, pid, now);
		add(LOOK_SCRIPT_AGAIN, pid, now);
	}
	add(LOOK_EARLY, pid, now);
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
	struct stat stat;

	/* What is in /proc has no size; an empty script does nothing. */
	if (fd < 0 || fstat(fd, &stat) < 0 || !stat.st_size ||
	    measure_known(&stat, COVER_NONE, NULL))
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
		if (n < (ssize_t)sizeof(path) && measure_named(path, reason) < 0)
			measure_lost(1);
	}
}

/* Which pages of a mapped file must be measured. */
static enum cache_cover needed(const struct map_line *map, const struct stat *stat)
{
	uint64_t file_pages = ((uint64_t)stat->st_size + AGENT_PAGE_BYTES - 1) / AGENT_PAGE_BYTES;
	uint64_t end = map->first_page + map->pages;
	struct cache_entry entry;

	if (!measure_known(stat, COVER_NONE, &entry) || entry.cover != COVER_CODE)
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
	struct stat file;
	char path[80];

	if (device == DEVICE_UNKNOWN && watch_namespace(pid)) {
		watch_rescan();
		device = watch_device(map->device);
	}
	snprintf(path, sizeof(path), "/proc/%u/map_files/%s", pid, map->range);
	/* What is of no file system that we know may be of one that stands still. */
	if (device != DEVICE_LOCAL) {
		(void)!measure_path(MEASURE_SLOW, path, reason, COVER_CODE);
		return;
	}
	if (stat(path, &file) < 0 || !S_ISREG(file.st_mode))
		return;
	cover = needed(map, &file);
	/* Where the worker has too much to do, the next round comes by again. */
	if (!measure_known(&file, cover, NULL))
		(void)!measure_path(measure_worker_of(&file), path, reason, cover);
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
	if (look == LOOK_EARLY || look == LOOK_UP) {
		look_at_maps(pid, exe);
		if (watch_namespace(pid))
			watch_rescan();
	}
	return true;
}

/* Note who is looked at. False: another thread hangs there. */
static bool enter(uint32_t turn, uint32_t pid)
{
	size_t mine = turn % ARRAY_SIZE(process.busy);
	bool free = true;

	pthread_mutex_lock(&process.lock);
	for (size_t i = 0; i < ARRAY_SIZE(process.busy); i++)
		free = free && process.busy[i].pid != pid;
	if (free) {
		process.busy[mine].turn = turn;
		process.busy[mine].pid = pid;
	}
	pthread_mutex_unlock(&process.lock);
	return free;
}

static void leave(uint32_t turn)
{
	size_t mine = turn % ARRAY_SIZE(process.busy);

	pthread_mutex_lock(&process.lock);
	if (process.busy[mine].turn == turn)
		process.busy[mine].pid = 0;
	pthread_mutex_unlock(&process.lock);
}

/* --- the thread --- */

static void look(uint32_t turn, enum look look, uint32_t pid)
{
	bool there;

	if (!enter(turn, pid))
		return;
	there = look_at(look, pid);
	leave(turn);
	if (!there || look != LOOK_EARLY)
		return;
	pthread_mutex_lock(&process.lock);
	add(LOOK_UP, pid, now_ns(CLOCK_MONOTONIC));
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
			look(turn, LOOK_UP, (uint32_t)strtoul(entry->d_name, NULL, 10));
	}
	return false;
}

static void do_chores(uint64_t now)
{
	bool new_ones = watch_look();

	process.chores_ns = now + CHORES_NS;
	if (watch_changed() || new_ones)
		watch_rescan();
	modules_measure();
	/* The files that the first round has found are measured as well. */
	if (process.rounds && our_anchor->state == AGENT_STARTING) {
		if (measure_settled())
			anchor_set_state(AGENT_RUNNING);
		else
			process.chores_ns = now + SETTLE_NS;
	}
}

/* Wait until there is something to do; false: the post is another's. */
static bool wait_due(struct post *post, uint32_t turn, bool in_round, enum look *next,
		     uint32_t *pid)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), until = process.chores_ns;
	bool mine = post_waits(post, turn);

	*pid = 0;
	if (process.round_ns < until)
		until = process.round_ns;
	pthread_mutex_lock(&process.lock);
	if (mine && !take_due(now, next, pid, &until) && !in_round && !process.wake &&
	    !process.round_now && until > now) {
		struct timespec time = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

		pthread_cond_timedwait(&process.more, &process.lock, &time);
	}
	if (process.wake)
		process.chores_ns = now;
	if (process.round_now)
		process.round_ns = now;
	process.wake = process.round_now = false;
	pthread_mutex_unlock(&process.lock);
	return mine && post_busy(post, turn);
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
			look(turn, next, pid);
			continue;
		}
		now = now_ns(CLOCK_MONOTONIC);
		if (now >= process.chores_ns)
			do_chores(now);
		if (!proc && now >= process.round_ns) {
			proc = opendir("/proc");
			process.round_ns = now + ROUND_NS;
		}
		if (proc && round_step(post, turn, proc)) {
			dir_close(&proc);
			proc = NULL;
			process.rounds++;
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
	pthread_mutex_lock(&process.lock);
	if (process.interpreters[pid % 256] == pid)
		add(LOOK_SCRIPT, pid, now_ns(CLOCK_MONOTONIC));
	add(LOOK_EARLY, pid, now_ns(CLOCK_MONOTONIC));
	pthread_mutex_unlock(&process.lock);
}

int process_start(struct agent *agent, struct err *err)
{
	pthread_condattr_t attributes;
	int r;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&process.more, &attributes);
	pthread_condattr_destroy(&attributes);
	r = loop_every(&agent->loop, on_tick, NULL, err);
	return r < 0 ? r : post_start(&process.post, work, NULL, err);
}
