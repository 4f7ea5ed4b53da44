/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/apart.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/calls.h"
#include "ram/image.h"

#define IMAGE_BYTES (1u << 20)
#define MARK_AT     0x3000u
#define MARK        "what the guest has"

/* What the rest of a command may be. It returns the exit status. */
typedef int act_fn(struct ram *ram);

struct outcome {
	int r, status;
	struct err err;
	char out[4096], said[4096];
};

static volatile sig_atomic_t stopped;
static volatile int stop_it;

static struct ram *open_image(void)
{
	char path[] = "/tmp/hvsm-apart-XXXXXX";
	int fd = mkstemp(path);
	struct ram *ram = NULL;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	assert_int_equal(pwrite(fd, MARK, sizeof(MARK), MARK_AT), sizeof(MARK));
	assert_int_equal(image_open_unread(path, &ram, NULL), 0);
	close(fd);
	unlink(path);
	return ram;
}

/* One of our own outputs in a file, while it is @fd. */
static int capture(int fd, int *held)
{
	int file = memfd_create("output", MFD_CLOEXEC);

	*held = dup(fd);
	assert_true(file >= 0 && *held >= 0);
	assert_int_equal(dup2(file, fd), fd);
	return file;
}

static void release(int fd, int held, int file, char *ret, size_t size)
{
	ssize_t n = pread(file, ret, size - 1, 0);

	assert_int_equal(dup2(held, fd), fd);
	close(held);
	close(file);
	assert_true(n >= 0);
	ret[n] = '\0';
}

static void run(act_fn *act, bool colour, struct outcome *ret)
{
	static const struct identity guest = { .target = "image:x", .hypervisor = "image" };
	struct apart *apart = malloc(sizeof(*apart));
	struct ram *ram = open_image(), *inside = NULL;
	int out, said, held_out, held_said;

	*ret = (struct outcome){ .status = -1 };
	assert_non_null(apart);
	*apart = APART_NONE;
	apart->colour = colour;
	apart->stop = &stop_it;
	ret->r = apart_begin(apart, ram, &guest, 60, &inside, &ret->err);
	if (apart_is_inside()) {
		int status = ret->r < 0 ? 99 : act(inside);

		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(ret->r, 1);
	fflush(NULL);
	out = capture(STDOUT_FILENO, &held_out);
	said = capture(STDERR_FILENO, &held_said);
	ret->r = apart_relay(apart, &ret->status, &ret->err);
	release(STDERR_FILENO, held_said, said, ret->said, sizeof(ret->said));
	release(STDOUT_FILENO, held_out, out, ret->out, sizeof(ret->out));
	apart_end(apart);
	free(apart);
	ram_close(&ram);
}

/* --- what it may do --- */

static int read_and_print(struct ram *ram)
{
	char text[sizeof(MARK)];

	if (ram_read(ram, (gpa){ MARK_AT }, text, sizeof(text), NULL) < 0)
		return 1;
	printf("%s\n", text);
	fprintf(stderr, "a remark\n");
	return 3;
}

static void it_reads_the_guest_and_prints(void **state)
{
	struct outcome got;

	(void)state;
	run(read_and_print, false, &got);
	assert_int_equal(got.r, 0);
	assert_int_equal(got.status, 3);
	assert_string_equal(got.out, MARK "\n");
	assert_string_equal(got.said, "a remark\n");
}

static int print_in_pieces(struct ram *ram)
{
	static const char text[] = "\033[1mh\xc3\xa4\xe4\xb8\x80\xf0\x9f\x99\x82\033[0m end";

	(void)ram;
	/* Each in a write of its own, and without a newline at the end. */
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		if (write(STDOUT_FILENO, text + i, 1) != 1)
			return 1;
	return 0;
}

static void characters_and_colours_may_come_in_pieces(void **state)
{
	struct outcome got;

	(void)state;
	run(print_in_pieces, true, &got);
	assert_int_equal(got.r, 0);
	assert_int_equal(got.status, 0);
	assert_string_equal(got.out, "\033[1mh\xc3\xa4\xe4\xb8\x80\xf0\x9f\x99\x82\033[0m end");
	/* The same, where there may be no colours. */
	run(print_in_pieces, false, &got);
	assert_int_equal(got.r, -EPROTO);
	assert_null(strchr(got.out, '\033'));
}

static int print_much(struct ram *ram)
{
	(void)ram;
	for (unsigned i = 0; i < 300000; i++)
		fputs("\xe4\xb8\x80", stdout);
	return 0;
}

static void a_line_may_be_long(void **state)
{
	struct outcome got;

	(void)state;
	run(print_much, false, &got);
	assert_int_equal(got.r, 0);
	for (size_t i = 0; i + 3 < sizeof(got.out); i += 3)
		assert_memory_equal(got.out + i, "\xe4\xb8\x80", 3);
}

/* --- what it may not --- */

static int steer_terminal(struct ram *ram)
{
	(void)ram;
	puts("fine");
	fflush(stdout);
	puts("\033]0;title\a");
	return 0;
}

static int steer_by_errors(struct ram *ram)
{
	(void)ram;
	fputs("\033[2J", stderr);
	return 0;
}

static int half_a_character(struct ram *ram)
{
	(void)ram;
	fputs("\xe4\xb8", stdout);
	return 0;
}

static int open_file(struct ram *ram)
{
	(void)ram;
	return open("/etc/passwd", O_RDONLY) < 0;
}

static void it_steers_no_terminal(void **state)
{
	act_fn *const acts[] = { steer_terminal, steer_by_errors, half_a_character };
	struct outcome got;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		run(acts[i], true, &got);
		assert_int_equal(got.r, -EPROTO);
		assert_null(strchr(got.out, '\033'));
		assert_null(strchr(got.said, '\033'));
	}
}

static void a_forbidden_call_ends_it(void **state)
{
	struct outcome got;

	(void)state;
	run(open_file, false, &got);
	/* Sanitizers open files while they report: that is refused there, and fails. */
	if (CALLS_SANITIZED && got.r == 0) {
		assert_int_equal(got.status, 1);
		return;
	}
	assert_int_equal(got.r, -EPIPE);
	assert_non_null(strstr(got.err.text, "open"));
	assert_non_null(strstr(got.err.text, "SIGSYS"));
}

static int crash(struct ram *ram)
{
	(void)ram;
	raise(SIGKILL);
	abort();
}

static void its_death_is_told(void **state)
{
	struct outcome got;

	(void)state;
	run(crash, false, &got);
	assert_int_equal(got.r, -EPIPE);
	assert_non_null(strstr(got.err.text, "killed by"));
}

/* --- its end --- */

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

static int until_stopped(struct ram *ram)
{
	(void)ram;
	while (!stopped)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1000000 },
				NULL);
	puts("stopped");
	return 0;
}

static void it_is_told_to_stop(void **state)
{
	const struct sigaction action = { .sa_handler = on_stop };
	struct outcome got;

	(void)state;
	assert_int_equal(sigaction(SIGTERM, &action, NULL), 0);
	stop_it = 1;
	run(until_stopped, false, &got);
	stop_it = 0;
	assert_int_equal(got.r, 0);
	assert_string_equal(got.out, "stopped\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_the_guest_and_prints),
		cmocka_unit_test(characters_and_colours_may_come_in_pieces),
		cmocka_unit_test(a_line_may_be_long),
		cmocka_unit_test(it_steers_no_terminal),
		cmocka_unit_test(a_forbidden_call_ends_it),
		cmocka_unit_test(its_death_is_told),
		cmocka_unit_test(it_is_told_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
