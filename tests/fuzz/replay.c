/* SPDX-License-Identifier: Apache-2.0 */

/*
 * replay DIRECTORY - run a fuzz harness over its corpus, without a fuzzer
 *
 * Fails where there is nothing to run: a test of nothing proves nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of exactly the input's size, so that a read beyond it is seen by AddressSanitizer. */
static int replay(const char *path)
{
	cleanup(freep) uint8_t *data = NULL;
	cleanup(file_close) FILE *file = fopen(path, "rb");
	struct stat st;
	size_t size;

	if (!file || fstat(fileno(file), &st) < 0)
		return -1;
	size = (size_t)st.st_size;
	data = malloc(size ? size : 1);
	if (!data || fread(data, 1, size, file) != size)
		return -1;
	LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned inputs = 0;
	DIR *dir;

	dir = argc == 2 ? opendir(argv[1]) : NULL;
	if (!dir) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		fprintf(stderr, "%s\n", path);	/* whose name stands last when it crashes */
		if (replay(path) < 0) {
			perror(path);
			return 1;
		}
		inputs++;
	}
	closedir(dir);
	printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
