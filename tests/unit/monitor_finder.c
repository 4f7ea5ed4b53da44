/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/finder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "monitor/finder_calls.h"
#include "monitor/sealed.h"

#define RELEASE "6.1.0-99-amd64"
#define FOREVER_MS 600000

/* The role is played by this program, which finder_start() executes again. */
struct fixture {
	char dir[64], package[96], store[96];
	const char *paths[2];
	struct finder_wanted wanted;
	struct finder finder;
	struct finder_found found;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct blob deb = make_kernel_deb(0x11, RELEASE, "6.1.9-1");

	assert_non_null(f);
	strcpy(f->dir, "/tmp/hvsm-finder-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->package, sizeof(f->package), "%s/kernel.deb", f->dir);
	snprintf(f->store, sizeof(f->store), "%s/store", f->dir);
	make_file(f->dir, "kernel.deb", &deb);
	blob_free(&deb);
	f->paths[0] = f->package;
	f->wanted = (struct finder_wanted){
		.release = RELEASE, .paths = f->paths, .paths_n = 1, .store = f->store,
	};
	make_build_id(0x11, f->wanted.build_id);
	f->finder = FINDER_NONE;
	f->found = FINDER_FOUND_NONE;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	finder_end(&f->finder);
	finder_found_free(&f->found);
	free(f);
	return 0;
}

static int find(struct fixture *f, int kernel, struct err *err)
{
	cleanup(blob_free) struct blob request = { 0 };
	struct pollfd said;

	assert_int_equal(finder_request(&f->wanted, &request), 0);
	assert_int_equal(finder_start(&f->finder, &request, kernel, NULL), 0);
	said = (struct pollfd){ .fd = f->finder.channel.fd, .events = POLLIN };
	assert_int_equal(poll(&said, 1, FOREVER_MS), 1);
	return finder_take(&f->finder, &f->wanted, &f->found, err);
}

static void what_is_named_is_found(void **state)
{
	cleanup(blob_free) struct blob module = { 0 };
	struct fixture *f = *state;
	struct sealed vmlinux;

	assert_int_equal(find(f, -1, NULL), 0);
	assert_string_equal(f->found.remarks[0], "");
	assert_string_equal(f->found.remarks[1], "");
	assert_string_equal(reference_source(f->found.reference)->path, f->package);
	assert_int_equal(reference_module(f->found.reference, "ext4", "", &module, NULL), 0);
	assert_int_equal(sealed_map(f->found.vmlinux, 1u << 30, &vmlinux, NULL), 0);
	assert_memory_equal(vmlinux.data, "\177ELF", 4);
	sealed_unmap(&vmlinux);
}

static void what_is_not_there_is_not_found_without_a_word(void **state)
{
	struct fixture *f = *state;

	make_build_id(0x12, f->wanted.build_id);
	assert_int_equal(find(f, -1, NULL), 0);
	assert_null(f->found.reference);
	assert_int_equal(f->found.vmlinux, -1);
	assert_string_equal(f->found.remarks[0], "");
}

static void what_is_named_and_not_there_is_told_and_the_others_are_asked(void **state)
{
	struct fixture *f = *state;

	f->paths[0] = "/nowhere/kernel.deb";
	f->paths[1] = f->package;
	f->wanted.paths_n = 2;
	assert_int_equal(find(f, -1, NULL), 0);
	assert_non_null(strstr(f->found.remarks[0], "/nowhere/kernel.deb: No such file"));
	assert_string_equal(reference_source(f->found.reference)->path, f->package);
}

static void what_is_named_and_no_package_is_told(void **state)
{
	struct blob garbage = { (uint8_t *)strdup("no package"), 10 };
	struct fixture *f = *state;

	make_file(f->dir, "kernel.deb", &garbage);
	blob_free(&garbage);
	assert_int_equal(find(f, -1, NULL), 0);
	assert_null(f->found.reference);
	assert_non_null(strstr(f->found.remarks[0], "kernel.deb"));
}

/* Nobody named it, and it comes by a descriptor: its path may be another file by now. */
static int booted(struct fixture *f)
{
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(0x31, "5.10.0-99-amd64", "Debian 5.10.9-1");
	cleanup(blob_free) struct blob file = make_bzimage(&vmlinux, PACKED_XZ);
	char path[96];
	int fd;

	make_file(f->dir, "vmlinuz", &file);
	snprintf(path, sizeof(path), "%s/vmlinuz", f->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	make_build_id(0x31, f->wanted.build_id);
	strcpy(f->wanted.release, "5.10.0-99-amd64");
	f->wanted.kernel_name = "/boot/vmlinuz";
	return fd;
}

static void find_booted(struct fixture *f)
{
	cleanup(fd_close) int fd = booted(f);

	assert_int_equal(find(f, fd, NULL), 0);
	assert_non_null(f->found.reference);
}

static void the_kernel_that_was_booted_is_found(void **state)
{
	struct fixture *f = *state;

	find_booted(f);
	assert_string_equal(reference_source(f->found.reference)->source, "kernel file");
	assert_string_equal(reference_source(f->found.reference)->path, "/boot/vmlinuz");
}

static void the_kernel_that_was_booted_is_in_the_store_then(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->store, 0700), 0);
	find_booted(f);
	finder_end(&f->finder);
	finder_found_free(&f->found);
	f->finder = FINDER_NONE;
	f->found = FINDER_FOUND_NONE;
	f->wanted.kernel_name = NULL;
	assert_int_equal(find(f, -1, NULL), 0);
	assert_non_null(f->found.reference);
	assert_string_equal(reference_source(f->found.reference)->source, "kernel file");
}

