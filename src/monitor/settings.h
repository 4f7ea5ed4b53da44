/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SETTINGS_H
#define HVSM_MONITOR_SETTINGS_H

#include <sys/types.h>

#include "monitor/config.h"
#include "monitor/schedule.h"

/* What the parent makes of the configuration: users, directories, what is looked at when. */

/* The user of the unprivileged roles. */
struct settings_user {
	uid_t uid;
	gid_t gid;
};

/**
 * settings_user - who control is to be
 * Return: 0, -ENOENT (there is no such user), or another errno.
 */
nodiscard int settings_user(const struct config *config, struct settings_user *ret,
			    struct err *err);

/**
 * settings_ledger - the directory of the reports, made where it is not there
 * @user: whose it is to be; NULL: the caller's
 * @ret:  receives its path; free()
 *
 * Return: 0, or a negative errno.
 */
nodiscard int settings_ledger(const struct config *config, const struct settings_user *user,
			      char **ret, struct err *err);

/**
 * settings_listen - the socket for the command line
 * @user: whose group may talk to it; NULL: the caller only
 *
 * Its directory is made where it is not there, and a socket that nobody listens at is removed.
 *
 * Return: a descriptor that listens, -EADDRINUSE (another hvsmd serves it), or another errno.
 */
nodiscard int settings_listen(const struct config *config, const struct settings_user *user,
			      struct err *err);

/* The same at any path. */
nodiscard int settings_listen_unix(const char *path, const struct settings_user *user,
				   struct err *err);

/* CPU time for all guests; 2,000,000 are two CPUs. */
uint32_t settings_host_us_per_s(const struct config *config);

struct schedule_options settings_options(const struct config *config);

/* What the checks are worth, each by its number: for schedule_create(). */
void settings_worth(uint8_t *ret);

/* Which of them are watched (sentinel.h): as schedule_set_watched(). */
void settings_watched(struct schedule *schedule);

/**
 * settings_plan - what holds for one guest
 * @wanted: of each check; the plan points to it
 *
 * Return: 1, 0 (it is not to be watched), -ENOMEM.
 */
nodiscard int settings_plan(const struct config *config, const char *name, const char *uuid,
			    bool *wanted, struct schedule_plan *ret);

#endif
