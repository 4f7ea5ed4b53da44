/* SPDX-License-Identifier: Apache-2.0 */
#include "make/torture_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

static void *sqlite_malloc(int size)
{
	return malloc((size_t)size);
}

static void *sqlite_realloc(void *at, int size)
{
	return realloc(at, (size_t)size);
}

static int sqlite_size(void *at)
{
	return (int)malloc_usable_size(at);
}

static int sqlite_round(int size)
{
	return (size + 7) & ~7;
}

static int sqlite_begin(void *ctx)
{
	(void)ctx;
	return SQLITE_OK;
}

static void sqlite_end(void *ctx)
{
	(void)ctx;
}

int torture_sqlite(void)
{
	static sqlite3_mem_methods methods = {
		sqlite_malloc, free, sqlite_realloc, sqlite_size, sqlite_round, sqlite_begin,
		sqlite_end, NULL,
	};

	return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK ? 0 : -1;
}

int torture_directory(const char *name, char *ret, size_t size)
{
	static const char *const places[] = { "/dev/shm", "/tmp" };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int n = snprintf(ret, size, "%s/hvsm-%s-XXXXXX", places[i], name);

		if (n > 0 && (size_t)n < size && mkdtemp(ret))
			return 0;
	}
	return -1;
}

void torture_remove_files(const char *path)
{
	cleanup(dir_close) DIR *found = opendir(path);
	const struct dirent *entry;

	while (found && (entry = readdir(found)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(found), entry->d_name, 0);
}
