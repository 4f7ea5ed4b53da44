/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_PROC_LINES_H
#define HVSM_AGENT_PROC_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* What is read at a time, and as much of a line as is kept: a module's users may be thousands. */
#define PROC_LINES_BYTES 32768u

/* Lines of one file: 4 times the sockets that an inside view has room for. */
#define PROC_LINES_MAX	 (1u << 19)

struct proc_lines {
	char text[PROC_LINES_BYTES];
	unsigned reads;		/* calls of read(2) that gave something */
};

/* A line without its newline, cut off at PROC_LINES_BYTES. False: no more of them. */
typedef bool proc_line_fn(const char *line, size_t len, void *ctx);

/**
 * proc_lines_read - all lines of a file, from where it stands
 * @lines: room for the work; then reads tells whether the kernel made the text in one go
 * @line_max: no line is longer; 0: not known. Then the end is known without asking for it (the
 *            kernel fills a page with lines, fs/seq_file.c), and asking is no small matter: a
 *            kernel goes through all of a large table to find that nothing follows.
 *
 * Return: 0; negative errno of read(2); -ELOOP (over PROC_LINES_MAX lines).
 */
nodiscard int proc_lines_read(struct proc_lines *lines, int fd, size_t line_max, proc_line_fn *fn,
			      void *ctx);

/* Open a file to read, relative to @dir; never waits for a writer or becomes a terminal's owner. */
nodiscard int proc_open(int dir, const char *path);

#endif
