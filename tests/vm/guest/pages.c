/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - memory that the kernel itself moves and merges: equal pages (KSM), huge ones
 *
 * Prints which of these it has, one a line, then changes some of it over and over in the
 * background until it is killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES (16u << 20)
#define PAGE  4096u
#define HUGE  (2u << 20)

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static char *map(const char *what, int flags, int advice)
{
	char *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED || (advice && madvise(at, BYTES, advice) < 0))
		return NULL;
	puts(what);
	return at;
}

int main(void)
{
	char *merged, *huge, *reserved;

	write_file("/sys/kernel/mm/ksm/run", "1");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "10");
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	write_file("/proc/sys/vm/nr_hugepages", "8");
	merged = map("equal pages", 0, MADV_MERGEABLE);
	huge = map("transparent huge pages", 0, MADV_HUGEPAGE);
	reserved = map("huge pages", MAP_HUGETLB, 0);
	fflush(stdout);
	if (daemon(0, 0) < 0)
		return 1;
	for (unsigned round = 0;; round++) {
		for (unsigned i = 0; merged && i < BYTES; i += PAGE)
			memset(merged + i, (int)(round / 8 % 2), PAGE);
		for (unsigned i = 0; huge && i < BYTES; i += HUGE)
			huge[i] = (char)round;
		for (unsigned i = 0; reserved && i < BYTES; i += HUGE)
			reserved[i] = (char)round;
		/* What was huge is split, and put together again. */
		if (huge)
			madvise(huge + PAGE, PAGE, MADV_DONTNEED);
		usleep(20000);
	}
}
