/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/window.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "base/cleanup.h"

/* A memfd of normal pages, whose size stays, and of which mincore() tells the truth. */
static bool is_fit(int fd)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &status) == 0 &&
	       status.st_blksize == GUEST_PAGE_SIZE && (status.st_mode & S_IWOTH);
}

/* What of a window lies behind the file's end is not read: the caller asks for what is in it. */
static struct window *open_window(struct windows *windows, int fd, uint64_t offset)
{
	struct window *window = &windows->v[windows->next];
	void *map = is_fit(fd) ?
		    mmap(NULL, WINDOW_BYTES, PROT_READ, MAP_SHARED, fd, (off_t)offset) : MAP_FAILED;

	if (map == MAP_FAILED) {
		windows->refused = true;
		return NULL;
	}
	if (window->map)
		munmap((void *)(uintptr_t)window->map, WINDOW_BYTES);
	*window = (struct window){ .map = map, .fd = fd, .offset = offset };
	windows->next = (windows->next + 1) % WINDOWS_MAX;
	return window;
}

static struct window *window_on(struct windows *windows, int fd, uint64_t offset)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		struct window *window = &windows->v[i];

		if (window->map && window->fd == fd && window->offset == offset)
			return window;
	}
	return windows->refused ? NULL : open_window(windows, fd, offset);
}

static bool is_in_memory(const uint8_t *page, size_t pages)
{
	unsigned char there[WINDOW_PEEK_MAX / GUEST_PAGE_SIZE + 1];
	unsigned char all = 1;

	if (mincore((void *)(uintptr_t)page, pages * GUEST_PAGE_SIZE, there) < 0)
		return false;
	for (size_t i = 0; i < pages; i++)
		all &= there[i];
	return all & 1;
}

const uint8_t *windows_peek(struct windows *windows, int fd, uint64_t offset, size_t len)
{
	uint64_t inside = offset % WINDOW_BYTES, skew = offset & GUEST_PAGE_MASK;
	struct window *window;

	if (!len || len > WINDOW_PEEK_MAX || len > WINDOW_BYTES - inside)
		return NULL;
	window = window_on(windows, fd, offset - inside);
	if (!window || !is_in_memory(window->map + inside - skew,
				     (skew + len + GUEST_PAGE_MASK) / GUEST_PAGE_SIZE))
		return NULL;
	return window->map + inside;
}

void windows_close(struct windows *windows)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++)
		if (windows->v[i].map)
			munmap((void *)(uintptr_t)windows->v[i].map, WINDOW_BYTES);
	*windows = (struct windows){0};
}
