/* SPDX-License-Identifier: Apache-2.0 */

/*
 * damage IMAGE ROUNDS [SEED [ATTACH_EVERY]] - read a real guest whose memory lies
 *
 * IMAGE is raw memory from physical address 0 on; it stays as it is. One pass over the whole
 * guest records which pages hvsm reads of it. Then, in each round, some words of those pages
 * are replaced by what a hostile guest might put there, and all of it is read again; every
 * ATTACH_EVERY-th round (10) is hostile to attaching. Nothing may crash, leak, or run for
 * more than a stated time. Prints the slowest of each kind; ends with 1 where one was too slow.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/sweep.h"
#include "linux/exec.h"
#include "linux/file.h"
#include "linux/kernel.h"
#include "linux/log.h"
#include "linux/module.h"
#include "linux/module_symbols.h"
#include "linux/mount.h"
#include "linux/owner.h"
#include "linux/socket.h"
#include "linux/task.h"
#include "linux/task_cgroup.h"
#include "linux/task_exec.h"
#include "linux/task_ns.h"
#include "ram/fake.h"

/* Of processor time; generous: a tank of fuel takes 1 s, and the build may be sanitized. */
#define LIMIT_MS 60000u
#define WORDS_MAX 4u

static struct {
	uint8_t *memory;
	size_t size;
	struct ram *ram;
	const struct ram_ops *inner;
	struct view *view;
	struct kernel *kernel;
	uint8_t *touched;	/* per page: small reads met it */
	bool recording;
	uint32_t *attach, *views;	/* pages met while attaching, and afterwards */
	size_t attach_n, views_n;
	uint64_t random;
} g;

static void die(const char *what)
{
	fprintf(stderr, "damage: %s\n", what);
	exit(2);
}

/* xorshift64* */
static uint64_t draw(uint64_t n)
{
	g.random ^= g.random >> 12;
	g.random ^= g.random << 25;
	g.random ^= g.random >> 27;
	return g.random * 0x2545f4914f6cdd1d % n;
}

static int record(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		  struct err *err)
{
	if (g.recording && len <= GUEST_PAGE_SIZE)
		g.touched[offset >> GUEST_PAGE_SHIFT] = 1;
	return g.inner->read(ram, range, offset, buf, len, err);
}

