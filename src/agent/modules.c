/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/modules.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/measure.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/map.h"

#define NAME_BYTES  64		/* MODULE_NAME_LEN, include/linux/moduleparam.h */
#define MODULES_MAX 16384u

static struct map loaded;	/* hash of the name → 1: its file is found */

static uint64_t hash_of(const char *name)
{
	return hash_bytes(name, strlen(name), hash_secret()) | 1;
}

size_t modules_name(const char *path, size_t n, char *name, size_t size)
{
	const char *base = memrchr(path, '/', n);
	size_t used = 0;

	base = base ? base + 1 : path;
	for (const char *at = base; at < path + n && *at != '.'; at++) {
		if (used + 1 >= size)
			return 0;
		name[used++] = *at == '-' ? '_' : *at;
	}
	if (path + n - base < (ptrdiff_t)used + 3 || memcmp(base + used, ".ko", 3) != 0)
		return 0;
	name[used] = 0;
	return used;
}

/* Which of @wanted stand in modules.dep: to the worker with them. False: he took not all. */
static bool find_files(struct map *wanted)
{
	cleanup(file_close) FILE *file = NULL;
	cleanup(freep) char *line = NULL;
	struct utsname system;
	char path[MEASURE_PATH_MAX], name[NAME_BYTES];
	size_t room = 0;
	bool all = true;

	if (uname(&system) < 0)
		return true;
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", system.release);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0) {
		size_t n = strcspn(line, ":\n");
		uint32_t found;
		int r;

		if (!modules_name(line, n, name, sizeof(name)) ||
		    !map_get(wanted, hash_of(name), &found) || found)
			continue;
		line[n] = 0;
		snprintf(path, sizeof(path), *line == '/' ? "%s" : "/lib/modules/%2$s/%1$s", line,
			 system.release);
		r = measure_path(MEASURE_LOCAL, path, AGENT_MODULE, COVER_NONE);
		if (r >= 0)
			r = map_put(wanted, hash_of(name), 1);
		all = all && r >= 0;
	}
	return all;
}

/* The names that are in /proc/modules; 1: there is one that was not there before. */
static int read_loaded(struct map *now)
{
	cleanup(file_close) FILE *file = fopen("/proc/modules", "re");
	char line[4096], name[NAME_BYTES];
	bool begins = true;
	int news = 0;

	while (file && fgets(line, sizeof(line), file)) {
		bool is_name = begins && sscanf(line, "%63s", name) == 1;
		uint32_t found = 0;
		int r;

		begins = strchr(line, '\n');
		if (!is_name)
			continue;
		if (now->n == MODULES_MAX)
			return -ENOSPC;
		news |= !map_get(&loaded, hash_of(name), &found);
		r = map_put(now, hash_of(name), found);
		if (r < 0)
			return r;
	}
	return news;
}

/* Of these there is no file. */
static void note_unknown(struct map *now)
{
	cleanup(file_close) FILE *file = fopen("/proc/modules", "re");
	char line[4096], name[NAME_BYTES];
	bool begins = true;

	while (file && fgets(line, sizeof(line), file)) {
		uint32_t found = 1;

		if (begins && sscanf(line, "%63s", name) == 1 &&
		    map_get(now, hash_of(name), &found) && !found)
			measure_unreadable(name, AGENT_MODULE, ENOENT);
		begins = strchr(line, '\n');
	}
}

void modules_measure(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct map now = {0};
	int r;

	/* A thread that lost its post hangs in here, on the directory of modules. */
	if (pthread_mutex_trylock(&lock) != 0)
		return;
	r = read_loaded(&now);
	if (r > 0 && !find_files(&now)) {
		map_free(&now);		/* once more, the next time */
	} else {
		if (r > 0)
			note_unknown(&now);
		map_free(&loaded);
		loaded = now;
	}
	pthread_mutex_unlock(&lock);
}
