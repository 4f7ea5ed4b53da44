/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/digest.h"
#include "agent/interpreter.h"
#include "agent/segments.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/now.h"

#define TRIES_MAX	3		/* with a file that changes while it is read */
#define FILE_BYTES_MAX	(4ull << 30)	/* half a minute's work; a larger one is no program */
#define FRESH_NS	2000000000ull	/* the coarsest times of files that there are (FAT) */
#define TICK_NS		20000000ull	/* two with CONFIG_HZ=100: how fine others are */
#define USERS_SHARE	2		/* a half of the log: the rest is for what is root's */
#define UNREADABLE_MAX	4096u		/* paths that are remembered */

/*
 * What is not root's: only others that are not wait for it, but those do. And of a file that
 * somebody has mapped executable though it is no program, not each version that it ever has.
 */
#define USER_BYTES_MAX	(256ull << 20)
#define USER_PAGES_MAX	((1u << 20) / AGENT_DIGEST_BYTES)	/* 1 MiB of the log */
#define VERSIONS_MAX	16u
#define VERSIONS_FILES	4096u		/* that this is known of */
#define SETTLE_NS	60000000000ull	/* that users' files are waited for at first */
#define LOG_TRIES_MAX	600		/* … of a second each, where the guest has no memory */

struct job {
	int fd;				/* -1: open path */
	enum agent_reason reason;
	enum cache_cover cover;
	char path[];
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *jobs[MEASURE_QUEUE];
	uint32_t first, n;
	uint64_t pushed, done;		/* jobs, so far */
	bool busy;
	struct post post;
};

/* One who works on a queue. */
struct worker {
	struct post *post;
	uint32_t turn;
	uint8_t *buffer;		/* of DIGEST_BUFFER_BYTES */
};

static struct {
	struct agent *agent;
	struct cache cache;
	struct queue queues[MEASURE_WORKERS];
	pthread_mutex_t unreadable_lock;
	struct map unreadable;		/* hash of a path that could not be measured */
	pthread_mutex_t lost_lock;	/* of what follows */
	uint64_t lost;			/* events, in the newest record of them */
	bool lost_told;			/* in this period */
	uint64_t misses;
	bool left_out;			/* a file has no record, and will not get one */
	pthread_mutex_t versions_lock;
	struct map versions;		/* hash of a file that is no program → its records */
} measure = {
	.cache.lock = PTHREAD_MUTEX_INITIALIZER,
	.unreadable_lock = PTHREAD_MUTEX_INITIALIZER,
	.lost_lock = PTHREAD_MUTEX_INITIALIZER,
	.versions_lock = PTHREAD_MUTEX_INITIALIZER,
};

/* What one file came to. */
struct result {
	struct version version;
	struct segments segments;
	uint8_t sha256[AGENT_DIGEST_BYTES];
	uint8_t *pages;			/* segments.pages digests */
	bool fresh;			/* see struct cache_entry */
	bool changed;			/* while it was read, or at least its times were */
};

static void result_free(struct result *result)
{
	free(result->pages);
}

/* --- records --- */

/* Where the guest has no memory for the log, it is the workers that wait, not the agent. */
static int append(const struct agent_record *record, size_t size_bytes, const struct iovec *parts,
		  unsigned n_parts, uint64_t *sequence)
{
	int r = -ENOMEM;

	for (int i = 0; i < LOG_TRIES_MAX; i++) {
		r = log_append(&measure.agent->log, record, size_bytes, parts, n_parts, sequence);
		if (r != -ENOMEM && r != -EAGAIN)
			break;
		sleep(1);
	}
	return r;
}

static int append_unreadable(const struct cache_key *key, const char *path,
			     enum agent_reason reason, int error, uint64_t *sequence)
{
	struct agent_unreadable record = {
		.record.type = AGENT_RECORD_UNREADABLE,
		.device = key ? key->device : 0,
		.inode = key ? key->inode : 0,
		.reason = reason,
		.error = (uint32_t)error,
		.path_bytes = (uint32_t)strnlen(path, AGENT_PATH_MAX),
	};
	struct iovec part = { (void *)(uintptr_t)path, record.path_bytes };

