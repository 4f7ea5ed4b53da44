/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "monitor/calls.h"
#include "monitor/channel.h"
#include "monitor/landlock.h"
#include "monitor/sandbox_calls.h"

#if CALLS_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

#define SANDBOX_USER_NAME "hvsm"

/*
 * Where the package's user was not made (a build that was only copied): "nobody", the kernel's
 * overflow ID. It owns no file, and no other process of a host should run as it; if one does, it
 * could be signalled, were there a system call for that left.
 */
#define SANDBOX_USER_FALLBACK 65534u

/* --- what is said last --- */

static int told_at = -1;
static uint32_t told_type;

/*
 * A forbidden system call: tell the starter which, then make another, which ends the process
 * since the handler is gone by then. Nothing here but system calls: the process may be anybody's.
 */
static void on_forbidden(int signal, siginfo_t *info, void *context)
{
	uint8_t text[12];
	struct writer w = writer_of(text, sizeof(text));
	struct iovec part = { text, sizeof(text) };
	const struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };

	(void)signal;
	(void)context;
	write_u32(&w, told_type);
	write_u32(&w, sizeof(uint32_t));
	write_u32(&w, (uint32_t)info->si_syscall);
	sendmsg(told_at, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	syscall(SYS_execve, NULL, NULL, NULL);
	_exit(127);
}

static int catch_forbidden(const struct sandbox *sandbox, struct err *err)
{
	struct sigaction action = { .sa_sigaction = on_forbidden,
				    .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) };

	told_at = sandbox->channel;
	told_type = sandbox->violation;
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return err_set(err, -errno, "SIGSYS: %s", strerror(errno));
	return 0;
}

/* --- before --- */

static int number_order(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* What libraries look up once, in files, the first time that they are used. */
static int warm_up(struct err *err)
{
	int numbers[512] = { 2, 1 };
	time_t now = time(NULL);
	struct tm tm;

	if (sodium_init() < 0)
		return err_set(err, -EIO, "libsodium does not start");
	hash_secret();
	json_object_seed(0);				/* /dev/urandom */
	tzset();					/* /etc/localtime */
	if (!gmtime_r(&now, &tm))
		return err_set(err, -EIO, "no time");
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), number_order);
	return 0;
}

