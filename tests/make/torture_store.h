/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_TORTURE_STORE_H
#define HVSM_TESTS_MAKE_TORTURE_STORE_H

#include <stddef.h>

/* For the torture of what keeps SQLite's files: some thousand of them are made and removed. */

/*
 * SQLite takes its memory from malloc(), which then can fail (torture.h). Before its first use.
 * Return: 0, or -1.
 */
int torture_sqlite(void);

/* A new directory, in memory where that can be: a disk is waited for again and again. 0 or -1. */
int torture_directory(const char *name, char *ret, size_t size);

/* The files in a directory, without a shell; what is no file stays. None is fine. */
void torture_remove_files(const char *path);

#endif
