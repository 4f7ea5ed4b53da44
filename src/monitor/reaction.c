/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/reaction.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/now.h"
#include "monitor/reaction_kinds.h"
#include "monitor/sealed.h"
#include "report/encode.h"

#define SECOND_NS 1000000000ull
#define HOUR_NS	  (3600 * SECOND_NS)

/* What has its own deadline reports better than who ends it; then it is ended, then killed. */
#define OWN_DEADLINE_NS SECOND_NS
#define GRACE_NS	(2 * SECOND_NS)

struct attempt {
	pid_t pid;
	int pidfd, words;
	uint64_t started_ns;	/* CLOCK_MONOTONIC, as the next */
	uint64_t deadline_ns;	/* of what it is in: its time, its grace */
	bool terminated;
	enum reaction_kind kind;
	char *guest, *reaction;
	char finding[FINDING_ID_TEXT];
};

struct rate {
	uint64_t key;		/* hash of guest and reaction */
	uint64_t full_ns;
	bool told;		/* that the limit was reached */
};

struct reactor {
	audit_fn *audit;
	void *ctx;
	char *libvirt;
	int epoll, timer;
	VEC(struct attempt) attempts;
	VEC(struct rate) rates;
};

const char *audit_outcome_name(enum audit_outcome outcome)
{
	static const char *const names[] = {
		[AUDIT_STARTED] = "started", [AUDIT_DONE] = "done", [AUDIT_FAILED] = "failed",
		[AUDIT_TIMED_OUT] = "timed-out", [AUDIT_RATE_LIMITED] = "rate-limited",
		[AUDIT_OBSERVED] = "observed", [AUDIT_BUSY] = "busy",
	};

	return names[outcome];
}

bool audit_is_undone(enum audit_outcome outcome)
{
	return outcome == AUDIT_FAILED || outcome == AUDIT_TIMED_OUT ||
	       outcome == AUDIT_RATE_LIMITED || outcome == AUDIT_BUSY;
}

bool rate_take(uint64_t *full_ns, uint32_t per_hour, uint64_t now_ns)
{
	uint64_t each_ns = HOUR_NS / per_hour, full = *full_ns > now_ns ? *full_ns : now_ns;

	if (full - now_ns > HOUR_NS - each_ns)
		return false;
	*full_ns = full + each_ns;
	return true;
}

static void attempt_clear(struct attempt *attempt)
{
	fd_close(&attempt->pidfd);
	fd_close(&attempt->words);
	free(attempt->guest);
	free(attempt->reaction);
}

