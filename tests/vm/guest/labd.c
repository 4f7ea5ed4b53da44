/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labd - the guest's first process and the lab's hand inside it.
 *
 * It serves requests that come over a virtio-serial port, one at a time. A frame is
 * { type u8, 0, 0, 0, length u32 little endian } and LENGTH bytes.
 *
 *   host   'R' shell command         guest  'O' output, 'E' errors, ... then 'X' status
 *   host   'G' path                  guest  'O' contents, ... then 'X' errno
 *   host   'P' mode path NUL bytes   guest  'X' errno
 *   host   'L' parameters NUL module guest  'X' errno
 *   host   'U' name of a module      guest  'X' errno
 *   guest  'H' uname -r              once, when it is ready
 *
 * As process 1 it also reaps the orphans of the guest.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME "hvsm.lab"
#define FRAME_MAX (64u << 20)
#define CHUNK (31u << 10)	/* virtio_console takes 32 KiB a write */

struct head {
	uint8_t type;
	uint8_t zero[3];
	uint32_t len;
};

static int port = -1;

static void die(const char *what)
{
	dprintf(2, "labd: %s: %s\n", what, strerror(errno));
	sleep(2);		/* let the console show it before the kernel panics */
	_exit(1);
}

/* Without udev there is no /dev/virtio-ports/NAME: ask sysfs which port has our name. */
static int open_port(void)
{
	char path[300], name[64];
	struct dirent *entry;
	DIR *dir = opendir("/sys/class/virtio-ports");
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		int file = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = file < 0 ? -1 : read(file, name, sizeof(name) - 1);

		if (file >= 0)
			close(file);
		if (n <= 0 || strncmp(name, PORT_NAME, strlen(PORT_NAME)))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* The host may go away and come back: then reads give 0, and later bytes again. */
static void read_all(void *buf, size_t len)
{
	char *at = buf;

	while (len) {
		ssize_t n = read(port, at, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("read from the host");
		if (n <= 0) {
			usleep(20000);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
}

static void write_all(const void *buf, size_t len)
{
	const char *at = buf;

	while (len) {
		ssize_t n = write(port, at, len > CHUNK ? CHUNK : len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("write to the host");
		if (n <= 0) {
			usleep(20000);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
}

static void send_frame(uint8_t type, const void *data, size_t len)
{
	struct head head = { .type = type, .len = (uint32_t)len };

	write_all(&head, sizeof(head));
	write_all(data, len);
}

static void send_status(int32_t status)
{
	send_frame('X', &status, sizeof(status));
}

/* Pass on what FD has; false at its end. */
static bool pass_on(int fd, uint8_t type)
{
	static char buf[CHUNK - sizeof(struct head)];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		send_frame(type, buf, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void reap(pid_t child, int *status, bool *done)
{
	int got;
	pid_t pid;

	while ((pid = waitpid(-1, &got, WNOHANG)) > 0) {
		if (pid != child)
			continue;
		*status = WIFSIGNALED(got) ? 128 + WTERMSIG(got) : WEXITSTATUS(got);
		*done = true;
	}
}

static pid_t start(const char *command, const int out[2], const int err[2])
{
	sigset_t none;
	pid_t pid = fork();

	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(out[1], 1);
	dup2(err[1], 2);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/*
 * The command is over when its shell is: what it left in the background may hold the
 * pipes open for as long as it likes.
 */
static void run(const char *command, int signals)
{
	int out[2], err[2], status = 0;
	bool done = false;
	struct signalfd_siginfo info;
	pid_t child;

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
	child = start(command, out, err);
	if (child < 0)
		die("fork");
	close(out[1]);
	close(err[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);

	struct pollfd fds[3] = {
		{ .fd = out[0], .events = POLLIN },
		{ .fd = err[0], .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	while (!done) {
		poll(fds, 3, -1);
		if (fds[0].revents && !pass_on(out[0], 'O'))
			fds[0].fd = -1;
		if (fds[1].revents && !pass_on(err[0], 'E'))
			fds[1].fd = -1;
		if (fds[2].revents && read(signals, &info, sizeof(info)) > 0)
			reap(child, &status, &done);
	}
	for (int i = 0; i < 2; i++) {
		struct pollfd rest = { .fd = i ? err[0] : out[0], .events = POLLIN };

		while (poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN))
			if (!pass_on(rest.fd, i ? 'E' : 'O'))
				break;
		close(rest.fd);
	}
	send_status(status);
}

static void get(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		send_status(errno);
		return;
	}
	errno = 0;
	while (pass_on(fd, 'O'))
		;
	send_status(errno);
	close(fd);
}

/* REQUEST: mode in octal, a space, the path, NUL, the bytes. */
static void put(const char *request, size_t len)
{
	char *path;
	mode_t mode = (mode_t)strtoul(request, &path, 8);
	const char *data = request + strnlen(request, len) + 1;
	size_t left = len - (size_t)(data - request);
	int fd = open(++path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	ssize_t n = 0;

	for (; fd >= 0 && left && (n = write(fd, data, left)) > 0; left -= (size_t)n)
		data += n;
	send_status(fd < 0 || n < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
}

/* Not by the shell's insmod, whose words for some errors are about other ones. */
static void load(const char *request, size_t len)
{
	const char *image = request + strnlen(request, len) + 1;

	errno = 0;
	syscall(SYS_init_module, image, len - (size_t)(image - request), request);
	send_status(errno);
}

static void unload(const char *name)
{
	errno = 0;
	syscall(SYS_delete_module, name, O_NONBLOCK);
	send_status(errno);
}

static void serve(int signals)
{
	struct signalfd_siginfo info;
	struct pollfd idle[2] = { { .fd = port, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	struct head head;
	int status;
	bool done;
	char *data;

	/* A port without its host polls as hung up, always: sleep on signals alone then. */
	poll(idle, 2, 1000);
	if (idle[1].revents && read(signals, &info, sizeof(info)) > 0)
		reap(-1, &status, &done);
	if (!(idle[0].revents & POLLIN)) {
		if (idle[0].revents)
			usleep(50000);
		return;
	}

	read_all(&head, sizeof(head));
	if (head.len > FRAME_MAX || !(data = malloc(head.len + 1))) {
		errno = EMSGSIZE;
		die("request");
	}
	read_all(data, head.len);
	data[head.len] = 0;
	switch (head.type) {
	case 'R':
		run(data, signals);
		break;
	case 'G':
		get(data);
		break;
	case 'P':
		put(data, head.len);
		break;
	case 'L':
		load(data, head.len);
		break;
	case 'U':
		unload(data);
		break;
	default:
		send_status(ENOSYS);
	}
	free(data);
}

int main(void)
{
	struct utsname uts;
	sigset_t chld;
	int signals;

	prctl(PR_SET_NAME, "labd");
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	for (int i = 0; i < 3000 && port < 0; i++) {
		port = open_port();
		if (port < 0)
			usleep(10000);
	}
	if (port < 0)
		die("no virtio port named " PORT_NAME);
	uname(&uts);
	send_frame('H', uts.release, strlen(uts.release));
	for (;;)
		serve(signals);
}
