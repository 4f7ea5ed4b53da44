/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/say.h"
#include "report/verdict.h"

/* Narrower, and no table can be read; such terminals are left to wrap. */
#define COLUMNS_MIN 40

/* As the program found it: what runs in a sandbox prints to a pipe. */
static bool colour;
static size_t columns;

static bool colour_of_stdout(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
	       term && strcmp(term, "dumb");
}

static size_t columns_of_stdout(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return 80;
	return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

void output_init(void)
{
	/*
	 * A standard stream that is closed must not become the guest's RAM or a monitor
	 * socket by the next open(). What stands in for it cannot be used the wrong way
	 * round: stdout of nothing still fails when it is written.
	 */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
			abort();
	signal(SIGPIPE, SIG_IGN);
	colour = colour_of_stdout();
	columns = columns_of_stdout();
}

/* A pipe or socket without its reader: errno of the write that failed is long gone. */
static bool reader_left(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);
}

void output_lost(int code)
{
	say("cannot write the output: %s; send it somewhere else", strerror(-code));
}

int output_finish(int status)
{
	errno = 0;
	if ((!fflush(stdout) && !ferror(stdout)) || reader_left())
		return status;
	output_lost(errno ? -errno : -EIO);
	return EXIT_UNSCANNED;
}

bool output_colour(void)
{
	return colour;
}

size_t output_columns(void)
{
	return columns;
}
