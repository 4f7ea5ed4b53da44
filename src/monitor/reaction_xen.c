/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What touches a domain of Xen: by the toolstack's own command, xl, which knows what else belongs
 * to a domain (its device model, its entries in xenstore), has one interface in all versions of
 * Xen, and is there wherever libxl is. Memory is written by ourselves, in a format that we read;
 * network interfaces are dom0's own.
 */
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/reaction_kinds.h"
#include "monitor/trusted.h"
#include "ram/dump.h"
#include "ram/xen.h"
#include "ram/xen_host.h"

/* Debian's is a link to a script that picks the one of the Xen that runs. */
static const char *const commands[] = { "/usr/sbin/xl", "/usr/local/sbin/xl" };

struct target {
	struct reaction_job *job;
	struct xen_host host;
	uint16_t id;
	const char *xl;
};

static void target_close(struct target *target)
{
	if (target->host.libs)
		xen_host_close(&target->host);
}

static int find_command(const char **ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		cleanup(freep) char *real = realpath(commands[i], NULL);

		if (!real)
			continue;
		*ret = commands[i];
		return trusted_path(real, S_IFREG, err);
	}
	return err_set(err, -ENOENT, "there is no %s, by which domains are managed", commands[0]);
}

/* Never returns. What it says goes to @words. */
static _Noreturn void execute(const char *path, char *const *argv, int words)
{
	static char search[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C.UTF-8";
	char *environment[] = { search, locale, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(words, STDOUT_FILENO) < 0 ||
	    dup2(words, STDERR_FILENO) < 0)
		_exit(126);
	execve(path, argv, environment);
	_exit(127);
}

/* All that is written to a pipe until nobody holds it any more; the first line of it is kept. */
static void read_line(int fd, char *line, size_t size)
{
	char part[256];
	size_t kept = 0;
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0 || (n < 0 && errno == EINTR))
		for (ssize_t i = 0; i < n && kept < size - 1; i++)
			line[kept++] = part[i];
	line[kept] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
}

/* xl VERB [OPTION] DOMAIN */
static int xl(const struct target *target, const char *verb, const char *option, struct err *err)
{
	char number[8], text[160];
	const char *argv[5] = { "xl", verb };
	cleanup(fd_close) int from = -1;
	int fds[2], status = 0, n = 2;
	pid_t pid;

	snprintf(number, sizeof(number), "%u", target->id);
	if (option)
		argv[n++] = option;
	argv[n] = number;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "a pipe: %s", strerror(errno));
	from = fds[0];
	pid = fork();
	if (pid == 0)
		execute(target->xl, (char *const *)(uintptr_t)argv, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return err_set(err, -EAGAIN, "a process for xl: %s", strerror(errno));
	read_line(from, text, sizeof(text));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return err_set(err, -EIO, "xl %s: %s %d%s%s", verb,
		       WIFEXITED(status) ? "exit status" : "killed by signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		       *text ? ": " : "", text);
}

/* Is it, and not a later domain with its number, or one that was started anew? */
static int open_target(struct target *target, struct err *err)
{
	const struct reaction_job *job = target->job;
	const struct xen_libs *libs;
	struct xen_domain domain;
	int r = xen_libs_load(&libs, err);

	if (r == 0)
		r = xen_host_open(libs, &target->host, err);
	if (r == 0)
		r = xen_domain_describe(&target->host, target->id, &domain, err);
	if (r < 0)
		return r;
	if (domain.self)
		r = err_set(err, -EPERM, "domain %u is the one that hvsm runs in", target->id);
	else if (job->uuid && (!domain.uuid || strcasecmp(domain.uuid, job->uuid) != 0))
		r = err_set(err, -ESRCH, "domain %u is another one now", target->id);
	xen_domain_free(&domain);
	return r < 0 ? r : find_command(&target->xl, err);
}

/* Xen counts who has paused a domain: one pause takes one unpause, whatever others do. */
static int pause_it(const struct target *target, struct err *err)
{
	struct xen_domain domain;
	int r = xl(target, "pause", NULL, err);

	if (r == 0)
		r = xen_domain_describe(&target->host, target->id, &domain, err);
	if (r < 0)
		return r;
	/* Where libxenctrl is not there nobody knows. */
	if (target->host.ctrl && !domain.stopped)
		r = err_set(err, -EIO, "it runs on");
	xen_domain_free(&domain);
	return r;
}

/*
 * Lets the domain go on when the pipe's other end is closed: by whoever dumps it, or by the end
 * of that process, which may be killed. Its session is its own, so it is not killed with that.
 */
static _Noreturn void unpause_at_end(const struct target *target, int from)
{
	struct err err;
	char word;
	ssize_t n;

	setsid();
	signal(SIGTERM, SIG_IGN);
	while ((n = read(from, &word, 1)) < 0 && errno == EINTR)
		;
	/* One word: it was not paused. */
	_exit(n > 0 || xl(target, "unpause", NULL, &err) == 0 ? 0 : 1);
}

struct pause {
	pid_t pid;	/* of who ends it */
	int hold;
};

static int pause_begin(const struct target *target, struct pause *pause, struct err *err)
{
	int fds[2], status, r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "a pipe: %s", strerror(errno));
	pause->pid = fork();
	if (pause->pid == 0) {
		close(fds[1]);
		unpause_at_end(target, fds[0]);
	}
	close(fds[0]);
	pause->hold = fds[1];
	if (pause->pid < 0) {
		close(pause->hold);
		return err_set(err, -EAGAIN, "a process: %s", strerror(errno));
	}
	r = pause_it(target, err);
	if (r == 0)
		return 0;
	if (write(pause->hold, "n", 1) < 0)
		kill(pause->pid, SIGKILL);
	close(pause->hold);
	waitpid(pause->pid, &status, 0);
	return r;
}

