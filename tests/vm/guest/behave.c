/* SPDX-License-Identifier: Apache-2.0 */
/*
 * behave - do what hvsm watch is to see
 *
 *	behave wait WHAT...	do the next WHAT at each SIGUSR1, then stay: setuid, unshare, exec,
 *				listen PORT, connect PORT, end
 *	behave children MS N	N children one after the other, each of which lives MS milliseconds;
 *				prints their PIDs, and how long they lived in microseconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define must(v) ({ __typeof__(v) v_ = (v); if (v_ < 0) die(#v); v_; })

static void die(const char *what)
{
	dprintf(2, "behave: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void do_listen(const char *port)
{
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_in address = loopback(port);

	must(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	must(listen(fd, 8));
}

static void do_connect(const char *port)
{
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_in address = loopback(port);

	must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

/* Return: how many words it took. */
static int act(char **word)
{
	char *rest[] = { (char *)"behave", (char *)"wait", (char *)"end", NULL };

	if (!strcmp(word[0], "setuid"))
		must(setresuid(1000, 1000, 1000));
	else if (!strcmp(word[0], "unshare"))
		must(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
	else if (!strcmp(word[0], "exec"))
		execv("/proc/self/exe", rest);
	else if (!strcmp(word[0], "end"))
		exit(3);
	else if (!strcmp(word[0], "listen"))
		return do_listen(word[1]), 2;
	else if (!strcmp(word[0], "connect"))
		return do_connect(word[1]), 2;
	return 1;
}

_Noreturn static void wait_and_act(char **word)
{
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	while (*word) {
		sigwait(&set, &number);
		word += act(word);
	}
	for (;;)
		pause();
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* They begin at random times, so that no period of looks is in step with them. */
static void children(long ms, long n)
{
	struct timespec gap = { 0 };
	struct timespec life = { ms / 1000, ms % 1000 * 1000000 };

	for (long i = 0; i < n; i++) {
		long long began = now_us();
		pid_t pid = must(fork());

		if (!pid) {
			nanosleep(&life, NULL);
			_exit(0);
		}
		must(waitpid(pid, NULL, 0));
		printf("%d %lld\n", pid, now_us() - began);
		gap.tv_nsec = 20000000 + rand() % 30000000;
		nanosleep(&gap, NULL);
	}
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "wait"))
		wait_and_act(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "children")) {
		children(atol(argv[2]), atol(argv[3]));
		return 0;
	}
	return 2;
}