/* The timer goes off at the first deadline. */
static void set_timer(struct reactor *reactor)
{
	struct itimerspec when = {0};
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < reactor->attempts.n; i++)
		if (reactor->attempts.v[i].deadline_ns < first)
			first = reactor->attempts.v[i].deadline_ns;
	if (first != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(first / SECOND_NS);
		when.it_value.tv_nsec = (long)(first % SECOND_NS);
	}
	timerfd_settime(reactor->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static int watch(struct reactor *reactor, int fd, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(reactor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ?
		err_set(err, -errno, "epoll: %s", strerror(errno)) : 0;
}

int reactor_libvirt(struct reactor *reactor, const char *uri)
{
	char *copy = strdup(uri);

	if (!copy)
		return -ENOMEM;
	free(reactor->libvirt);
	reactor->libvirt = copy;
	return 0;
}

int reactor_create(audit_fn *audit, void *ctx, const char *libvirt, struct reactor **ret,
		   struct err *err)
{
	cleanup(reactor_free) struct reactor *reactor = calloc(1, sizeof(*reactor));
	int r;

	if (!reactor)
		return err_set(err, -ENOMEM, "no memory for reactions");
	reactor->audit = audit;
	reactor->ctx = ctx;
	reactor->timer = -1;
	reactor->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (reactor->epoll >= 0)
		reactor->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (reactor->timer < 0)
		return err_set(err, -errno, "a timer for reactions: %s", strerror(errno));
	r = watch(reactor, reactor->timer, err);
	if (r < 0)
		return r;
	if (reactor_libvirt(reactor, libvirt ? libvirt : "qemu:///system") < 0)
		return err_set(err, -ENOMEM, "no memory for reactions");
	*ret = take_ptr(&reactor);
	return 0;
}

int reactor_fd(const struct reactor *reactor)
{
	return reactor->epoll;
}

size_t reactor_running(const struct reactor *reactor)
{
	return reactor->attempts.n;
}

/* What an attempt said, on one line. */
static void words_of(const struct attempt *attempt, char *text, size_t size)
{
	ssize_t n = pread(attempt->words, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
}

static void audit_end(struct reactor *reactor, const struct attempt *attempt,
		      enum audit_outcome outcome, const char *text)
{
	struct audit audit = {
		.time_ns = now_ns(CLOCK_REALTIME),
		.duration_ns = now_ns(CLOCK_MONOTONIC) - attempt->started_ns,
		.guest = attempt->guest, .reaction = attempt->reaction, .kind = attempt->kind,
		.finding = attempt->finding, .outcome = outcome, .text = text,
	};

	reactor->audit(&audit, reactor->ctx);
}

/* It has ended, with this status of waitpid(). */
static void end(struct reactor *reactor, const struct attempt *attempt, int status)
{
	char words[200], text[300];

	words_of(attempt, words, sizeof(words));
	if (attempt->terminated) {
		snprintf(text, sizeof(text), "its time was over%s%s", *words ? ": " : "", words);
		audit_end(reactor, attempt, AUDIT_TIMED_OUT, text);
	} else if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "killed by signal %d%s%s", WTERMSIG(status),
			 *words ? ": " : "", words);
		audit_end(reactor, attempt, AUDIT_FAILED, text);
	} else if (WEXITSTATUS(status)) {
		snprintf(text, sizeof(text), "exit status %d%s%s", WEXITSTATUS(status),
			 *words ? ": " : "", words);
		audit_end(reactor, attempt, AUDIT_FAILED, text);
	} else {
		audit_end(reactor, attempt, AUDIT_DONE, words);
	}
}

/* Ends one that takes too long: first it may tidy up. */
static void press(struct attempt *attempt, uint64_t now)
{
	if (now < attempt->deadline_ns)
		return;
	/* The session has the PID of its first process; what that started goes with it. */
	kill(-attempt->pid, attempt->terminated ? SIGKILL : SIGTERM);
	kill(attempt->pid, attempt->terminated ? SIGKILL : SIGTERM);
	attempt->terminated = true;
	attempt->deadline_ns = now + GRACE_NS;
}

void reactor_dispatch(struct reactor *reactor)
{
	uint64_t expired, now = now_ns(CLOCK_MONOTONIC);
	size_t kept = 0;

	if (read(reactor->timer, &expired, sizeof(expired)) < 0 && errno != EAGAIN)
		return;
	for (size_t i = 0; i < reactor->attempts.n; i++) {
		struct attempt attempt = reactor->attempts.v[i];
		siginfo_t info = {0};
		int status = 0;

		if (waitid(P_PID, (id_t)attempt.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == 0) {
			press(&attempt, now);
			reactor->attempts.v[kept++] = attempt;
			continue;
		}
		/* While it is not reaped its PID, and so its session's, is nobody else's. */
		kill(-attempt.pid, SIGKILL);
		waitpid(attempt.pid, &status, 0);
		end(reactor, &attempt, status);
		attempt_clear(&attempt);
	}
	reactor->attempts.n = kept;
	set_timer(reactor);
}

void reactor_free(struct reactor **reactor)
{
	struct reactor *r = *reactor;

	if (!r)
		return;
	for (size_t i = 0; i < r->attempts.n; i++) {
		struct attempt *attempt = &r->attempts.v[i];

		kill(-attempt->pid, SIGKILL);
		kill(attempt->pid, SIGKILL);
		while (waitpid(attempt->pid, NULL, 0) < 0 && errno == EINTR)
			;
		audit_end(r, attempt, AUDIT_FAILED, "the daemon ends");
		attempt_clear(attempt);
	}
	vec_free(&r->attempts);
	vec_free(&r->rates);
	fd_close(&r->timer);
	fd_close(&r->epoll);
	free(r->libvirt);
	free(r);
	*reactor = NULL;
}

/* NULL: there is no room. */
static struct rate *rate_of(struct reactor *reactor, const char *guest, const char *reaction,
			    uint64_t now)
{
	uint64_t key = hash_bytes(guest, strlen(guest) + 1, hash_secret()) * 3 +
		       hash_bytes(reaction, strlen(reaction), hash_secret());
	struct rate *rate;
	size_t kept = 0;

	for (size_t i = 0; i < reactor->rates.n; i++)
		if (reactor->rates.v[i].key == key)
			return &reactor->rates.v[i];
	/* One that is full again is as one that never was. */
	for (size_t i = 0; i < reactor->rates.n; i++)
		if (reactor->rates.v[i].full_ns > now)
			reactor->rates.v[kept++] = reactor->rates.v[i];
	reactor->rates.n = kept;
	rate = kept < REACTION_RATES_MAX ? vec_add(&reactor->rates) : NULL;
	if (rate)
		*rate = (struct rate){ .key = key };
	return rate;
}

/* A file for what an attempt says, that does not grow whatever it says. */
static int words_file(void)
{
	int fd = memfd_create("hvsm-reaction", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (ftruncate(fd, REACTION_WORDS_MAX) < 0 ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int start(struct reactor *reactor, const struct config_reaction *reaction,
		 const struct reaction_guest *guest, const char *finding, const char *message,
		 struct err *err)
{
	struct reaction_job job = { .reaction = reaction, .pid = guest->pid,
				    .domain = guest->domain, .uuid = guest->uuid,
				    .libvirt = reactor->libvirt };
	cleanup(fd_close) int input = sealed_make("hvsm-finding", message, strlen(message), err);
	struct attempt attempt = { .pidfd = -1, .words = words_file(), .kind = reaction->kind };
	struct attempt *room = vec_add(&reactor->attempts);

	attempt.guest = strdup(guest->key);
	attempt.reaction = strdup(reaction->name);
	attempt.started_ns = now_ns(CLOCK_MONOTONIC);
	attempt.deadline_ns = attempt.started_ns + reaction->timeout_s * SECOND_NS +
			      (reaction->kind == REACTION_RUN ? 0 : OWN_DEADLINE_NS);
	snprintf(attempt.finding, sizeof(attempt.finding), "%s", finding);
	if (input >= 0 && attempt.words >= 0 && room && attempt.guest && attempt.reaction) {
		attempt.pid = fork();
		if (attempt.pid == 0)
			reaction_child(&job, input, attempt.words);
		attempt.pidfd = attempt.pid > 0 ? pidfd_open(attempt.pid, 0) : -1;
		if (attempt.pid > 0 && attempt.pidfd >= 0 &&
		    watch(reactor, attempt.pidfd, err) == 0) {
			*room = attempt;
			set_timer(reactor);
			return 0;
		}
	}
	err_set(err, -EAGAIN, "a process for it: %s", strerror(errno));
	if (attempt.pid > 0) {
		kill(attempt.pid, SIGKILL);
		waitpid(attempt.pid, NULL, 0);
	}
	reactor->attempts.n -= room != NULL;
	attempt_clear(&attempt);
	return -EAGAIN;
}

/* May it be carried out now? DONE: it may. */
static enum audit_outcome may(struct reactor *reactor, const struct config_reaction *reaction,
			      const struct reaction_guest *guest, enum config_mode mode,
			      bool *silent)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	struct rate *rate;

	if (reaction->kind != REACTION_LOG && mode != MODE_ENFORCE)
		return AUDIT_OBSERVED;
	if (reaction->kind != REACTION_LOG && reactor->attempts.n >= REACTIONS_AT_ONCE_MAX)
		return AUDIT_BUSY;
	rate = rate_of(reactor, guest->key, reaction->name, now);
	if (!rate)
		return AUDIT_BUSY;
	if (!rate_take(&rate->full_ns, reaction->per_hour, now)) {
		*silent = rate->told;
		rate->told = true;
		return AUDIT_RATE_LIMITED;
	}
	rate->told = false;
	return AUDIT_DONE;
}

enum audit_outcome reactor_submit(struct reactor *reactor, const struct config_reaction *reaction,
				  const struct reaction_guest *guest, enum config_mode mode,
				  const char *finding, const char *message)
{
	struct audit audit = {
		.guest = guest->key, .reaction = reaction->name, .kind = reaction->kind,
		.finding = finding, .text = "", .message = message,
	};
	struct err err = {0};
	bool silent = false;

	audit.outcome = may(reactor, reaction, guest, mode, &silent);
	audit.time_ns = now_ns(CLOCK_REALTIME);
	if (audit.outcome != AUDIT_DONE || reaction->kind == REACTION_LOG) {
		if (!silent)
			reactor->audit(&audit, reactor->ctx);
		return audit.outcome;
	}
	audit.outcome = AUDIT_STARTED;
	reactor->audit(&audit, reactor->ctx);
	if (strlen(message) > REACTION_MESSAGE_MAX)
		err_set(&err, -ELOOP, "its message is over %u bytes", REACTION_MESSAGE_MAX);
	else if (start(reactor, reaction, guest, finding, message, &err) == 0)
		return AUDIT_STARTED;
	audit.outcome = AUDIT_FAILED;
	audit.text = err.text;
	audit.message = NULL;
	reactor->audit(&audit, reactor->ctx);
	return AUDIT_FAILED;
}

/* A member of a report, or null. */
static json_t *part(const json_t *report, const char *key)
{
	json_t *value = json_object_get(report, key);

	return value ? json_incref(value) : json_null();
}

char *reaction_message(const struct policy_decision *decision, const json_t *report,
		       enum config_mode mode, enum verdict verdict)
{
	json_t *finding = decision->json ? json_deep_copy(decision->json) : json_null();
	json_t *message = json_pack(
		"{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:s, s:o}", "schema", "hvsm.reaction/1",
		"time", encode_time(now_ns(CLOCK_REALTIME)), "reaction", decision->reaction->name,
		"kind", reaction_kind_name(decision->reaction->kind), "mode",
		mode == MODE_ENFORCE ? "enforce" : "observe", "guest", part(report, "guest"),
		"kernel", part(report, "kernel"), "verdict", verdict_name(verdict), "finding",
		finding);
	char *text = json_dump_text(message, 0);

	json_decref(message);
	return text;
}