int sandbox_silence(struct err *err)
{
	cleanup(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int last = CALLS_SANITIZED ? STDOUT_FILENO : STDERR_FILENO;

	if (null < 0)
		return err_set(err, -errno, "/dev/null: %s", strerror(errno));
	for (int fd = 0; fd <= last; fd++)
		if (dup2(null, fd) < 0)
			return err_set(err, -errno, "/dev/null: %s", strerror(errno));
	if (null <= STDERR_FILENO)
		null = -1;
	return 0;
}

int sandbox_prepare(struct sandbox *sandbox, int channel, uint32_t violation, struct err *err)
{
	const struct passwd *user;
	int r;

	*sandbox = (struct sandbox){
		.channel = channel, .violation = violation,
		.user = SANDBOX_USER_FALLBACK, .group = SANDBOX_USER_FALLBACK,
		.drop = geteuid() == 0,
	};
	user = sandbox->drop ? getpwnam(SANDBOX_USER_NAME) : NULL;
	if (user && user->pw_uid) {
		sandbox->user = user->pw_uid;
		sandbox->group = user->pw_gid;
	}
	r = warm_up(err);
	return r < 0 ? r : sandbox_silence(err);
}

/* --- namespaces --- */

/* A root directory with nothing in it; the old one is out of reach. */
static bool leave_files(void)
{
	const unsigned long none = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/proc", "tmpfs", none, "size=4k,nr_inodes=1,mode=555") == 0 &&
	       chdir("/proc") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	       umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

/* Without privileges one needs a user namespace for the others; hosts may forbid that. */
static void leave_namespaces(struct sandbox *sandbox)
{
	if (unshare(CLONE_NEWNET) == 0)
		sandbox->has |= SANDBOX_NETWORK;
	else if (!sandbox->drop && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
		sandbox->has |= SANDBOX_NETWORK;
	/* Nothing is shared by shared memory of System V either. */
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0 && leave_files())
		sandbox->has |= SANDBOX_MOUNTS;
}

/* --- privileges --- */

static int drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_set(err, -errno, "ambient capabilities: %s", strerror(errno));
	if (syscall(SYS_capset, &header, none) < 0)
		return err_set(err, -errno, "capabilities: %s", strerror(errno));
	return 0;
}

/* Who has CAP_SETPCAP can; who has not has none to bound, but by a program that gives some. */
static void drop_bounds(void)
{
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return;
}

static int become(const struct sandbox *sandbox, struct err *err)
{
	uid_t real, effective, saved;

	if (setgroups(0, NULL) < 0 ||
	    setresgid(sandbox->group, sandbox->group, sandbox->group) < 0 ||
	    setresuid(sandbox->user, sandbox->user, sandbox->user) < 0)
		return err_set(err, -errno, "user %u: %s", sandbox->user, strerror(errno));
	if (getresuid(&real, &effective, &saved) < 0 || real != sandbox->user ||
	    effective != sandbox->user || saved != sandbox->user || setuid(0) == 0)
		return err_set(err, -EPERM, "it is still root");
	return 0;
}

static int drop_privileges(struct sandbox *sandbox, struct err *err)
{
	int r = 0;

	drop_bounds();
	if (sandbox->drop)
		r = become(sandbox, err);
	if (r < 0)
		return r;
	if (sandbox->drop)
		sandbox->has |= SANDBOX_USER;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "no_new_privs: %s", strerror(errno));
	r = drop_capabilities(err);
	if (r < 0)
		return r;
	/* Nobody with the same user ID may look into it, or write its memory to a file. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, -errno, "dumpable: %s", strerror(errno));
	/* After the change of user, which resets it: whom its starter leaves alone ends. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(err, -errno, "parent-death signal: %s", strerror(errno));
	return 0;
}

/* --- limits --- */

/*
 * What is mapped, but not its own memory: the program, its libraries, a kernel and a module of the
 * reference, windows on a guest's RAM (ram/window.h). A memfd that it made, and mapped and closed,
 * would be on no other bill.
 */
#define MAPPED_MAX (1ull << 30)

static int limit(const struct sandbox_limits *limits, struct err *err)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t most;
		const char *name;
	} all[] = {
		/* Sanitizers map terabytes of shadow. */
		{ RLIMIT_DATA, CALLS_SANITIZED ? RLIM_INFINITY : limits->memory_bytes, "memory" },
		{ RLIMIT_AS, CALLS_SANITIZED ? RLIM_INFINITY : limits->memory_bytes + MAPPED_MAX,
		  "addresses" },
		{ RLIMIT_FSIZE, limits->file_bytes, "file size" },
		{ RLIMIT_CPU, limits->cpu_s ? limits->cpu_s : RLIM_INFINITY, "processor time" },
		{ RLIMIT_NOFILE, limits->fds, "descriptors" },
		{ RLIMIT_NPROC, 0, "processes" },
		{ RLIMIT_CORE, 0, "core files" },
		{ RLIMIT_MEMLOCK, 0, "locked memory" },
		{ RLIMIT_MSGQUEUE, 0, "message queues" },
		{ RLIMIT_RTPRIO, 0, "priority" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct rlimit now, want = { all[i].most, all[i].most };

		/* One that is lower already may not be raised. */
		if (getrlimit(all[i].what, &now) == 0 && now.rlim_max < want.rlim_max)
			want = (struct rlimit){ now.rlim_max, now.rlim_max };
		if (setrlimit(all[i].what, &want) < 0)
			return err_set(err, -errno, "limit of %s: %s", all[i].name,
				       strerror(errno));
	}
	return 0;
}

/* --- in --- */

static int close_others(const struct sandbox *sandbox, struct err *err)
{
	unsigned channel = (unsigned)sandbox->channel;

	if ((channel > 3 && syscall(SYS_close_range, 3, channel - 1, 0) < 0) ||
	    syscall(SYS_close_range, channel + 1, ~0u, 0) < 0)
		return err_set(err, -errno, "descriptors: %s", strerror(errno));
	return 0;
}

int sandbox_enter(struct sandbox *sandbox, const struct sandbox_limits *limits, struct err *err)
{
	int r = close_others(sandbox, err);

	if (r < 0)
		return r;
#if CALLS_SANITIZED
	/* They read /proc/self/maps once more, and start what turns addresses into lines. */
	__sanitizer_sandbox_on_notify(NULL);
#endif
	leave_namespaces(sandbox);
	r = drop_privileges(sandbox, err);
	if (r >= 0)
		r = limit(limits, err);
	if (r >= 0) {
		if (landlock_deny(false, NULL, 0, NULL) == 0)
			sandbox->has |= SANDBOX_LANDLOCK;
		r = catch_forbidden(sandbox, err);
	}
	if (r >= 0)
		r = sandbox_calls_load(err);
	return r;
}
