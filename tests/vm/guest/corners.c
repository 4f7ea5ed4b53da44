/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corners - sockets, files and mounts in the rarer states, beside what workload makes
 *
 *	corners		returns when all is there; its processes stay until they are killed
 *	corners churn N	N rounds of connections, files and mounts that come and go
 *
 * Prints a line "ROLE PID" per process.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	dprintf(2, "corners: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* V is the value of an expression that is negative when it failed. */
#define must(v) ({ __typeof__(v) v_ = (v); if (v_ < 0) die(#v); v_; })

static void role(const char *name, void (*run)(void))
{
	int fds[2];
	char byte;
	pid_t pid;

	must(pipe2(fds, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		must(setsid());
		prctl(PR_SET_NAME, name);
		close(fds[0]);
		run();
		must((int)write(fds[1], "", 1));
		close(fds[1]);
		for (int fd = 0; fd < 3; fd++)
			must(dup2(open("/dev/null", O_RDWR), fd));
		for (;;)
			pause();
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		die(name);
	close(fds[0]);
	printf("%s %d\n", name, pid);
}

static struct sockaddr_in in4(const char *ip, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &in.sin_addr);
	return in;
}

static int bound(int type, int protocol, const char *ip, uint16_t port)
{
	struct sockaddr_in in = in4(ip, port);
	int fd = must(socket(AF_INET, type, protocol));

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	must(bind(fd, (void *)&in, sizeof(in)));
	return fd;
}

static int listening(const char *ip, uint16_t port)
{
	int fd = bound(SOCK_STREAM, 0, ip, port);

	must(listen(fd, 64));
	return fd;
}

static int connected(const char *ip, uint16_t port)
{
	struct sockaddr_in in = in4(ip, port);
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));

	must(connect(fd, (void *)&in, sizeof(in)));
	return fd;
}

static void lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
}

/* One connection in each state that stays for a while. */
static void tcp_states(void)
{
	int server = listening("127.0.0.1", 9000), deferring = listening("127.0.0.1", 9001);
	int client, accepted;

	/* CLOSE_WAIT at one end, FIN_WAIT2 with its file at the other. */
	client = connected("127.0.0.1", 9000);
	accepted = must(accept(server, NULL, NULL));
	must(shutdown(accepted, SHUT_WR));

	/* The same, but its file is gone: an orphan, by and by in a time-wait socket. */
	client = connected("127.0.0.1", 9000);
	accepted = must(accept(server, NULL, NULL));
	close(accepted);

	/* TIME_WAIT: the end that closes first. */
	for (int i = 0; i < 5; i++) {
		client = connected("127.0.0.1", 9000);
		accepted = must(accept(server, NULL, NULL));
		close(client);
		close(accepted);
	}

	/* A request without a socket: nothing is sent to a server that waits for data. */
	must(setsockopt(deferring, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){ 600 }, sizeof(int)));
	connected("127.0.0.1", 9001);

	/* Neither of these is in a table. */
	must(socket(AF_INET, SOCK_STREAM, 0));
	must(socket(AF_INET6, SOCK_STREAM, 0));
	bound(SOCK_STREAM, 0, "127.0.0.1", 9002);

	/* LISTEN twice on one port (SO_REUSEPORT), and a v6 one that also takes v4. */
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in in = in4("127.0.0.1", 9003);
		int fd = must(socket(AF_INET, SOCK_STREAM, 0));

		must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)));
		must(bind(fd, (void *)&in, sizeof(in)));
		must(listen(fd, 1));
	}
	{
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(9004) };
		struct sockaddr_in to = in4("127.0.0.1", 9004);
		int fd = must(socket(AF_INET6, SOCK_STREAM, 0));

		must(bind(fd, (void *)&in6, sizeof(in6)));
		must(listen(fd, 1));
		client = must(socket(AF_INET, SOCK_STREAM, 0));
		must(connect(client, (void *)&to, sizeof(to)));	/* ::ffff:127.0.0.1 */
		must(accept(fd, NULL, NULL));
	}
}

static void udp_states(void)
{
	struct sockaddr_in to = in4("127.0.0.1", 9100);
	int fd;

	must(socket(AF_INET, SOCK_DGRAM, 0));
	must(socket(AF_INET6, SOCK_DGRAM, 0));
	bound(SOCK_DGRAM, 0, "127.0.0.1", 9100);
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(connect(fd, (void *)&to, sizeof(to)));

	/* Connected and let go again: unhashed, unless the port was asked for. */
	for (int i = 0; i < 2; i++) {
		fd = i ? bound(SOCK_DGRAM, 0, "127.0.0.1", 9101) :
			 must(socket(AF_INET, SOCK_DGRAM, 0));
		must(connect(fd, (void *)&to, sizeof(to)));
		to.sin_family = AF_UNSPEC;
		must(connect(fd, (void *)&to, sizeof(to)));
		to.sin_family = AF_INET;
	}

	/* UDP-Lite went away in 7.x. */
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	if (fd >= 0) {
		to = in4("127.0.0.1", 9102);
		must(bind(fd, (void *)&to, sizeof(to)));
		must(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE));
	}

	/* On one interface only. */
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	to = in4("127.0.0.1", 9103);
	must(bind(fd, (void *)&to, sizeof(to)));
}