/* Return: @r, or that it stays paused. */
static int pause_end(const struct pause *pause, int r, struct err *err)
{
	int status = 0;

	close(pause->hold);
	while (waitpid(pause->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return r;
	return err_set(err, -EIO, "it could not be unpaused after its memory was written");
}

static int write_memory(const struct target *target, int fd, struct err *err)
{
	cleanup(ram_close) struct ram *ram = NULL;
	int r = xen_open(target->host.libs, target->id, &ram, err);

	if (r < 0)
		return r;
	/* Memory is worth having without. */
	if (ram_read_registers(ram, NULL) < 0)
		ram->cpus_n = 0;
	return ram_dump(ram, fd, err);
}

static int dump(const struct target *target, struct err *err)
{
	char path[PATH_MAX];
	cleanup(fd_close) int fd = reaction_dump_create(target->job, path, sizeof(path), err);
	struct pause pause = { .pid = -1, .hold = -1 };
	int r;

	if (fd < 0)
		return fd;
	r = pause_begin(target, &pause, err);
	if (r == 0)
		r = pause_end(&pause, write_memory(target, fd, err), err);
	return reaction_dump_end(target->job, path, r, err);
}

/* @up is false and it is not there: 0 where it need not be. */
static int set_down(const char *name, bool needed, struct err *err)
{
	cleanup(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		return err_set(err, -errno, "a socket: %s", strerror(errno));
	if (strlen(name) >= sizeof(request.ifr_name))
		return err_set(err, -EBADMSG, "too long a name of an interface: %.32s", name);
	strcpy(request.ifr_name, name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
		if (ioctl(fd, SIOCSIFFLAGS, &request) == 0)
			return 0;
	} else if (errno == ENODEV && !needed) {
		return 0;
	}
	return err_set(err, -errno, "%s: %s%s", name, strerror(errno),
		       errno == EPERM ? ": this takes CAP_NET_ADMIN" : "");
}

/* Like read_at() of xen_host.c: free(); NULL: there is none. */
static char *value_at(const struct target *target, const char *path)
{
	unsigned n;

	return target->host.libs->store_read(target->host.store, XBT_NULL, path, &n);
}

/*
 * One interface: dom0's end of it, and what an emulated card is at. Where it is says libxl's own
 * part of xenstore; the domain writes in another.
 */
static int unlink_one(const struct target *target, const char *device, struct err *err)
{
	cleanup(freep) char *backend = NULL, *name = NULL, *self = NULL;
	char path[XEN_PATH_MAX * 2], own[64], emulated[64];
	int r;

	snprintf(path, sizeof(path), "/libxl/%u/device/vif/%.16s/backend", target->id, device);
	backend = value_at(target, path);
	if (!backend || strlen(backend) >= XEN_PATH_MAX)
		return err_set(err, -EBADMSG, "no backend of interface %.16s is known", device);
	self = value_at(target, "domid");
	snprintf(own, sizeof(own), "/local/domain/%.8s/backend/", self ? self : "0");
	if (strncmp(backend, own, strlen(own)) != 0)
		return err_set(err, -ENOTSUP, "interface %.16s is served by another domain (%s)",
			       device, backend);
	snprintf(path, sizeof(path), "%s/vifname", backend);
	name = value_at(target, path);
	snprintf(own, sizeof(own), "vif%u.%.16s", target->id, device);
	snprintf(emulated, sizeof(emulated), "%.40s-emu", name && *name ? name : own);
	r = set_down(name && *name ? name : own, true, err);
	return r < 0 ? r : set_down(emulated, false, err);
}

static int unlink_all(const struct target *target, struct err *err)
{
	cleanup(freep) char **devices = NULL;
	char path[XEN_PATH_MAX];
	unsigned n = 0;
	int r = 0;

	snprintf(path, sizeof(path), "/libxl/%u/device/vif", target->id);
	devices = target->host.libs->store_directory(target->host.store, XBT_NULL, path, &n);
	if (!devices || !n)
		return err_set(err, -ENODEV, "it has no network interface");
	if (n > REACTION_NICS_MAX)
		return err_set(err, -ELOOP, "over %u network interfaces", REACTION_NICS_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct err why = {0};
		int one = unlink_one(target, devices[i], &why);

		/* One that cannot be cut is no reason to leave the others. */
		if (one < 0 && r == 0)
			r = err_set(err, one, "%s", why.text);
	}
	if (r == 0)
		snprintf(target->job->done, sizeof(target->job->done), "%u network interface%s", n,
			 n == 1 ? "" : "s");
	return r;
}

int reaction_xen(struct reaction_job *job, struct err *err)
{
	cleanup(target_close) struct target target = { .job = job, .id = job->domain };
	int r = open_target(&target, err);

	if (r < 0)
		return r;
	switch (job->reaction->kind) {
	case REACTION_PAUSE:
		return pause_it(&target, err);
	case REACTION_DUMP:
		return dump(&target, err);
	case REACTION_UNLINK:
		return unlink_all(&target, err);
	case REACTION_SHUTDOWN:
		/* One without drivers for Xen is told as its firmware would. */
		return xl(&target, "shutdown", "-F", err);
	case REACTION_POWEROFF:
		return xl(&target, "destroy", NULL, err);
	default:
		return err_set(err, -EINVAL, "not a reaction that touches a guest");
	}
}