	return append(&record.record, sizeof(record), &part, 1, sequence);
}

void measure_unreadable(const char *path, enum agent_reason reason, int error)
{
	uint64_t hash = hash_bytes(path, strlen(path), hash_secret()) | 1;
	int there;

	pthread_mutex_lock(&measure.unreadable_lock);
	if (measure.unreadable.n >= UNREADABLE_MAX)
		map_free(&measure.unreadable);
	there = map_put(&measure.unreadable, hash, 0);
	pthread_mutex_unlock(&measure.unreadable_lock);
	if (there != 1)
		(void)!append_unreadable(NULL, path, reason, error, NULL);
}

/* A record of how many there are by now; where there is no memory for it, in the next period. */
static void tell_lost(void)
{
	struct agent_lost record = { .record.type = AGENT_RECORD_LOST };
	int r;

	record.lost = __atomic_load_n(&our_anchor->lost, __ATOMIC_RELAXED);
	if (record.lost == measure.lost)
		return;
	r = log_append(&measure.agent->log, &record.record, sizeof(record), NULL, 0, NULL);
	if (r >= 0 || r == -ENOSPC)
		measure.lost = record.lost;
	measure.lost_told = true;
}

void measure_miss(void)
{
	__atomic_add_fetch(&measure.misses, 1, __ATOMIC_RELAXED);
}

uint64_t measure_misses(void)
{
	return __atomic_load_n(&measure.misses, __ATOMIC_RELAXED);
}

/* Of the loop, too: it must not wait for memory. */
void measure_lost(uint64_t n)
{
	measure_miss();
	__atomic_add_fetch(&our_anchor->lost, n, __ATOMIC_RELAXED);
	pthread_mutex_lock(&measure.lost_lock);
	if (!measure.lost_told)
		tell_lost();
	pthread_mutex_unlock(&measure.lost_lock);
}

static int append_file(const struct result *result, const char *path, enum agent_reason reason,
		       uint64_t *sequence)
{
	struct cache_key key = cache_key_of(&result->version);
	const struct segments *segments = &result->segments;
	struct agent_file record = {
		.record.type = AGENT_RECORD_FILE,
		.device = key.device, .inode = key.inode, .size_bytes = key.size_bytes,
		.mtime_ns = key.mtime_ns, .ctime_ns = key.ctime_ns,
		.reason = reason,
		.segments = segments->n,
		.pages = segments->pages,
		.path_bytes = (uint32_t)strnlen(path, AGENT_PATH_MAX),
	};
	struct iovec parts[] = {
		{ (void *)(uintptr_t)segments->v, segments->n * sizeof(segments->v[0]) },
		{ result->pages, (size_t)segments->pages * AGENT_DIGEST_BYTES },
		{ (void *)(uintptr_t)path, record.path_bytes },
	};

	memcpy(record.sha256, result->sha256, sizeof(record.sha256));
	return append(&record.record, sizeof(record), parts, ARRAY_SIZE(parts), sequence);
}

/* --- one file --- */

/* What the file is called, as seen from our root; of one that is gone, what it was called. */
static void path_of(int fd, const struct stat *stat, char path[AGENT_PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	size_t tail = sizeof(deleted) - 1;
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, AGENT_PATH_MAX - 1);
	if (n < 0)
		n = 0;
	if (stat->st_nlink == 0 && (size_t)n > tail && !memcmp(path + n - tail, deleted, tail))
		n -= (ssize_t)tail;
	path[n] = 0;
}

static bool same_version(const struct version *a, const struct version *b)
{
	struct cache_key left = cache_key_of(a), right = cache_key_of(b);

	return !memcmp(&left, &right, sizeof(left));
}

/* Reading goes on, so it does not hang. */
static bool still_mine(void *ctx)
{
	const struct worker *worker = ctx;

	return post_busy(worker->post, worker->turn);
}

