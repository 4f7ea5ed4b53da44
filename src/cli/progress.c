/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/columns.h"
#include "base/escape.h"

/* So that the line never wraps: it could not be wiped then. */
#define WHAT_COLUMNS 56

struct progress {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool end;		/* under @lock */
	char what[ESCAPED_MAX(WHAT_COLUMNS)];
};

static void put(const struct progress *progress, unsigned seconds)
{
	fprintf(stderr, "\rhvsm: %s … %u s\033[K", progress->what, seconds);
	fflush(stderr);
}

/* A thread of its own, since the work is one long call; a signal would cut its reads short. */
static void *tell(void *arg)
{
	struct progress *progress = arg;
	struct timespec next;
	unsigned seconds = 0;

	clock_gettime(CLOCK_MONOTONIC, &next);
	pthread_mutex_lock(&progress->lock);
	while (!progress->end) {
		next.tv_sec++;
		while (!progress->end &&
		       !pthread_cond_clockwait(&progress->ended, &progress->lock,
					       CLOCK_MONOTONIC, &next))
			;
		if (!progress->end)
			put(progress, ++seconds);
	}
	pthread_mutex_unlock(&progress->lock);
	if (seconds)
		fputs("\r\033[K", stderr);
	return NULL;
}

struct progress *progress_begin(const char *what)
{
	struct progress *progress;

	if (!isatty(STDERR_FILENO))
		return NULL;
	progress = calloc(1, sizeof(*progress));
	if (!progress)
		return NULL;
	escape(what, strlen(what), progress->what, sizeof(progress->what));
	progress->what[columns_fit(progress->what, WHAT_COLUMNS)] = '\0';
	pthread_mutex_init(&progress->lock, NULL);
	pthread_cond_init(&progress->ended, NULL);
	if (pthread_create(&progress->thread, NULL, tell, progress)) {
		free(progress);
		return NULL;
	}
	return progress;
}

void progress_end(struct progress **progress)
{
	struct progress *p = *progress;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->end = true;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
	*progress = NULL;
}
