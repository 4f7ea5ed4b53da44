/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/settings.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check/check.h"
#include "monitor/sentinel.h"

#define BACKLOG 16

#define US_PER_PERMILLE 1000u

/* For all guests, of each CPU of the host, unless it says otherwise. */
#define HOST_PERMILLE 250u

int settings_user(const struct config *config, struct settings_user *ret, struct err *err)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(config->user);
	if (!entry)
		return err_set(err, errno ? -errno : -ENOENT, "no user '%s' (systemd-sysusers or "
			       "useradd --system make it)", config->user);
	*ret = (struct settings_user){ entry->pw_uid, entry->pw_gid };
	return 0;
}

/* Every directory on the way, as `mkdir -p`. */
static int make_parents(const char *path, struct err *err)
{
	cleanup(freep) char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "directory '%s': %s", copy, strerror(errno));
		*at = '/';
	}
	return 0;
}

/* A directory of ours in which nobody else writes; who may enter says @mode. */
static int make_directory(const char *path, mode_t mode, const struct settings_user *user,
			  struct err *err)
{
	cleanup(fd_close) int fd = -1;
	bool made = mkdir(path, mode) == 0;

	if (!made && errno != EEXIST)
		return err_set(err, -errno, "directory '%s': %s", path, strerror(errno));
	if (!made || !user)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, user->uid, user->gid) < 0)
		return err_set(err, -errno, "directory '%s': %s", path, strerror(errno));
	return 0;
}

int settings_ledger(const struct config *config, const struct settings_user *user, char **ret,
		    struct err *err)
{
	cleanup(freep) char *path = NULL;
	int r;

	if (asprintf(&path, "%s/reports", config->state_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = make_parents(path, err);
	if (r >= 0)
		r = make_directory(path, 0700, user, err);
	if (r >= 0)
		*ret = take_ptr(&path);
	return r;
}

/* Does somebody serve it? Then it is not ours to remove. */
static bool is_served(const struct sockaddr_un *address)
{
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* EAGAIN: somebody does, to whom many are waiting to come. It is not for us to wait. */
	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			   errno == EAGAIN);
}

/* Only a socket that nobody serves any more: whatever else lies there is not ours. */
static int make_way(const char *path, const struct sockaddr_un *address, struct err *err)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "socket '%s': %s", path,
						     strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return err_set(err, -EEXIST, "socket '%s': there is something else", path);
	if (is_served(address))
		return err_set(err, -EADDRINUSE, "socket '%s': another hvsmd serves it", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "socket '%s': %s", path, strerror(errno));
	return 0;
}

int settings_listen_unix(const char *path, const struct settings_user *user, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = make_parents(path, err);

	if (r < 0)
		return r;
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -EINVAL, "socket '%s': its path is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	r = make_way(path, &address, err);
	if (r < 0)
		return r;
	/* Nobody may connect before it has its owner. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (user && chown(path, 0, user->gid) < 0) || chmod(path, user ? 0660 : 0600) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return err_set(err, -errno, "socket '%s': %s", path, strerror(errno));
	return take_fd(&fd);
}

int settings_listen(const struct config *config, const struct settings_user *user,
		    struct err *err)
{
	return settings_listen_unix(config->socket, user, err);
}

static uint32_t cpus_online(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 0 ? (uint32_t)cpus : 1;
}

uint32_t settings_host_us_per_s(const struct config *config)
{
	return (config->host_cpu_permille ? config->host_cpu_permille
					  : cpus_online() * HOST_PERMILLE) * US_PER_PERMILLE;
}

struct schedule_options settings_options(const struct config *config)
{
	return (struct schedule_options){
		.jitter_percent = config->jitter_percent > 90 ? 90 : config->jitter_percent,
		.host_us_per_s = settings_host_us_per_s(config),
		.cpus = cpus_online(),
	};
}

void settings_worth(uint8_t *ret)
{
	size_t n;
	const struct check *const *checks = checks_all(&n);

	for (size_t i = 0; i < n; i++)
		ret[i] = checks[i]->worth;
}

void settings_watched(struct schedule *schedule)
{
	size_t n;
	const struct check *const *checks = checks_all(&n);

	for (size_t i = 0; i < n; i++)
		if (sentinel_watches(checks[i]->id))
			schedule_set_watched(schedule, (uint32_t)i);
}

int settings_plan(const struct config *config, const char *name, const char *uuid, bool *wanted,
		  struct schedule_plan *ret)
{
	struct guest_config guest;
	size_t n;
	const struct check *const *checks = checks_all(&n);
	bool watch;
	int r = config_guest(config, name, uuid, &guest);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		wanted[i] = guest_config_runs(&guest, checks[i]->id);
	watch = guest.watch;
	*ret = (struct schedule_plan){
		.look_ms = guest.look_period_ms,
		.period_ms = { guest.cheap_period_ms, guest.middle_period_ms,
			       guest.dear_period_ms },
		.us_per_s = guest.cpu_permille * US_PER_PERMILLE,
		.wanted = wanted,
		.watch = guest.sentinel,
	};
	guest_config_free(&guest);
	return watch;
}
