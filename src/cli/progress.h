/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_PROGRESS_H
#define HVSM_CLI_PROGRESS_H

/*
 * One line on stderr while something takes long: from the first second on, once a second,
 * and only on a terminal. It is gone when the work is done.
 */
struct progress;

/**
 * progress_begin - from here on something is going on
 * @what: "attaching to web1"; copied, escaped here
 *
 * Return: to be given to progress_end(). NULL where there is nobody to tell, which is fine.
 */
struct progress *progress_begin(const char *what);

/* Wipes the line; *@progress becomes NULL. NULL is fine. */
void progress_end(struct progress **progress);

#endif
