/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/users.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include "agent/proc_lines.h"
#include "agent/proc_text.h"
#include "base/cleanup.h"

/* systemd writes some 500 bytes. */
#define SESSION_BYTES 4096u

/* What a pipe or a device under that name would give is no record of ours. */
static int open_regular(int dir, const char *path)
{
	cleanup(fd_close) int fd = proc_open(dir, path);
	struct stat status;

	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return -errno;
	return S_ISREG(status.st_mode) ? take_fd(&fd) : -EBADMSG;
}

static void add_user(struct items *items, uint64_t leader, const char *user, size_t user_bytes,
		     const char *line, size_t line_bytes)
{
	char text[UT_NAMESIZE + UT_LINESIZE + 1];

	user_bytes = user_bytes < UT_NAMESIZE ? user_bytes : UT_NAMESIZE;
	line_bytes = line_bytes < UT_LINESIZE ? line_bytes : UT_LINESIZE;
	memcpy(text, user, user_bytes);
	text[user_bytes] = '\0';
	memcpy(text + user_bytes + 1, line, line_bytes);
	items_add(items, &(struct item){ AGENT_ITEM_USER, leader, 0, text,
					 user_bytes + 1 + line_bytes });
}

static bool listed(const struct items *items, uint64_t from, uint64_t leader)
{
	const struct agent_item *at;

	for (; (at = items_at(items, from)); from += at->size_bytes)
		if (at->number == leader)
			return true;
	return false;
}

static void list_utmp(struct items *items, int run)
{
	cleanup(fd_close) int fd = open_regular(run, "utmp");
	struct utmp records[32];
	uint32_t n = 0;
	ssize_t got;

	if (fd < 0) {
		if (fd != -ENOENT)
			items_missing(items, AGENT_ITEM_USER);
		return;
	}
	while ((got = read(fd, records, sizeof(records))) > 0) {
		for (size_t i = 0; i < (size_t)got / sizeof(records[0]); i++) {
			const struct utmp *at = &records[i];

			if (at->ut_type != USER_PROCESS || at->ut_pid <= 0)
				continue;
			add_user(items, (uint64_t)at->ut_pid, at->ut_user,
				 strnlen(at->ut_user, UT_NAMESIZE), at->ut_line,
				 strnlen(at->ut_line, UT_LINESIZE));
		}
		n += ARRAY_SIZE(records);
		if (n >= USERS_MAX)
			break;
	}
	if (got)
		items_missing(items, AGENT_ITEM_USER);
}

/* A session's state file. Those of a class that nobody sits at (manager, greeter) are none. */
static void list_session(struct items *items, uint64_t from, int dir, const char *name)
{
	cleanup(fd_close) int fd = open_regular(dir, name);
	char text[SESSION_BYTES], leader[16], user[UT_NAMESIZE], line[UT_LINESIZE], class[16];
	ssize_t got = fd < 0 ? fd : read(fd, text, sizeof(text));
	size_t n, user_bytes;
	uint32_t pid;

	if (got < 0) {
		if (got != -ENOENT)	/* it has just ended */
			items_missing(items, AGENT_ITEM_USER);
		return;
	}
	n = proc_value(text, (size_t)got, "CLASS", class, sizeof(class));
	if (n && (n < 4 || memcmp(class, "user", 4) != 0))
		return;
	n = proc_value(text, (size_t)got, "LEADER", leader, sizeof(leader) - 1);
	leader[n] = '\0';
	pid = proc_pid(leader);
	if (!pid || listed(items, from, pid))
		return;
	user_bytes = proc_value(text, (size_t)got, "USER", user, sizeof(user));
	n = proc_value(text, (size_t)got, "TTY", line, sizeof(line));
	add_user(items, pid, user, user_bytes, line, n);
}

static void list_sessions(struct items *items, uint64_t from, int run)
{
	int fd = openat(run, "systemd/sessions", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	cleanup(dir_close) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	uint32_t n = 0;

	if (!dir) {
		if (fd >= 0) {
			items_missing(items, AGENT_ITEM_USER);
			close(fd);
		}
		return;
	}
	while ((entry = readdir(dir))) {
		/* Beside "3" stands "3.ref", a pipe. */
		if (!isalnum((unsigned char)entry->d_name[0]) || strchr(entry->d_name, '.'))
			continue;
		if (++n > USERS_MAX) {
			items_missing(items, AGENT_ITEM_USER);
			return;
		}
		list_session(items, from, dirfd(dir), entry->d_name);
	}
}

void users_list(struct items *items, int run)
{
	uint64_t from = items->used_bytes;

	list_utmp(items, run);
	list_sessions(items, from, run);
}