static void raw_and_packet(void)
{
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0, 0 } };
	struct sock_fprog prog = { 1, code };
	struct sockaddr_in to = in4("127.0.0.1", 0);
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd;

	must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
	must(socket(AF_INET6, SOCK_RAW, IPPROTO_RAW));
	fd = must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
	must(connect(fd, (void *)&to, sizeof(to)));
	fd = must(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	must(socket(AF_PACKET, SOCK_DGRAM, 0));
	must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));	/* not bound, in no table */
	fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	must(bind(fd, (void *)&nl, sizeof(nl)));
	fd = must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT));
	nl.nl_groups = 1;
	must(bind(fd, (void *)&nl, sizeof(nl)));

	/* ICMP datagrams, for which a group has to be let in first. */
	fd = must(open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY));
	must((int)write(fd, "0 1", 3));
	close(fd);
	fd = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	must(bind(fd, (void *)&to, sizeof(to)));
	must(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

static void unix_states(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static const char odd[] = "\0with\0zeros";
	char name[32];
	int fd, pair[2];

	/* A name with zeros in it, one that the kernel chose, and the longest that there can be. */
	memcpy(un.sun_path, odd, sizeof(odd) - 1);
	fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(fd, (void *)&un, offsetof(struct sockaddr_un, sun_path) + sizeof(odd) - 1));
	must(bind(must(socket(AF_UNIX, SOCK_DGRAM, 0)), (void *)&un, sizeof(un.sun_family)));
	memset(un.sun_path, 'x', sizeof(un.sun_path));
	memcpy(un.sun_path, name, (size_t)snprintf(name, sizeof(name), "/tmp/%d", getpid()));
	must(bind(must(socket(AF_UNIX, SOCK_DGRAM, 0)), (void *)&un, sizeof(un)));

	/* Bound to a relative name that is gone, and connected but never accepted. */
	must(chdir("/tmp"));
	strcpy(un.sun_path, "gone\n.sock");
	fd = must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	must(bind(fd, (void *)&un, sizeof(un)));
	must(listen(fd, 5));
	must(connect(must(socket(AF_UNIX, SOCK_SEQPACKET, 0)), (void *)&un, sizeof(un)));
	must(unlink(un.sun_path));

	/* Pairs; one end of the second is gone, one of the third is in flight, in its own queue. */
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	close(pair[1]);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	{
		char control[CMSG_SPACE(sizeof(int))] = { 0 };
		struct iovec iov = { (void *)"x", 1 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				      .msg_controllen = sizeof(control) };
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

		fd = must(socket(AF_INET, SOCK_DGRAM, 0));
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
		must((int)sendmsg(pair[0], &msg, 0));
		close(fd);
	}
}

static void sockets(void)
{
	tcp_states();
	udp_states();
	raw_and_packet();
	unix_states();
}

static void other_net(void)
{
	must(unshare(CLONE_NEWNET));
	lo_up();
	sockets();
}

/* One with hash tables of its own, where the kernel has such (6.1 for TCP, 6.2 for UDP). */
static void own_tables(void)
{
	int tcp = open("/proc/sys/net/ipv4/tcp_child_ehash_entries", O_RDWR);
	int udp = open("/proc/sys/net/ipv4/udp_child_hash_entries", O_RDWR);

	if (tcp >= 0)
		must((int)write(tcp, "64", 2));
	if (udp >= 0)
		must((int)write(udp, "256", 3));
	must(unshare(CLONE_NEWNET));
	if (tcp >= 0)
		must((int)pwrite(tcp, "0", 1, 0));
	if (udp >= 0)
		must((int)pwrite(udp, "0", 1, 0));
	lo_up();
	sockets();
}

/* A namespace that no process is in: a socket of it is held from outside. */
static void left_net(void)
{
	int home = must(open("/proc/self/ns/net", O_RDONLY));

	must(unshare(CLONE_NEWNET));
	lo_up();
	listening("127.0.0.1", 9200);
	must(setns(home, CLONE_NEWNET));
	close(home);
}

/* --- files --- */

static pthread_barrier_t barrier;

static void *own_table(void *arg)
{
	(void)arg;
	must(unshare(CLONE_FILES));
	must(dup2(must(open("/etc/group", O_RDONLY)), 700));
	listening("127.0.0.1", 9300);
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return NULL;
}

static void *shared_table(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return NULL;
}