/* The file's records so far, of those that count (VERSIONS_MAX), and @more. */
static uint32_t versions(const struct version *version, uint32_t more)
{
	const struct cache_key key = cache_key_of(version);
	const uint64_t file[] = { key.device, key.inode };
	uint64_t hash = hash_bytes(file, sizeof(file), hash_secret()) | 1;
	uint32_t n = 0;

	pthread_mutex_lock(&measure.versions_lock);
	if (more && measure.versions.n >= VERSIONS_FILES)
		map_free(&measure.versions);
	(void)map_get(&measure.versions, hash, &n);
	if (more)
		(void)!map_put(&measure.versions, hash, n + more);
	pthread_mutex_unlock(&measure.versions_lock);
	return n + more;
}

/* All its pages count, though it is no program that says so. */
static bool is_whole(const struct segments *segments)
{
	return segments->n && !segments->elf;
}

/* Does a record of it fit into the log, with the longest path? */
static bool fits_record(const struct stat *stat, const struct segments *segments)
{
	uint64_t bytes = sizeof(struct agent_file) + AGENT_PATH_MAX + 8 +
			 segments->n * sizeof(segments->v[0]) +
			 (uint64_t)segments->pages * AGENT_DIGEST_BYTES;

	return bytes <= AGENT_RECORD_MAX && (!stat->st_uid || segments->pages <= USER_PAGES_MAX);
}

/*
 * What is written from now on gets another time than the file has; where the file system's are
 * coarser than TICK_NS, it is fresh.
 */
static int begin(int fd, struct result *result)
{
	uint64_t age_ns;
	int r;

	r = version_of_fd(fd, &result->version);
	if (r < 0)
		return r;
	age_ns = now_ns(CLOCK_REALTIME) - cache_key_of(&result->version).ctime_ns;
	if (age_ns < TICK_NS) {
		const struct timespec rest = { 0, (long)(TICK_NS - age_ns) };

		nanosleep(&rest, NULL);
		r = version_of_fd(fd, &result->version);
		if (r < 0)
			return r;
		age_ns = now_ns(CLOCK_REALTIME) - cache_key_of(&result->version).ctime_ns;
	}
	result->fresh = age_ns < FRESH_NS;
	result->changed = false;
	return 0;
}

/* Its digests; -ESTALE where it became shorter meanwhile. */
static int measure_once(const struct worker *worker, int fd, const struct job *job,
			struct result *result)
{
	bool pages = job->reason == AGENT_EXEC || job->reason == AGENT_MAPPED ||
		     job->cover != COVER_NONE;
	uint64_t size_bytes;
	struct version after;
	int r = begin(fd, result);

	if (r < 0)
		return r;
	size_bytes = (uint64_t)result->version.stat.st_size;
	if (size_bytes > (result->version.stat.st_uid ? USER_BYTES_MAX : FILE_BYTES_MAX))
		return -EFBIG;
	result->segments = (struct segments){0};
	r = job->cover == COVER_ALL ? segments_all(size_bytes, &result->segments) :
	    pages ? segments_read(fd, size_bytes, &result->segments) : 0;
	if (r < 0)
		return r;
	/* A script has no code that a processor runs. */
	if (job->cover == COVER_NONE && !result->segments.elf)
		result->segments = (struct segments){0};
	if (!fits_record(&result->version.stat, &result->segments))
		return -EFBIG;
	if (is_whole(&result->segments) && versions(&result->version, 0) >= VERSIONS_MAX)
		return -EDQUOT;

	result->pages = malloc((size_t)result->segments.pages * AGENT_DIGEST_BYTES + 1);
	if (!result->pages)
		return -ENOMEM;
	r = digest_file(fd, size_bytes, &result->segments, worker->buffer, result->sha256,
			result->pages, still_mine, (void *)(uintptr_t)worker);
	result->changed = r >= 0 && (version_of_fd(fd, &after) < 0 ||
				     !same_version(&result->version, &after));
	return r;
}

