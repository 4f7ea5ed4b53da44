/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sealed.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define TRIES 20	/* a try that meets a busy page takes the kernel 75 ms */

static int write_all(int fd, const uint8_t *data, size_t size, struct err *err)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno, "memory to hand over: %s", strerror(errno));
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * A page that the kernel holds for a moment (on its way to a list, or being moved) is one that a
 * device could still write to: it waits a little, and then says EBUSY (memfd_wait_for_pins() in
 * mm/memfd.c of Linux). Nobody but us has the descriptor, so that it is a matter of time.
 */
static int seal(int fd, struct err *err)
{
	for (unsigned int i = 0; fcntl(fd, F_ADD_SEALS, SEALS) < 0; i++)
		if (errno != EBUSY || i == TRIES)
			return err_set(err, -errno, "memory to hand over: %s", strerror(errno));
	return 0;
}

int sealed_make(const char *name, const void *data, size_t size, struct err *err)
{
	cleanup(fd_close) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_set(err, -errno, "memory to hand over: %s", strerror(errno));
	r = write_all(fd, data, size, err);
	if (r < 0)
		return r;
	r = seal(fd, err);
	return r < 0 ? r : take_fd(&fd);
}

int64_t sealed_check(int fd, size_t max, struct err *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* Without the seals its sender could change it while it is read, or cut it: SIGBUS. */
	if (seals < 0 || (seals & SEALS) != SEALS)
		return err_set(err, -EPROTO, "what it sent is not sealed");
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "what it sent: %s", strerror(errno));
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return err_set(err, -EPROTO, "what it sent has %lld bytes, and may have %zu",
			       (long long)st.st_size, max);
	return st.st_size;
}

int sealed_map(int fd, size_t max, struct sealed *ret, struct err *err)
{
	int64_t size = sealed_check(fd, max, err);
	void *data = NULL;

	if (size < 0)
		return (int)size;
	if (size)
		data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "what it sent: %s", strerror(errno));
	*ret = (struct sealed){ data, (size_t)size };
	return 0;
}

void sealed_unmap(struct sealed *sealed)
{
	if (sealed->data)
		munmap((void *)(uintptr_t)sealed->data, sealed->size);
	*sealed = (struct sealed){ NULL, 0 };
}
