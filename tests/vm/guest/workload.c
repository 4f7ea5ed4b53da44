/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload - fill a guest with one of each thing that the product lists
 *
 * Returns when all of it is there, having printed a line "ROLE PID" for each process; they stay
 * until they are killed. Every role's process carries its role as its comm unless said otherwise, and
 * all are children of "lab-main", which waits for none of them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define WEIRD_COMM "\033[31m\nx\t\\"
#define WEIRD_FILE "/tmp/we\nird \033[2J\\\377"

static const int report = 1;	/* where the lines go */
static int proc = -1;		/* the first PID namespace's /proc, which knows everybody's number there */

static void die(const char *what)
{
	dprintf(2, "workload: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* V is the value of an expression that is negative when it failed. */
#define must(v) ({ __typeof__(v) v_ = (v); if (v_ < 0) die(#v); v_; })

static void say(const char *role)
{
	char line[64], pid[16] = "";
	int n;

	if (proc < 0)
		proc = must(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
	must(readlinkat(proc, "self", pid, sizeof(pid) - 1));
	n = snprintf(line, sizeof(line), "%s %s\n", role, pid);
	must(write(report, line, (size_t)n));
}

/* Let go of whoever started all this, so that nobody waits for our end. */
static void detach(void)
{
	int null = must(open("/dev/null", O_RDWR));

	must(dup2(null, 1));
	must(dup2(null, 2));
	close(null);
}

static void sleep_forever(void)
{
	detach();
	for (;;)
		pause();
}

/*
 * Start ROLE as a process of its own and wait until it is as it shall stay: RUN calls ready(), or
 * execs itself, which closes the pipe as well.
 */
static int ready_fd = -1;

static void ready(const char *role)
{
	say(role);
	must(write(ready_fd, "", 1));
	close(ready_fd);
	close(proc);
	ready_fd = proc = -1;
}

static pid_t role(const char *name, void (*run)(void))
{
	int fds[2];
	char byte;
	pid_t pid;

	must(pipe2(fds, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		close(fds[0]);
		if (ready_fd >= 0)
			close(ready_fd);
		ready_fd = fds[1];
		prctl(PR_SET_NAME, name);
		run();
		sleep_forever();
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1) {
		dprintf(2, "workload: role %s failed\n", name);
		exit(1);
	}
	close(fds[0]);
	return pid;
}

/* --- processes --- */

static void leaf(void)
{
	char name[16];

	prctl(PR_GET_NAME, name);
	ready(name);
}

static void branch(void)
{
	role("lab-leaf", leaf);
	ready("lab-branch");
}

static void root(void)
{
	role("lab-branch", branch);
	role("lab-branch", branch);
	ready("lab-root");
}

static pthread_barrier_t barrier;

static void *thread(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "worker-%d", (int)(long)arg);
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return NULL;
}

static void threads(void)
{
	pthread_t id;

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&id, NULL, thread, (void *)i))
			die("pthread_create");
	pthread_barrier_wait(&barrier);
	ready("lab-threads");
}

/* Another user, with one capability left, in a session of its own. */
static void daemon_role(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	unsigned int keep = 1u << CAP_NET_BIND_SERVICE;

	must(setsid());
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(setresgid(1000, 1000, 1000));
	must(setresuid(1000, 1001, 1000));
	caps[0].permitted = caps[0].effective = keep;
	must((int)syscall(SYS_capset, &head, caps));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	ready("lab-daemon");
}

static void write_file(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	must(write(fd, text, strlen(text)));
	close(fd);
}

static void enter_cgroup(const char *path)
{
	char procs[256], pid[16];

	for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
		snprintf(procs, sizeof(procs), "%.*s", (int)(slash - path), path);
		mkdir(procs, 0755);
	}
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(procs, pid);
}

#define CONTAINER "/sys/fs/cgroup/lab.slice/" \
	"docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"

static void contained(void)
{
	must(sethostname("container", 9));
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mount("proc", "/proc", "proc", 0, NULL));
	must(mount("inside", "/mnt", "tmpfs", MS_NOSUID, "size=64k"));
	role("lab-contained", leaf);
	ready("lab-container");
}

