/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/check.h"

/* What is planned for a guest; @ret: as settings_plan(). */
static int plan(const char *text, const char *name, bool *wanted, struct schedule_plan *ret)
{
	cleanup(config_free) struct config *config = NULL;
	struct err err = { 0 };

	if (config_parse("f", text, strlen(text), &config, &err) < 0)
		fail_msg("%s", err.text);
	return settings_plan(config, name, "b9c1", wanted, ret);
}

/* How many checks are wanted, and whether this one is. */
static size_t count(const bool *wanted, const char *id, bool *has)
{
	size_t checks_n, n = 0;
	const struct check *const *checks = checks_all(&checks_n);

	*has = false;
	for (size_t i = 0; i < checks_n; i++) {
		n += wanted[i];
		*has |= wanted[i] && !strcmp(checks[i]->id, id);
	}
	return n;
}

static void sections_choose_checks_and_periods(void **state)
{
	struct schedule_plan planned;
	bool wanted[1024], has;
	size_t all;

	(void)state;
	checks_all(&all);
	assert_true(all > 10 && all <= ARRAY_SIZE(wanted));
	assert_int_equal(plan("", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), all);
	assert_int_equal(planned.look_ms, 100);

	assert_int_equal(plan("cheap_period_ms = 700\n"
			      "guest 'web-*' { look_period_ms = 250\n dear_period_ms = 9000\n"
			      "cpu_percent = 3\n skip = { idt } }", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), all - 1);
	assert_false(has);
	assert_int_equal(planned.look_ms, 250);
	assert_int_equal(planned.period_ms[0], 700);
	assert_int_equal(planned.period_ms[2], 9000);
	assert_int_equal(planned.us_per_s, 30000);

	assert_int_equal(plan("guest 'b9*' { checks = { idt } }", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), 1);
	assert_true(has);
}

static void who_is_not_to_be_watched_is_not(void **state)
{
	static const char text[] = "guest '*' { watch = no }\nguest 'web-*' { watch = yes }";
	struct schedule_plan planned;
	bool wanted[1024];

	(void)state;
	assert_int_equal(plan(text, "web-1", wanted, &planned), 1);
	assert_int_equal(plan(text, "db-1", wanted, &planned), 0);
}

static int listen_at(const char *path, struct err *err)
{
	*err = (struct err){ 0 };
	return settings_listen_unix(path, NULL, err);
}

/* An administrator who errs loses nothing by it. */
static void only_a_socket_makes_way(void **state)
{
	char dir[] = "/tmp/hvsm-settings-XXXXXX", path[64], kept[8] = "";
	struct err err;
	FILE *file;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/it", dir);
	file = fopen(path, "w");
	assert_true(file && fputs("kept", file) >= 0 && fclose(file) == 0);
	assert_int_equal(listen_at(path, &err), -EEXIST);
	file = fopen(path, "r");
	assert_true(file && fgets(kept, sizeof(kept), file) && fclose(file) == 0);
	assert_string_equal(kept, "kept");
	assert_int_equal(unlink(path), 0);
	/* One that nobody serves any more. */
	fd = listen_at(path, &err);
	assert_true(fd >= 0);
	close(fd);
	fd = listen_at(path, &err);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* Nobody has the daemon wait: not even who has a socket served that is full. */
static void a_socket_that_is_full_is_served(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/hvsm-settings-XXXXXX";
	int peers[8], full = 0, server;
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/it", dir);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server, 0), 0);
	for (size_t i = 0; i < 8; i++) {
		peers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		full += connect(peers[i], (struct sockaddr *)&address, sizeof(address)) < 0;
	}
	assert_true(full > 0);
	alarm(60);	/* reached only where it hangs */
	assert_int_equal(listen_at(address.sun_path, &err), -EADDRINUSE);
	alarm(0);
	for (size_t i = 0; i < 8; i++)
		close(peers[i]);
	close(server);
	unlink(address.sun_path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_choose_checks_and_periods),
		cmocka_unit_test(who_is_not_to_be_watched_is_not),
		cmocka_unit_test(only_a_socket_makes_way),
		cmocka_unit_test(a_socket_that_is_full_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
