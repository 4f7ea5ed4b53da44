/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/distribution.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DIGITS	"0123456789"
#define LETTERS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define RELEASE	LETTERS DIGITS ".+~_-"
#define VERSION	RELEASE ":"

/* Of such bytes alone, and nothing that a program takes for an option. */
static bool is_word(const char *text, const char *of)
{
	return *text && strchr(LETTERS DIGITS, *text) && !text[strspn(text, of)];
}

/* "… #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)": what the build was made of. */
static void debian_version(const char *build, char *ret, size_t size)
{
	static const char mark[] = " Debian ";
	const char *at = strstr(build, mark);
	size_t n;

	*ret = '\0';
	if (!at)
		return;
	at += sizeof(mark) - 1;
	n = strspn(at, VERSION);
	if (n < size && at[n] == ' ')
		snprintf(ret, size, "%.*s", (int)n, at);
	if (!is_word(ret, VERSION))
		*ret = '\0';
}

/* Image and modules have been apart since 7.0 or so; then linux-image has neither. */
static void debian(const char *release, const char *build, struct kernel_packages *ret)
{
	debian_version(build, ret->version, sizeof(ret->version));
	snprintf(ret->name[0][0], sizeof(ret->name[0][0]), "linux-binary-%s", release);
	snprintf(ret->name[0][1], sizeof(ret->name[0][1]), "linux-modules-%s", release);
	snprintf(ret->name[1][0], sizeof(ret->name[1][0]), "linux-image-%s", release);
	snprintf(ret->name[2][0], sizeof(ret->name[2][0]), "linux-image-%s-unsigned", release);
}

/*
 * "5.15.0-91-generic … #101~20.04.1-Ubuntu SMP": release without its flavour, a dot, and the
 * number of the upload.
 */
static void ubuntu_version(const char *release, const char *build, char *ret, size_t size)
{
	const char *flavour = strrchr(release, '-'), *end = strstr(build, "-Ubuntu");

	*ret = '\0';
	if (!flavour || !end || build[0] != '#' || !strchr(DIGITS, build[1]))
		return;
	if (strspn(build + 1, VERSION) < (size_t)(end - build - 1))
		return;
	snprintf(ret, size, "%.*s.%.*s", (int)(flavour - release), release,
		 (int)(end - build - 1), build + 1);
}

static void ubuntu(const char *release, const char *build, struct kernel_packages *ret)
{
	ubuntu_version(release, build, ret->version, sizeof(ret->version));
	snprintf(ret->name[0][0], sizeof(ret->name[0][0]), "linux-image-unsigned-%s", release);
	snprintf(ret->name[0][1], sizeof(ret->name[0][1]), "linux-modules-%s", release);
	snprintf(ret->name[1][0], sizeof(ret->name[1][0]), "linux-image-%s", release);
	snprintf(ret->name[1][1], sizeof(ret->name[1][1]), "linux-modules-%s", release);
}

int distribution_packages(const char *release, const char *banner, struct kernel_packages *ret,
			  struct err *err)
{
	/* What stands before it are the builder and its compiler, which name Debian, too. */
	const char *build = strrchr(banner, '#');

	if (!is_word(release, RELEASE) || strlen(release) > 64)
		return err_set(err, -EBADMSG, "'%.64s' is not the release of a kernel", release);
	*ret = (struct kernel_packages){0};
	if (build && strstr(build, "-Ubuntu "))
		ubuntu(release, build, ret);
	else if (build && strstr(build, " Debian "))
		debian(release, build, ret);
	else
		return err_set(err, -ENOTSUP, "Linux %s is no kernel of Debian or Ubuntu", release);
	return 0;
}