/*
 * Until it stands still. -ESTALE where it does not; but one whose times only change all the time
 * (chmod(1), touch(1)) has the same contents twice, and the second time after its times were read.
 */
static int measure_whole(const struct worker *worker, int fd, const struct job *job,
			 struct result *result)
{
	int r = -ESTALE;

	for (int i = 0; i < TRIES_MAX && (r == -ESTALE || result->changed); i++) {
		const struct result before = *result;

		free(result->pages);
		result->pages = NULL;
		r = measure_once(worker, fd, job, result);
		if (r >= 0 && i && before.changed && result->changed &&
		    before.version.stat.st_size == result->version.stat.st_size &&
		    !memcmp(before.sha256, result->sha256, sizeof(before.sha256)))
			return 0;
	}
	return r >= 0 && result->changed ? -ESTALE : r;
}

static struct cache_entry entry_of(const struct result *result, const char *path)
{
	const struct segments *segments = &result->segments;
	struct cache_entry entry = {
		.key = cache_key_of(&result->version),
		.fresh = result->fresh,
		.cover = segments->elf ? COVER_CODE : segments->n ? COVER_ALL : COVER_NONE,
		.runs_files = interpreter_by_name(path),
	};

	entry.in_one = segments->n <= 1;
	if (segments->n == 1) {
		entry.first_page = (uint32_t)segments->v[0].first_page;
		entry.pages = segments->pages;
	}
	memcpy(&entry.tag, result->sha256, sizeof(entry.tag));
	return entry;
}

/* Is there room in the log for a file of this owner's? Anybody can make as many as he likes. */
static bool has_share(const struct stat *stat)
{
	return !stat->st_uid ||
	       __atomic_load_n(&our_anchor->log_bytes, __ATOMIC_RELAXED) <=
		       measure.agent->log.memory.size_bytes / USERS_SHARE;
}

/* The file can be opened, but not be measured. */
static void note_unreadable(int fd, const struct version *version, enum agent_reason reason,
			    int error)
{
	struct cache_entry entry = { .key = cache_key_of(version), .unreadable = true }, known;
	char path[AGENT_PATH_MAX];

	/* One record for all the versions of a file that never stands still, or had too many. */
	if (error == ESTALE || error == EDQUOT)
		entry.key.size_bytes = entry.key.mtime_ns = entry.key.ctime_ns =
			entry.key.verity = 0;
	if (cache_find(&measure.cache, &entry.key, &known) && known.unreadable)
		return;
	if (!has_share(&version->stat)) {
		measure_lost(1);
		return;
	}
	path_of(fd, &version->stat, path);
	if (append_unreadable(&entry.key, path, reason, error, &entry.sequence) >= 0)
		(void)!cache_put(&measure.cache, &entry);
}

/* UINT64_MAX: there is no room, and no use in trying again. Or an error: there is. */
static int record_file(const struct result *result, const char *path, enum agent_reason reason,
		       uint64_t *sequence)
{
	int r = -ENOSPC;

	if (has_share(&result->version.stat))
		r = append_file(result, path, reason, sequence);
	else
		measure_lost(1);
	if (r == -ENOSPC) {
		__atomic_store_n(&measure.left_out, true, __ATOMIC_RELAXED);
		*sequence = UINT64_MAX;
		return 0;
	}
	if (r < 0)
		measure_miss();
	else if (is_whole(&result->segments))
		versions(&result->version, 1);
	return r;
}