/* What a container is: the process that RUN sees as 1, its own mounts, name and cgroup. */
static void container(void)
{
	enter_cgroup(CONTAINER);
	must(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC));
	role("lab-container", contained);
	ready("lab-runtime");
}

static void in_cgroup(void)
{
	enter_cgroup("/sys/fs/cgroup/lab-cgroup");
	ready("lab-cgroup");
}

static void spin(void)
{
	ready("lab-spin");
	detach();
	must(nice(19));
	for (;;)
		;
}

static void stopped(void)
{
	ready("lab-stopped");
	raise(SIGSTOP);
}

/* The parent of a vfork cannot be interrupted until its child is done: state D. */
static void vforked(void)
{
	ready("lab-vfork");
	if (!vfork())
		for (;;)
			pause();
}

static void weird(void)
{
	int fd = must(open(WEIRD_FILE, O_RDWR | O_CREAT, 0600));

	must(write(fd, "weird", 5));
	must(prctl(PR_SET_NAME, WEIRD_COMM));
	ready("lab-weird");
}

/* More arguments than a page holds; what exec runs only has to say that it is there. */
static void longargv(void)
{
	static char text[300][64];
	char *argv[304] = { (char *)"lab-longargv", (char *)"--child", (char *)"lab-longargv" };
	char fd[32], *env[] = { (char *)"LAB=1", fd, NULL };

	for (int i = 0; i < 300; i++) {
		snprintf(text[i], sizeof(text[i]), "argument-%03d-\xc3\xa9\n%032d", i, i);
		argv[i + 3] = text[i];
	}
	snprintf(fd, sizeof(fd), "READY_FD=%d", ready_fd);
	fcntl(ready_fd, F_SETFD, 0);
	execve("/proc/self/exe", argv, env);
	die("exec");
}

static int child(const char *name)
{
	const char *fd = getenv("READY_FD");

	if (!fd)
		return 2;
	ready_fd = atoi(fd);
	prctl(PR_SET_NAME, name);
	ready(name);
	sleep_forever();
	return 0;
}

/* --- files --- */

static void files(void)
{
	int fd, epoll, event, pipes[2];

	fd = must(open("/tmp/deleted file", O_RDWR | O_CREAT, 0600));
	must(write(fd, "0123456789", 10));
	must(lseek(fd, 4, SEEK_SET));
	must(unlink("/tmp/deleted file"));

	fd = must((int)syscall(SYS_memfd_create, "lab-memfd", 0));
	must(ftruncate(fd, 8192));
	if (mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		die("mmap of the memfd");

	must(open("/", O_RDONLY | O_DIRECTORY));
	must(open("/dev/null", O_WRONLY | O_APPEND));
	must(open("/etc/passwd", O_RDONLY));
	must(open("/etc/passwd", O_PATH));
	must(dup2(open("/etc/group", O_RDONLY), 200));	/* a table beyond its first 64 */
	must(pipe(pipes));
	event = must(eventfd(7, 0));
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &(struct epoll_event){ .events = EPOLLIN }));
	must(inotify_init1(0));
	must(timerfd_create(CLOCK_MONOTONIC, 0));
	ready("lab-files");
}

/* --- sockets --- */

static int bound(int family, int type, int protocol, const char *address, uint16_t port)
{
	int fd = must(socket(family, type, protocol));
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	inet_pton(family, address, family == AF_INET ? (void *)&in.sin_addr : &in6.sin6_addr);
	if (family == AF_INET)
		must(bind(fd, (void *)&in, sizeof(in)));
	else
		must(bind(fd, (void *)&in6, sizeof(in6)));
	return fd;
}

static void connected(int family, int type, const char *address, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = must(socket(family, type, 0));

	inet_pton(family, address, family == AF_INET ? (void *)&in.sin_addr : &in6.sin6_addr);
	if (family == AF_INET)
		must(connect(fd, (void *)&in, sizeof(in)));
	else
		must(connect(fd, (void *)&in6, sizeof(in6)));
}

static void unix_bound(int type, const char *name, bool do_listen)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = must(socket(AF_UNIX, type, 0)), peer;

	memcpy(un.sun_path, name, strlen(name));
	if (name[0] == '@')
		un.sun_path[0] = 0;	/* an abstract name */
	else
		unlink(name);
	must(bind(fd, (void *)&un, len));
	peer = must(socket(AF_UNIX, type, 0));
	if (do_listen)
		must(listen(fd, 5));
	must(connect(peer, (void *)&un, len));
	if (do_listen)
		must(accept(fd, NULL, NULL));
}