static void load(const char *path)
{
	static struct ram_ops ops;
	cleanup(fd_close) int fd = open(path, O_RDONLY);
	struct ram_range range = { gpa_of(0), 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("no image");
	g.size = (size_t)st.st_size & ~GUEST_PAGE_MASK;
	range.size_bytes = g.size;
	g.memory = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	g.touched = calloc(g.size >> GUEST_PAGE_SHIFT, 1);
	if (g.memory == MAP_FAILED || !g.touched ||
	    fake_open(&range, (void *[]){ g.memory }, 1, &g.ram, NULL) < 0)
		die("no memory");
	g.inner = g.ram->ops;
	ops = *g.inner;
	ops.read = record;
	g.ram->ops = &ops;
}

/* The pages that were met since the last call. */
static uint32_t *take_pages(size_t *n)
{
	uint32_t *pages = malloc((g.size >> GUEST_PAGE_SHIFT) * sizeof(*pages) + 1);

	*n = 0;
	if (!pages)
		die("no memory");
	for (uint32_t i = 0; i < g.size >> GUEST_PAGE_SHIFT; i++) {
		if (g.touched[i])
			pages[(*n)++] = i;
		g.touched[i] = 0;
	}
	return pages;
}

static int attach(void)
{
	struct err err = {0};

	kernel_close(&g.kernel);
	view_close(&g.view);
	if (view_open(g.ram, VIEW_FUEL_ATTACH, &g.view) < 0)
		die("no memory");
	return kernel_open(g.view, &g.kernel, &err);
}

static void read_tasks(struct tasks *tasks)
{
	char text[PATH_BYTES_MAX];
	struct task_args *args = malloc(sizeof(*args));
	struct task_ns ns;

	if (!args)
		die("no memory");
	(void)!task_list(g.kernel, g.view, tasks, NULL);
	for (size_t i = 0; i < tasks->n; i++) {
		struct tasks threads = {0};
		const struct task *task = &tasks->v[i];

		(void)!task_threads(g.kernel, g.view, task, &threads, NULL);
		(void)!task_exe(g.kernel, g.view, task, text, sizeof(text), NULL);
		(void)!task_args(g.kernel, g.view, task, args, NULL);
		(void)!task_cgroup(g.kernel, g.view, task, text, sizeof(text), NULL);
		(void)!task_namespaces(g.kernel, g.view, task, &ns, NULL);
		tasks_free(&threads);
	}
	free(args);
}

static void read_modules(void)
{
	struct modules modules = {0};
	struct owners *owners = NULL;

	(void)!modules_read(g.kernel, g.view, MODULE_BY_LIST | MODULE_BY_TREE | MODULE_BY_SYSFS |
			    MODULE_DETAILS, &modules, NULL);
	for (size_t i = 0; i < modules.list.n; i++) {
		struct module_symbols *symbols = NULL;

		if (module_symbols_read(g.kernel, g.view, &modules.list.v[i], &symbols, NULL) >= 0)
			module_symbols_free(&symbols);
	}
	modules_free(&modules);
	if (owners_open(g.kernel, g.view, &owners, NULL) >= 0) {
		struct exec_ranges ranges = {0};

		(void)!exec_read(g.kernel, g.view, owners, &ranges, NULL);
		exec_free(&ranges);
		owners_close(&owners);
	}
}

/* Everything that hvsm can say of a guest, each with a fresh tank. */
static void read_all(void)
{
	static const struct sweep_options options = { .runs_max = 2, .pause_us = 1 };
	struct sweep *sweep = NULL;
	struct tasks tasks = {0};
	struct sockets sockets = {0};
	struct files files = {0};
	struct mounts mounts = {0};
	struct log log = {0};

	view_refresh(g.view);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	read_tasks(&tasks);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	read_modules();
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	(void)!socket_list(g.kernel, g.view, &tasks, &sockets, NULL);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	(void)!file_list(g.kernel, g.view, &tasks, &files, NULL);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	(void)!mount_list(g.kernel, g.view, &tasks, &mounts, NULL);
	view_refuel(g.view, VIEW_FUEL_SWEEP);
	(void)!log_read(g.kernel, g.view, &log, NULL);
	if (sweep_run(g.kernel, g.view, &options, &sweep, NULL) < 0)
		die("no memory");
	sweep_free(&sweep);
	log_free(&log);
	mounts_free(&mounts);
	files_free(&files);
	sockets_free(&sockets);
	tasks_free(&tasks);
}

static uint64_t evil(uint64_t before, uint64_t at)
{
	const uint64_t map = g.kernel ? g.kernel->page_offset.v : 0xffff888000000000;

	switch (draw(12)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return map + at;		/* itself */
	case 3: return map + (uint64_t)g.views[draw(g.views_n)] * 4096 + draw(512) * 8;
	case 4: return before ^ 1ull << draw(64);
	case 5: return before + 8;
	case 6: return before | 0xffffffff;
	case 7: return before & ~0xffffffffull;
	case 8: return 0x7fffffff00000000 | draw(1ull << 32);
	case 9: return UINT64_MAX - draw(4096);
	case 10: return draw(4096);
	default: return before + (1ull << draw(40));
	}
}

/* One of the words of a page that are not zero, mostly: what is there is used. */
static uint64_t *word_of(uint32_t page)
{
	uint64_t *words = (uint64_t *)(void *)(g.memory + (uint64_t)page * GUEST_PAGE_SIZE);
	uint64_t *word = &words[draw(512)];

	for (unsigned i = 0; i < 16 && !*word; i++)
		word = &words[draw(512)];
	return word;
}

static void round_of(bool attaching, double *slowest)
{
	uint64_t *at[WORDS_MAX], before[WORDS_MAX], n = 1 + draw(WORDS_MAX), started;
	double ms;

	for (unsigned i = 0; i < n; i++) {
		at[i] = word_of(attaching && draw(2) ? g.attach[draw(g.attach_n)] :
						       g.views[draw(g.views_n)]);
		before[i] = *at[i];
		*at[i] = evil(before[i], (uint64_t)((uint8_t *)at[i] - g.memory));
	}
	started = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!attaching || attach() >= 0)
		read_all();
	ms = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - started) / 1e6;
	if (ms > *slowest)
		*slowest = ms;
	for (unsigned i = (unsigned)n; i-- > 0;)
		*at[i] = before[i];
	if (attaching && attach() < 0)
		die("what was mended cannot be read any more");
}

int main(int argc, char **argv)
{
	double slowest[2] = {0};
	unsigned long rounds, every;

	if (argc < 3)
		die("usage: damage IMAGE ROUNDS [SEED [ATTACH_EVERY]]");
	rounds = strtoul(argv[2], NULL, 10);
	g.random = argc > 3 ? strtoul(argv[3], NULL, 10) | 1 : 1;
	every = argc > 4 ? strtoul(argv[4], NULL, 10) : 10;
	load(argv[1]);

	g.recording = true;
	if (attach() < 0)
		die("no kernel in the image");
	g.attach = take_pages(&g.attach_n);
	read_all();
	g.views = take_pages(&g.views_n);
	g.recording = false;
	printf("pages: %zu to attach, %zu afterwards\n", g.attach_n, g.views_n);

	for (unsigned long i = 1; i <= rounds; i++) {
		bool attaching = every && i % every == 0;

		round_of(attaching, &slowest[attaching]);
	}
	printf("%lu rounds; slowest: %.0f ms, %.0f ms with attaching\n", rounds, slowest[0],
	       slowest[1]);
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
	free(g.attach);
	free(g.views);
	free(g.touched);
	return slowest[0] > LIMIT_MS || slowest[1] > LIMIT_MS;
}