static void measure_file(const struct worker *worker, int fd, const struct job *job)
{
	cleanup(result_free) struct result result = {0};
	struct cache_entry entry, known;
	char path[AGENT_PATH_MAX];
	int r;

	if (version_of_fd(fd, &result.version) < 0 || !S_ISREG(result.version.stat.st_mode) ||
	    measure_known(&result.version, job->cover, NULL))
		return;
	r = measure_whole(worker, fd, job, &result);
	if (r == -ECANCELED)
		return;
	if (r < 0) {
		note_unreadable(fd, &result.version, job->reason, -r);
		return;
	}
	/* The other worker may have been faster: a script is executed, and given by name. */
	if (measure_known(&result.version, job->cover, NULL))
		return;
	path_of(fd, &result.version.stat, path);
	entry = entry_of(&result, path);
	/* One record for all its versions that differ in their times only. */
	if (result.changed)
		entry.key.mtime_ns = entry.key.ctime_ns = 0;
	/* Looked at once more because it was fresh, and it is what it was. */
	if (cache_find(&measure.cache, &entry.key, &known) && !known.unreadable &&
	    known.tag == entry.tag && known.cover == entry.cover)
		entry.sequence = known.sequence;
	else if (record_file(&result, path, job->reason, &entry.sequence) < 0)
		return;
	(void)!cache_put(&measure.cache, &entry);
}

/* --- workers --- */

int measure_open(const char *path)
{
	cleanup(fd_close) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat stat;
	char link[32];
	int opened;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	if (!S_ISREG(stat.st_mode))
		return -ENOENT;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	opened = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return opened < 0 ? -errno : opened;
}