static void sockets(void)
{
	int fd, pair[2];
	struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1 };

	fd = bound(AF_INET, SOCK_STREAM, 0, "127.0.0.1", 8080);
	must(listen(fd, 5));
	connected(AF_INET, SOCK_STREAM, "127.0.0.1", 8080);
	must(accept(fd, NULL, NULL));
	connected(AF_INET, SOCK_STREAM, "127.0.0.1", 8080);	/* and one that nobody accepts */
	fd = bound(AF_INET6, SOCK_STREAM, 0, "::1", 8081);
	must(listen(fd, 5));
	connected(AF_INET6, SOCK_STREAM, "::1", 8081);
	must(accept(fd, NULL, NULL));
	must(listen(bound(AF_INET6, SOCK_STREAM, 0, "::", 8082), 5));
	must(listen(bound(AF_INET, SOCK_STREAM, 0, "0.0.0.0", 8083), 5));

	bound(AF_INET, SOCK_DGRAM, 0, "127.0.0.1", 5353);
	bound(AF_INET6, SOCK_DGRAM, 0, "::1", 5354);
	connected(AF_INET, SOCK_DGRAM, "127.0.0.1", 5353);
	connected(AF_INET6, SOCK_DGRAM, "::1", 5354);

	must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	must(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	must(socket(AF_PACKET, SOCK_RAW, 0));
	fd = must(socket(AF_PACKET, SOCK_DGRAM, 0));
	must(bind(fd, (void *)&all, sizeof(all)));
	must(socket(AF_NETLINK, SOCK_RAW, 0));

	unix_bound(SOCK_STREAM, "/run/lab.stream", true);
	unix_bound(SOCK_SEQPACKET, "/run/lab.seqpacket", true);
	unix_bound(SOCK_DGRAM, "/run/lab.dgram", false);
	unix_bound(SOCK_STREAM, "@lab.abstract", true);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(socket(AF_UNIX, SOCK_DGRAM, 0));
	ready("lab-sockets");
}

/* --- the machine --- */

static void mounts(void)
{
	mkdir("/tmp/bind-from", 0755);
	mkdir("/tmp/bind to\n\033", 0755);
	must(mount("/tmp/bind-from", "/tmp/bind to\n\033", NULL, MS_BIND, NULL));
	mkdir("/tmp/tmpfs", 0755);
	must(mount("lab tmpfs", "/tmp/tmpfs", "tmpfs", MS_NOEXEC | MS_RDONLY, "size=1m"));
}

/* One write is one record, whole when it ends in a newline; dprintf would ask for the position first, which this file refuses. */
static void kernel_log(void)
{
	static const char plain[] = "<5>lab: a line from user space\n";
	static const char odd[] = "<3>lab: odd bytes \033[31m\377 and \\ in a line\n";
	int fd = must(open("/dev/kmsg", O_WRONLY | O_CLOEXEC));

	must(write(fd, plain, strlen(plain)));
	must(write(fd, odd, strlen(odd)));
	close(fd);
}

static void lab_main(void)
{
	int status = 0;
	pid_t pid;

	must(setsid());
	mounts();
	kernel_log();
	role("lab-root", root);
	role("lab-threads", threads);
	role("lab-daemon", daemon_role);
	role("lab-runtime", container);
	role("lab-cgroup", in_cgroup);
	role("lab-longargv", longargv);
	role("lab-files", files);
	role("lab-sockets", sockets);
	role("lab-weird", weird);
	pid = role("lab-stopped", stopped);
	must(waitpid(pid, &status, WUNTRACED));
	role("lab-vfork", vforked);
	role("lab-spin", spin);

	pid = must(fork());
	if (!pid) {
		prctl(PR_SET_NAME, "lab-zombie");
		say("lab-zombie");
		_exit(7);
	}
	must(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	ready("lab-main");
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "--child"))
		return child(argv[2]);
	if (argc != 1) {
		fprintf(stderr, "usage: workload\n");
		return 2;
	}
	umask(022);
	proc = must(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
	role("lab-main", lab_main);
	return 0;
}
