/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fetch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

extern char **environ;

/* What apt says; the end of it is what it failed of. */
struct said {
	char text[16384];
	size_t n;
};

/* All that comes out of a pipe; of more than fits, the last part. */
static void listen_to(int fd, struct said *said)
{
	char block[4096];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0 || (n < 0 && errno == EINTR)) {
		size_t take = n < 0 ? 0 : (size_t)n, room = sizeof(said->text) - 1;

		if (said->n + take > room) {
			size_t drop = said->n + take - room;

			memmove(said->text, said->text + drop, said->n - drop);
			said->n -= drop;
		}
		memcpy(said->text + said->n, block, take);
		said->n += take;
	}
	said->text[said->n] = '\0';
}

/* The first line that apt marks as an error, without the mark. */
static const char *reason(struct said *said)
{
	for (char *line = strtok(said->text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, "E: ", 3))
			return line + 3;
	return "it does not say why";
}

/* Interrupts are for apt alone, as in system(3): we still have to tidy up. */
static int spawn_with(posix_spawn_file_actions_t *actions, char *const argv[], pid_t *pid)
{
	posix_spawnattr_t attributes;
	sigset_t interrupts;
	int r = posix_spawnattr_init(&attributes);

	if (r)
		return r;
	sigemptyset(&interrupts);
	sigaddset(&interrupts, SIGINT);
	sigaddset(&interrupts, SIGQUIT);
	r = posix_spawnattr_setsigdefault(&attributes, &interrupts);
	if (!r)
		r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawnp(pid, argv[0], actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return r;
}

static int spawn(char *const argv[], const char *directory, int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return -r;
	r = posix_spawn_file_actions_addchdir_np(&actions, directory);
	if (!r)
		r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, 2);
	if (!r)
		r = spawn_with(&actions, argv, pid);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Run it to its end: its exit status, or an errno. */
static int run(char *const argv[], const char *directory, struct said *said, struct err *err)
{
	int pipes[2], status, r;
	pid_t pid;

	said->n = 0;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set(err, -errno, "a pipe: %s", strerror(errno));
	r = spawn(argv, directory, pipes[1], &pid);
	close(pipes[1]);
	if (r == 0) {
		listen_to(pipes[0], said);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		r = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
	} else if (r == -ENOENT) {
		r = err_set(err, -ENOTSUP, "this host has no apt");
	} else {
		r = err_set(err, r, "%s: %s", argv[0], strerror(-r));
	}
	close(pipes[0]);
	return r;
}

/* `apt-get download` of the packages of one choice; status as run(). */
static int download(const struct kernel_packages *packages, unsigned choice, bool really,
		    const char *directory, struct said *said, struct err *err)
{
	char words[KERNEL_PACKAGES_MAX][sizeof(packages->name[0][0]) +
					sizeof(packages->version) + 1];
	char program[] = "apt-get", quiet[] = "-q", option[] = "-o", action[] = "download";
	char verified[] = "APT::Get::AllowUnauthenticated=false", dry[] = "--print-uris";
	char *argv[16] = { program, quiet, option, verified, action };
	size_t n = 5;

	if (!really)
		argv[n++] = dry;
	for (unsigned i = 0; i < KERNEL_PACKAGES_MAX && *packages->name[choice][i]; i++) {
		snprintf(words[i], sizeof(words[i]), "%s%s%s", packages->name[choice][i],
			 *packages->version ? "=" : "", packages->version);
		argv[n++] = words[i];
	}
	argv[n] = NULL;
	return run(argv, directory, said, err);
}

/* The first choice that the archives have: 0, or as fetch(). */
static int choose(const struct kernel_packages *packages, const char *directory, unsigned *choice,
		  struct said *said, struct err *err)
{
	char first[160] = "";

	for (*choice = 0; *choice < KERNEL_CHOICES_MAX; ++*choice) {
		const char *why;
		int r = *packages->name[*choice][0] ?
			download(packages, *choice, false, directory, said, err) : 1;

		if (r <= 0)
			return r;
		/* A package of another version is nearer to what is wanted than none. */
		why = *packages->name[*choice][0] ? reason(said) : first;
		if (!*first || !strncmp(why, "Version ", 8))
			snprintf(first, sizeof(first), "%s", why);
	}
	return err_set(err, -ENOENT, "apt: %s", first);
}

static int fetch_into(const struct kernel_packages *packages, const char *directory,
		      struct err *err)
{
	cleanup(freep) struct said *said = calloc(1, sizeof(*said));
	sighandler_t interrupt, quit;
	unsigned choice;
	int r;

	if (!said)
		return err_set(err, -ENOMEM, "no memory for apt");
	interrupt = signal(SIGINT, SIG_IGN);
	quit = signal(SIGQUIT, SIG_IGN);
	r = choose(packages, directory, &choice, said, err);
	if (r == 0)
		r = download(packages, choice, true, directory, said, err);
	signal(SIGINT, interrupt);
	signal(SIGQUIT, quit);
	if (r > 0)
		return err_set(err, -ENOENT, "apt: %s", reason(said));
	return r;
}

int fetch(const struct kernel_packages *packages, char directory[64], struct err *err)
{
	char made[64] = "/var/tmp/hvsm-fetch-XXXXXX";
	int r;

	if (!mkdtemp(made))
		return err_set(err, -errno, "a directory in /var/tmp: %s", strerror(errno));
	r = fetch_into(packages, made, err);
	if (r < 0)
		fetch_remove(made);
	else
		strcpy(directory, made);
	return r;
}

/* apt puts files there, no directories. */
void fetch_remove(const char *directory)
{
	cleanup(dir_close) DIR *dir = *directory ? opendir(directory) : NULL;
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	rmdir(directory);
}