static void run_job(const struct worker *worker, const struct job *job)
{
	cleanup(fd_close) int opened = -1;
	int fd = job->fd;
	char path[AGENT_PATH_MAX];
	ssize_t n;

	if (fd < 0)
		fd = opened = measure_open(job->path);
	if (fd >= 0) {
		measure_file(worker, fd, job);
	} else if (fd != -ENOENT && fd != -ESRCH && fd != -ENOTDIR) {
		/* Of a link in /proc, what it leads to. */
		n = readlink(job->path, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = 0;
		measure_unreadable(n > 0 ? path : job->path, job->reason, -fd);
	}
}

/* NULL: the post is another's now. */
static struct job *next_job(struct queue *queue, const struct worker *worker)
{
	struct job *job;

	pthread_mutex_lock(&queue->lock);
	if (!post_waits(worker->post, worker->turn)) {
		pthread_mutex_unlock(&queue->lock);
		return NULL;
	}
	queue->done += queue->busy;
	queue->busy = false;
	while (!queue->n)
		pthread_cond_wait(&queue->more, &queue->lock);
	job = queue->jobs[queue->first];
	queue->first = (queue->first + 1) % MEASURE_QUEUE;
	queue->n--;
	queue->busy = true;
	(void)post_busy(worker->post, worker->turn);
	pthread_mutex_unlock(&queue->lock);
	return job;
}

static void job_free(struct job **job)
{
	if (*job && (*job)->fd >= 0)
		close((*job)->fd);
	free(*job);
}

static void work(struct post *post, uint32_t turn, void *ctx)
{
	cleanup(freep) uint8_t *buffer = malloc(DIGEST_BUFFER_BYTES);
	struct worker worker = { post, turn, buffer };
	struct queue *queue = ctx;

	for (;;) {
		cleanup(job_free) struct job *job = buffer ? next_job(queue, &worker) : NULL;

		if (!job)
			return;
		run_job(&worker, job);
	}
}

static int on_tick(void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	pthread_mutex_lock(&measure.lost_lock);
	measure.lost_told = false;
	tell_lost();
	pthread_mutex_unlock(&measure.lost_lock);
	for (int i = 0; i < MEASURE_WORKERS; i++)
		if (post_watch(&measure.queues[i].post))
			measure_lost(1);
	return 0;
}

static int push(enum measure_worker worker, int fd, const char *path, enum agent_reason reason,
		enum cache_cover cover)
{
	struct queue *queue = &measure.queues[worker];
	size_t path_bytes = strlen(path) + 1;
	cleanup(freep) struct job *job = NULL;
	cleanup(fd_close) int owned = fd;
	int r = -EAGAIN;

	if (path_bytes > MEASURE_PATH_MAX)
		return -ENAMETOOLONG;
	job = malloc(sizeof(*job) + path_bytes);
	if (!job) {
		measure_miss();
		return -ENOMEM;
	}
	*job = (struct job){ fd, reason, cover };
	memcpy(job->path, path, path_bytes);

	pthread_mutex_lock(&queue->lock);
	if (queue->n < MEASURE_QUEUE) {
		queue->jobs[(queue->first + queue->n++) % MEASURE_QUEUE] = take_ptr(&job);
		take_fd(&owned);
		queue->pushed++;
		pthread_cond_signal(&queue->more);
		r = 0;
	}
	pthread_mutex_unlock(&queue->lock);
	if (r < 0)
		measure_miss();
	return r;
}

int measure_fd(enum measure_worker worker, int fd, enum agent_reason reason,
	       enum cache_cover cover)
{
	return push(worker, fd, "", reason, cover);
}

int measure_path(enum measure_worker worker, const char *path, enum agent_reason reason,
		 enum cache_cover cover)
{
	return push(worker, -1, path, reason, cover);
}

bool measure_known(const struct version *version, enum cache_cover cover,
		   struct cache_entry *entry)
{
	struct cache_key key = cache_key_of(version);
	struct cache_entry found;

	if (!cache_find(&measure.cache, &key, &found))
		return false;
	if (entry)
		*entry = found;
	if (found.unreadable || found.cover < cover)
		return false;
	/* Sums of times of another clock setting may be anything: then it is looked at again. */
	return !found.fresh || now_ns(CLOCK_REALTIME) - key.ctime_ns < 2 * FRESH_NS;
}

void measure_forget(uint64_t device)
{
	cache_drop(&measure.cache, device);
}

uint32_t measure_room(enum measure_worker worker)
{
	struct queue *queue = &measure.queues[worker];
	uint32_t room;

	pthread_mutex_lock(&queue->lock);
	room = MEASURE_QUEUE - queue->n;
	pthread_mutex_unlock(&queue->lock);
	return room;
}

enum measure_worker measure_worker_of(const struct stat *stat)
{
	return stat->st_uid ? MEASURE_USER : MEASURE_LOCAL;
}

/* Are the first @n jobs of a queue done? 0: take those that were pushed by now. */
static bool is_done(struct queue *queue, uint64_t *n)
{
	bool done;

	pthread_mutex_lock(&queue->lock);
	if (!*n)
		*n = queue->pushed;
	done = queue->done >= *n;
	pthread_mutex_unlock(&queue->lock);
	return done;
}

struct measure_mark measure_mark(void)
{
	struct measure_mark mark;

	for (int i = 0; i < MEASURE_WORKERS; i++) {
		mark.pushed[i] = 0;
		(void)is_done(&measure.queues[i], &mark.pushed[i]);
	}
	return mark;
}

bool measure_reached(const struct measure_mark *mark)
{
	for (int i = 0; i < MEASURE_WORKERS; i++) {
		uint64_t n = mark->pushed[i];

		if (n && !is_done(&measure.queues[i], &n))
			return false;
	}
	return !__atomic_load_n(&measure.left_out, __ATOMIC_RELAXED);
}

bool measure_settled(void)
{
	static uint64_t local, user, since;
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	bool users_done = is_done(&measure.queues[MEASURE_USER], &user);

	if (!since)
		since = now;
	return is_done(&measure.queues[MEASURE_LOCAL], &local) &&
	       (users_done || now - since > SETTLE_NS);
}

int measure_start(struct agent *agent, struct err *err)
{
	measure.agent = agent;
	for (int i = 0; i < MEASURE_WORKERS; i++) {
		struct queue *queue = &measure.queues[i];
		int r;

		pthread_mutex_init(&queue->lock, NULL);
		pthread_cond_init(&queue->more, NULL);
		r = post_start(&queue->post, work, queue, err);
		if (r < 0)
			return r;
	}
	return loop_every(&agent->loop, on_tick, NULL, err);
}
