/* SPDX-License-Identifier: Apache-2.0 */
/*
 * truth - what this kernel says about itself, raw, for the host to parse
 *
 * Prints records { kind u8, 0, name length u16, data length u32, name, data }: 'F' a file's contents, 'L' where a
 * link points, 'D' a directory's entries, each ended by NUL. Nothing is interpreted here, so what is compared with the
 * product's view is the kernel's own text. What vanishes meanwhile is left out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE (1u << 17)	/* sysctl files refuse megabytes */

static char *buf;
static size_t room;

static void emit(char kind, const char *name, const void *data, size_t len)
{
	struct {
		char kind, zero;
		uint16_t name_len;
		uint32_t len;
	} head = { kind, 0, (uint16_t)strlen(name), (uint32_t)len };

	fwrite(&head, sizeof(head), 1, stdout);
	fwrite(name, head.name_len, 1, stdout);
	fwrite(data, len, 1, stdout);
}

static void make_room(size_t want)
{
	if (want <= room)
		return;
	room = want * 2;
	buf = realloc(buf, room);
	if (!buf)
		abort();
}

/* /dev/kmsg gives one record a read, and EAGAIN when there are no more. */
static void file(const char *name, bool nonblock)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | (nonblock ? O_NONBLOCK : 0));
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return;
	for (;;) {
		make_room(len + READ_SIZE);
		n = read(fd, buf + len, READ_SIZE);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EPIPE)	/* EPIPE: older records were overwritten */
			break;
	}
	/* A process that is gone makes its files fail in the middle of them. */
	if (n == 0 || nonblock)
		emit('F', name, buf, len);
	close(fd);
}

static void link_of(const char *name)
{
	char target[8192];
	ssize_t n = readlink(name, target, sizeof(target));

	if (n >= 0)
		emit('L', name, target, (size_t)n);
}

/* Call EACH with every entry of NAME, and tell them all. */
static void directory(const char *name, void (*each)(const char *path))
{
	char *all = NULL, path[512];
	size_t len = 0;
	FILE *list;
	struct dirent *entry;
	DIR *dir = opendir(name);

	if (!dir)
		return;
	list = open_memstream(&all, &len);
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		fwrite(entry->d_name, strlen(entry->d_name) + 1, 1, list);
		if (snprintf(path, sizeof(path), "%s/%s", name, entry->d_name) < (int)sizeof(path) && each)
			each(path);
	}
	closedir(dir);
	fclose(list);
	emit('D', name, all, len);
	free(all);
}

static void plain(const char *path)
{
	file(path, false);
}

static void below(const char *base, const char *const *names, void (*what)(const char *path))
{
	char path[512];

	for (; *names; names++)
		if (snprintf(path, sizeof(path), "%s/%s", base, *names) < (int)sizeof(path))
			what(path);
}

static void thread(const char *path)
{
	static const char *const names[] = { "comm", "stat", NULL };

	below(path, names, plain);
}

static void process(const char *path)
{
	static const char *const files[] = { "status", "stat", "comm", "cmdline", "cgroup", "mountinfo", "maps", NULL };
	static const char *const links[] = { "exe", "cwd", "root", NULL };
	static const struct {
		const char *name;
		void (*each)(const char *path);
	} dirs[] = { { "ns", link_of }, { "fd", link_of }, { "fdinfo", plain }, { "task", thread } };
	const char *pid = path + strlen("/proc/");
	char sub[512];

	if (strspn(pid, "0123456789") != strlen(pid))
		return;
	below(path, files, plain);
	below(path, links, link_of);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(sub, sizeof(sub), "%s/%s", path, dirs[i].name);
		directory(sub, dirs[i].each);
	}
}

static void module(const char *path)
{
	char sections[512];

	if (snprintf(sections, sizeof(sections), "%s/sections", path) < (int)sizeof(sections))
		directory(sections, plain);
}

int main(void)
{
	static const char *const files[] = {
		"/proc/version", "/proc/cmdline", "/proc/stat", "/proc/uptime", "/proc/iomem", "/proc/kallsyms",
		"/proc/modules", "/proc/mounts", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6",
		"/proc/net/raw", "/proc/net/raw6", "/proc/net/unix", "/proc/net/packet", "/proc/net/netlink",
		"/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease",
		"/proc/sys/kernel/version", "/proc/sys/kernel/hostname", "/sys/kernel/notes", NULL };
	char self[32];

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	snprintf(self, sizeof(self), "%d %d", getpid(), getppid());
	emit('F', "self", self, strlen(self));
	for (const char *const *name = files; *name; name++)
		file(*name, false);
	file("/dev/kmsg", true);
	directory("/sys/module", module);
	directory("/proc", process);
	return fflush(stdout) ? 1 : 0;
}
