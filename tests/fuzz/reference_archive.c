/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "reference/archive.h"

#define LIMIT (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_file(const char *path, struct archive_file *file, void *ctx, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	int r = archive_file_read(file, LIMIT, &blob, err);

	(void)ctx;
	return r < 0 ? r : !path || blob.size > LIMIT;
}

/* Every file of every package is read, and nothing beyond the limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(fd_close) int fd = memfd_create("package", MFD_CLOEXEC);
	struct reference_source source = {0};

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (archive_is(fd) && archive_each(fd, &source, read_file, NULL, NULL) > 0)
		abort();
	return 0;
}
