/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd - much of one thing, for who has to list it
 *
 *	crowd sockets N		N sockets each of TCP (listening), UDP and TCP over IPv6
 *	crowd churn		opens and closes such sockets, 200 at a time
 *	crowd mounts N DIR	N file systems mounted below DIR
 *	crowd deep N DIR	one mounted N directories with names of 250 bytes below DIR
 *	crowd forks N		N processes that end at once, 20 at a time
 *
 * "sockets" and "churn" print "ready" and stay in the background until they are killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int one_socket(int kind)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool stream = kind != 1;
	int fd = socket(kind == 2 ? AF_INET6 : AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (fd < 0)
		err(1, "socket");
	if (bind(fd, kind == 2 ? (void *)&v6 : (void *)&v4, kind == 2 ? sizeof(v6) : sizeof(v4)) < 0 ||
	    (stream && listen(fd, 1) < 0))
		err(1, "bind");
	return fd;
}

static void background(void)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (child > 0) {
		printf("ready %d\n", child);
		exit(0);
	}
	setsid();
	if (!freopen("/dev/null", "w", stdout))
		err(1, "/dev/null");
}

static void sockets(unsigned n)
{
	const struct rlimit limit = { 3 * n + 64, 3 * n + 64 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "limit");
	for (unsigned i = 0; i < 3 * n; i++)
		one_socket((int)(i % 3));
	background();
	pause();
}

static void churn(void)
{
	int fds[200];

	background();
	for (unsigned i = 0; i < 200; i++)
		fds[i] = one_socket((int)(i % 3));
	for (unsigned i = 0;; i = (i + 7) % 200) {
		close(fds[i]);
		fds[i] = one_socket((int)(i % 3));
	}
}

static void mounts(unsigned n, const char *dir)
{
	char path[4096];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		mkdir(path, 0755);
		if (mount("crowd", path, "tmpfs", 0, "size=4k") < 0)
			err(1, "mount %s", path);
	}
}

static void deep(unsigned n, const char *dir)
{
	char name[251];

	memset(name, 'd', 250);
	name[250] = '\0';
	if (chdir(dir) < 0)
		err(1, "%s", dir);
	for (unsigned i = 0; i < n; i++)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0)
			err(1, "level %u", i);
	if (mount("deep", ".", "tmpfs", 0, "size=4k") < 0)
		err(1, "mount");
}

static void forks(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		if (child < 0 || i % 20 == 19)
			while (wait(NULL) > 0)
				;
	}
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	if (!strcmp(what, "sockets") && n)
		sockets(n);
	else if (!strcmp(what, "churn"))
		churn();
	else if (!strcmp(what, "mounts") && argc > 3)
		mounts(n, argv[3]);
	else if (!strcmp(what, "deep") && argc > 3)
		deep(n, argv[3]);
	else if (!strcmp(what, "forks"))
		forks(n);
	else
		errx(2, "usage: crowd sockets|churn|mounts|deep|forks ...");
	return 0;
}