static void files(void)
{
	pthread_t thread;
	int fd;

	must(dup2(must(open("/etc/passwd", O_RDONLY | O_CLOEXEC)), 1000));
	must(open("/tmp", O_RDWR | O_TMPFILE, 0600));
	fd = must(open("/tmp/appended", O_WRONLY | O_CREAT | O_APPEND, 0600));
	must((int)write(fd, "0123456789", 10));
	must(mkfifo("/tmp/fifo", 0600));
	must(open("/tmp/fifo", O_RDWR));
	must(symlink("/nowhere", "/tmp/link"));
	must(open("/tmp/link", O_PATH | O_NOFOLLOW));
	must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	must(open("/proc/self/ns/net", O_RDONLY));
	must(open("/proc/self/status", O_RDONLY));
	must(mkdir("/tmp/removed", 0700));
	must(open("/tmp/removed", O_RDONLY | O_DIRECTORY));
	must(rmdir("/tmp/removed"));
	must(open("/", O_PATH));
	must(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)),
		  &(struct sockaddr){ .sa_family = AF_UNIX, .sa_data = "/tmp/s.sock" }, 14));
	must(open("/tmp/s.sock", O_PATH));	/* a socket's name, no socket */

	pthread_barrier_init(&barrier, NULL, 3);
	if (pthread_create(&thread, NULL, own_table, NULL) ||
	    pthread_create(&thread, NULL, shared_table, NULL))
		die("pthread_create");
	pthread_barrier_wait(&barrier);
}

/* --- mounts --- */

static void make(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die(path);
}

static void mounts(void)
{
	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL));
	make("/mnt/a");
	must(mount("outer", "/mnt/a", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k"));
	must(mount(NULL, "/mnt/a", NULL, MS_SHARED, NULL));
	make("/mnt/a/deep");
	make("/mnt/a/deep/er");
	make("/mnt/a/tab\tand space");
	must(mount("/mnt/a/deep", "/mnt/a/tab\tand space", NULL, MS_BIND, NULL));
	must(mount(NULL, "/mnt/a/tab\tand space", NULL,
		   MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOEXEC | MS_NOATIME, NULL));
	must(mount("stacked", "/mnt/a/deep", "tmpfs", MS_STRICTATIME | MS_NODIRATIME, "size=64k"));
	must(mount("upon it", "/mnt/a/deep", "tmpfs", MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME, NULL));
	make("/mnt/private");
	must(mount("private", "/mnt/private", "tmpfs", 0, NULL));
	must(mount(NULL, "/mnt/private", NULL, MS_UNBINDABLE, NULL));
	make("/mnt/ro");
	must(mount("ro", "/mnt/ro", "tmpfs", MS_RDONLY, NULL));
	must(mount("/etc/passwd", "/etc/group", NULL, MS_BIND, NULL));	/* a file on a file */
	must(open("/mnt/net", O_CREAT | O_WRONLY, 0600));
	must(mount("/proc/self/ns/net", "/mnt/net", NULL, MS_BIND, NULL));
	must(open("/tmp/gone", O_CREAT | O_WRONLY, 0600));
	must(open("/mnt/gone", O_CREAT | O_WRONLY, 0600));
	must(mount("/tmp/gone", "/mnt/gone", NULL, MS_BIND, NULL));
	must(unlink("/tmp/gone"));	/* mounted under a name, and without one */
}

/* In a root of its own: what it mounts has another name for it than for the rest. */
static void chrooted(void)
{
	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	make("/mnt/jail");
	must(mount("jail", "/mnt/jail", "tmpfs", 0, NULL));
	make("/mnt/jail/dev");
	make("/mnt/jail/proc");
	must(mount("proc", "/mnt/jail/proc", "proc", 0, NULL));
	must(mount("/dev", "/mnt/jail/dev", NULL, MS_BIND, NULL));
	must(chroot("/mnt/jail"));
	must(chdir("/"));
}

/* --- what never stands still --- */

static void churn(long rounds)
{
	int server = listening("127.0.0.1", 9400);

	make("/tmp/churn");
	for (long i = 0; i < rounds; i++) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };
		int clients[8], fd, pair[2];

		for (int k = 0; k < 8; k++)
			clients[k] = connected("127.0.0.1", 9400);
		for (int k = 0; k < 8; k++) {
			close(must(accept(server, NULL, NULL)));
			must(setsockopt(clients[k], SOL_SOCKET, SO_LINGER,
					&(struct linger){ k & 1, 0 }, sizeof(struct linger)));
			close(clients[k]);
		}
		for (int k = 0; k < 4; k++)
			close(bound(SOCK_DGRAM, 0, "127.0.0.1", 0));
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
		snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/churn/%ld", i);
		must(bind(fd, (void *)&un, sizeof(un)));
		must(unlink(un.sun_path));
		close(fd);
		close(pair[0]);
		close(pair[1]);
		if (i % 16 == 0 && !mount("churn", "/tmp/churn", "tmpfs", 0, NULL))
			must(umount2("/tmp/churn", MNT_DETACH));
		fd = open("/dev/kmsg", O_WRONLY);
		if (fd >= 0) {
			dprintf(fd, "churn %ld\n", i);
			close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	umask(022);
	if (argc == 3 && !strcmp(argv[1], "churn")) {
		churn(atol(argv[2]));
		return 0;
	}
	if (argc != 1) {
		fprintf(stderr, "usage: corners [churn ROUNDS]\n");
		return 2;
	}
	role("cor-sockets", sockets);
	role("cor-net", other_net);
	role("cor-tables", own_tables);
	role("cor-left", left_net);
	role("cor-files", files);
	role("cor-mounts", mounts);
	role("cor-jail", chrooted);
	return 0;
}