/* It is hvsmd that makes it; this process makes nothing but what goes into it. */
static void a_store_that_is_not_there_is_not_made(void **state)
{
	struct fixture *f = *state;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
		skip();
	find_booted(f);
	assert_int_equal(access(f->store, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* A number of /proc/PID/status, of another base where the file has one. */
static uint64_t status(pid_t pid, const char *key, int base)
{
	char path[64], line[256];
	uint64_t value = UINT64_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, base);
	fclose(file);
	return value;
}

/* It waits for who adds to the store just now: so it can be looked at, while it is at work. */
static void it_is_at_work_without_its_rights(void **state)
{
	cleanup(blob_free) struct blob request = { 0 };
	struct fixture *f = *state;
	cleanup(fd_close) int fd = booted(f);
	cleanup(fd_close) int lock = -1;
	char path[128];
	pid_t pid;

	assert_int_equal(mkdir(f->store, 0700), 0);
	snprintf(path, sizeof(path), "%s/lock", f->store);
	lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(finder_request(&f->wanted, &request), 0);
	assert_int_equal(finder_start(&f->finder, &request, fd, NULL), 0);
	pid = f->finder.process.pid;
	for (int i = 0; i < FOREVER_MS && status(pid, "Seccomp:", 10) != SECCOMP_MODE_FILTER; i++)
		assert_int_equal(usleep(1000), 0);
	assert_int_equal(status(pid, "Seccomp:", 10), SECCOMP_MODE_FILTER);
	assert_int_equal(status(pid, "NoNewPrivs:", 10), 1);
	if (geteuid() == 0)
		assert_int_equal(status(pid, "CapEff:", 16), 1u << CAP_DAC_READ_SEARCH);
}

/* Whoever is root is let in by systemd, libvirt, D-Bus, and may signal what is theirs. */
static void it_has_no_socket_and_no_other_process(void **state)
{
	const struct fixture *f = *state;
	cleanup(fd_close) int fd = open(f->package, O_RDONLY | O_CLOEXEC);
	pid_t child = fork();
	int how;

	assert_true(fd >= 0);
	assert_true(child >= 0);
	if (!child) {
		if (finder_calls_load(NULL) < 0)
			_exit(1);
		if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
			_exit(2);
		if (kill(getppid(), 0) == 0 || errno != EPERM)
			_exit(3);
		if (execl("/bin/true", "true", NULL) == 0 || errno != EPERM)
			_exit(4);
		/* What Landlock does not know of, or not everywhere. */
		if (fchmod(fd, 0666) == 0 || errno != EPERM)
			_exit(6);
		if (open("/dev/null", O_RDONLY | O_TRUNC) >= 0 || errno != EPERM)
			_exit(7);
		if (fcntl(fd, F_SETOWN, getppid()) == 0 || errno != EPERM)
			_exit(8);
		_exit(fork() < 0 && errno == EPERM ? 42 : 5);
	}
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFEXITED(how));
	assert_int_equal(WEXITSTATUS(how), 42);
}

/* It has hardly been started, and has nothing to say for some milliseconds. */
static void start(struct fixture *f, int signal)
{
	cleanup(blob_free) struct blob request = { 0 };

	assert_int_equal(finder_request(&f->wanted, &request), 0);
	assert_int_equal(finder_start(&f->finder, &request, -1, NULL), 0);
	assert_int_equal(kill(f->finder.process.pid, signal), 0);
}

/* As on a file that hangs. */
static void nobody_has_to_wait_for_it(void **state)
{
	struct fixture *f = *state;

	start(f, SIGSTOP);
	assert_int_equal(finder_take(&f->finder, &f->wanted, &f->found, NULL), -ETIMEDOUT);
	finder_end(&f->finder);
	finder_end(&f->finder);
}

static void its_death_has_a_reason(void **state)
{
	struct fixture *f = *state;
	struct pollfd said;
	struct err err = { 0 };

	start(f, SIGKILL);
	said = (struct pollfd){ .fd = f->finder.channel.fd, .events = POLLIN };
	assert_int_equal(poll(&said, 1, FOREVER_MS), 1);
	assert_int_equal(finder_take(&f->finder, &f->wanted, &f->found, &err), -EPIPE);
	assert_non_null(strstr(err.text, "killed by SIGKILL"));
}

static void a_request_is_read_as_it_was_written(void **state)
{
	cleanup(blob_free) struct blob request = { 0 };
	cleanup(freep) const char **paths = NULL;
	const char *const two[] = { "/srv/kernels", "" };
	struct fixture *f = *state;
	struct finder_wanted read;

	f->wanted.paths = two;
	f->wanted.paths_n = 2;
	f->wanted.stamp = 0x123456789abcdef0;
	assert_int_equal(finder_request(&f->wanted, &request), 0);
	assert_int_equal(finder_read_request(request.data, request.size, &read, &paths, NULL), 0);
	assert_string_equal(read.build_id, f->wanted.build_id);
	assert_string_equal(read.release, RELEASE);
	assert_string_equal(read.store, f->store);
	assert_null(read.kernel_name);
	assert_int_equal(read.stamp, f->wanted.stamp);
	assert_int_equal(read.paths_n, 2);
	assert_string_equal(read.paths[0], "/srv/kernels");
	assert_string_equal(read.paths[1], "");
	for (size_t n = 0; n < request.size; n++)
		assert_int_equal(finder_read_request(request.data, n, &read, &paths, NULL), -EPROTO);
}

/* --- one that was taken over --- */

static void take_over(struct fixture *f, struct channel *theirs)
{
	static struct channel_rule rules[FINDER_RULES];
	int fds[2];

	assert_int_equal(channel_pair(fds, NULL), 0);
	finder_rules(rules);
	finder_rules(f->finder.rules);
	channel_init(&f->finder.channel, fds[0], ROLE_STARTER, ROLE_FINDER, f->finder.rules,
		     FINDER_RULES);
	channel_init(theirs, fds[1], ROLE_FINDER, ROLE_STARTER, rules, FINDER_RULES);
}

static void assert_refused(const void *body, size_t size, const int *fds, size_t n)
{
	struct fixture f = { .finder = FINDER_NONE, .found = FINDER_FOUND_NONE };
	struct channel theirs;

	take_over(&f, &theirs);
	assert_int_equal(channel_send(&theirs, FINDER_FOUND, body, size, fds, n, 0, NULL), 0);
	assert_int_equal(finder_take(&f.finder, &f.wanted, &f.found, NULL), -EPROTO);
	assert_null(f.found.reference);
	finder_end(&f.finder);
	channel_close(&theirs);
}

static void no_answer_that_cannot_be_is_taken(void **state)
{
	static const uint8_t none[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	static const uint8_t long_text[8] = { 200, 0, 0, 0, 255, 255, 255, 255 };
	cleanup(fd_close) int sealed = sealed_make("x", none, sizeof(none), NULL);
	cleanup(fd_close) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cleanup(fd_close) int open_file = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	assert_refused(long_text, sizeof(long_text), NULL, 0);
	assert_refused(none, sizeof(none), &sealed, 1);				/* no kernel */
	assert_refused(none, sizeof(none), (const int[]){ sealed, file }, 2);	/* not sealed … */
	assert_refused(none, sizeof(none), (const int[]){ sealed, open_file }, 2);
	assert_refused(none, sizeof(none), (const int[]){ file, sealed }, 2);
	assert_refused(none, sizeof(none), (const int[]){ sealed, sealed }, 2);	/* no list */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_named_is_found),
		TEST(what_is_not_there_is_not_found_without_a_word),
		TEST(what_is_named_and_not_there_is_told_and_the_others_are_asked),
		TEST(what_is_named_and_no_package_is_told),
		TEST(the_kernel_that_was_booted_is_found),
		TEST(the_kernel_that_was_booted_is_in_the_store_then),
		TEST(a_store_that_is_not_there_is_not_made),
		TEST(it_is_at_work_without_its_rights),
		TEST(it_has_no_socket_and_no_other_process),
		TEST(nobody_has_to_wait_for_it),
		TEST(its_death_has_a_reason),
		TEST(a_request_is_read_as_it_was_written),
		TEST(no_answer_that_cannot_be_is_taken),
	};

	if (spawn_role_of(argc, argv))
		_exit(finder_run());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
