/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/window.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "base/cleanup.h"

/* Nothing is in a file so far behind its end, whatever the size of its pages. */
#define FAR_BYTES (4ull << 20)

/* --- a page that cannot be read --- */

/* Is on_fault() in place? */
static bool catching;

/* The window that is read just now; NULL: none. */
static const uint8_t *volatile reading;
static volatile sig_atomic_t torn;

/*
 * Something else takes the page's place, so that the read ends. Where it was no read of a window
 * this process ends: sigaction() is not for who is in the sandbox.
 */
static void on_fault(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr, *map = reading;
	uint8_t *page = (uint8_t *)((uintptr_t)at & ~(uintptr_t)GUEST_PAGE_MASK);

	(void)number;
	(void)context;
	/* It was told before it is read (vm.memory_failure_early_kill). */
	if (info->si_code == BUS_MCEERR_AO)
		return;
	if (!map || at < map || at >= map + WINDOW_BYTES)
		__builtin_trap();
	if (mmap(page, GUEST_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		__builtin_trap();
	torn = 1;
}

void windows_catch(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	catching = sigaction(SIGBUS, &action, NULL) == 0;
}

/* --- which file --- */

/* Does mincore() say that nothing is where nothing is? No page of hugetlbfs can lie there. */
static bool is_told_the_truth(int fd, uint64_t end)
{
	uint64_t at = (end / FAR_BYTES + 2) * FAR_BYTES + GUEST_PAGE_SIZE;
	void *map = mmap(NULL, GUEST_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, (off_t)at);
	unsigned char there = 1;

	if (map == MAP_FAILED)
		return false;
	if (mincore(map, GUEST_PAGE_SIZE, &there) < 0)
		there = 1;
	munmap(map, GUEST_PAGE_SIZE);
	return !(there & 1);
}

/* A memfd whose size stays, and of which we are told what is there. */
static bool is_fit(int fd, uint64_t *end)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0 || status.st_size < 0)
		return false;
	*end = (uint64_t)status.st_size;
	return is_told_the_truth(fd, *end);
}

/* --- windows --- */

static void close_window(struct window *window)
{
	if (window->map)
		munmap((void *)(uintptr_t)window->map, WINDOW_BYTES);
	*window = (struct window){0};
}

static struct window *open_window(struct windows *windows, int fd, uint64_t offset)
{
	struct window *window = &windows->v[windows->next];
	uint64_t end;
	void *map;

	if (!is_fit(fd, &end)) {
		windows->refused = true;
		return NULL;
	}
	close_window(window);
	map = mmap(NULL, WINDOW_BYTES, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	if (map == MAP_FAILED)
		return NULL;
	*window = (struct window){ .map = map, .fd = fd, .offset = offset, .end = end };
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
	return windows->refused || !catching ? NULL : open_window(windows, fd, offset);
}

static bool is_in_memory(const uint8_t *page, size_t pages)
{
	unsigned char there[WINDOW_READ_MAX / GUEST_PAGE_SIZE + 1];
	unsigned char all = 1;

	if (mincore((void *)(uintptr_t)page, pages * GUEST_PAGE_SIZE, there) < 0)
		return false;
	for (size_t i = 0; i < pages; i++)
		all &= there[i];
	return all & 1;
}

int windows_read(struct windows *windows, int fd, uint64_t offset, size_t len,
		 ram_reader_fn *reader, void *ctx)
{
	uint64_t inside = offset % WINDOW_BYTES, skew = offset & GUEST_PAGE_MASK;
	struct window *window;

	if (!len || len > WINDOW_READ_MAX || len > WINDOW_BYTES - inside)
		return -EAGAIN;
	window = window_on(windows, fd, offset - inside);
	if (!window || offset > window->end || len > window->end - offset ||
	    !is_in_memory(window->map + inside - skew,
			  (skew + len + GUEST_PAGE_MASK) / GUEST_PAGE_SIZE))
		return -EAGAIN;

	reading = window->map;
	reader(window->map + inside, len, ctx);
	reading = NULL;
	if (!torn)
		return 0;
	/* What takes the page's place must not stay. */
	torn = 0;
	windows_close(windows);
	windows->refused = true;
	return -EAGAIN;
}

void windows_close(struct windows *windows)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++)
		close_window(&windows->v[i]);
	*windows = (struct windows){0};
}
