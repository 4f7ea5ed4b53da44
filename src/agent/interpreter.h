/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_INTERPRETER_H
#define HVSM_AGENT_INTERPRETER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is this a program that is given files to run: a shell, Python, insmod? @path: of any length. */
bool interpreter_by_name(const char *path);

/* At most so many arguments may be the file that an interpreter runs. */
#define INTERPRETER_FILES_MAX 4

/**
 * interpreter_files - which arguments may name the file that it runs
 * @arguments: as in /proc/PID/cmdline, each ended by NUL, @n bytes in all; the last may be cut
 * @files:     receives them: the first that are no options. Which of them is one, the file system
 *             tells: an option's value is taken for a name as well.
 *
 * Return: how many.
 */
unsigned interpreter_files(const char *arguments, size_t n,
			   const char *files[INTERPRETER_FILES_MAX]);

/**
 * interpreter_path - what a process means by the name of a file, as a path below /proc/PID
 *
 * The names of its own descriptors and of itself are links that lead to who follows them.
 *
 * Return: what snprintf(3) does.
 */
int interpreter_path(uint32_t pid, const char *file, char *path, size_t size);

#endif
