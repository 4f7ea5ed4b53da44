/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/distribution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define BUILDER "Linux version x (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) "

static void debian_image(void **state)
{
	struct kernel_packages packages;

	(void)state;
	assert_int_equal(distribution_packages("6.1.0-56-cloud-amd64", BUILDER
					       "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
					       &packages, NULL), 0);
	assert_string_equal(packages.version, "6.1.192-2");
	assert_string_equal(packages.name[0][0], "linux-binary-6.1.0-56-cloud-amd64");
	assert_string_equal(packages.name[0][1], "linux-modules-6.1.0-56-cloud-amd64");
	assert_string_equal(packages.name[1][0], "linux-image-6.1.0-56-cloud-amd64");
	assert_string_equal(packages.name[1][1], "");
	assert_string_equal(packages.name[2][0], "linux-image-6.1.0-56-cloud-amd64-unsigned");
}

static void ubuntu_image(void **state)
{
	struct kernel_packages packages;

	(void)state;
	assert_int_equal(distribution_packages("5.15.0-91-generic", "Linux version 5.15.0-91-generic"
					       " (buildd@lcy02-amd64-045) (gcc (Ubuntu 11.4.0) 11.4.0)"
					       " #101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023",
					       &packages, NULL), 0);
	assert_string_equal(packages.version, "5.15.0-91.101");
	assert_string_equal(packages.name[0][0], "linux-image-unsigned-5.15.0-91-generic");
	assert_string_equal(packages.name[0][1], "linux-modules-5.15.0-91-generic");
	assert_int_equal(distribution_packages("6.5.0-35-generic", "x #35~22.04.1-Ubuntu SMP",
					       &packages, NULL), 0);
	assert_string_equal(packages.version, "6.5.0-35.35~22.04.1");
}

static void other_distributions(void **state)
{
	struct kernel_packages packages;

	(void)state;
	assert_int_equal(distribution_packages("6.5.6-300.fc39.x86_64", "Linux version 6.5.6 (x) "
					       "(gcc (Debian)) #1 SMP PREEMPT_DYNAMIC Fri Oct 6",
					       &packages, NULL), -ENOTSUP);
	assert_int_equal(distribution_packages("6.1.0", "", &packages, NULL), -ENOTSUP);
}

/* The words become arguments of a program. */
static void hostile_releases(void **state)
{
	static const char *const releases[] = {
		"", "-o", "--help", "6.1;reboot", "6.1 x", "6.1\n", "6.1/../../x", "$(id)", "6.1=7",
		"6.1\xff", "a*", "6.1'", ".5", "+5",
		"1234567890123456789012345678901234567890123456789012345678901234567890",
	};
	struct kernel_packages packages;

	(void)state;
	for (size_t i = 0; i < sizeof(releases) / sizeof(*releases); i++)
		assert_int_equal(distribution_packages(releases[i], BUILDER "#1 SMP Debian 1 (x)",
						       &packages, NULL), -EBADMSG);
}

static void hostile_versions(void **state)
{
	static const char *const builds[] = {
		"#1 SMP Debian -o (x)", "#1 SMP Debian 1;x (x)", "#1 SMP Debian 1/x (x)",
		"#1 SMP Debian 1", "#1 SMP Debian ", "#1 SMP Debian  (x)", "#1 SMP Debian $(id) (x)",
	};
	struct kernel_packages packages;

	(void)state;
	for (size_t i = 0; i < sizeof(builds) / sizeof(*builds); i++) {
		assert_int_equal(distribution_packages("6.1", builds[i], &packages, NULL), 0);
		assert_string_equal(packages.version, "");
	}
	assert_int_equal(distribution_packages("6.1.0-1-x", "#1;x-Ubuntu SMP", &packages, NULL), 0);
	assert_string_equal(packages.version, "");
	assert_int_equal(distribution_packages("6.1.0-1-x", "#-o-Ubuntu SMP", &packages, NULL), 0);
	assert_string_equal(packages.version, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(debian_image),
		cmocka_unit_test(ubuntu_image),
		cmocka_unit_test(other_distributions),
		cmocka_unit_test(hostile_releases),
		cmocka_unit_test(hostile_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
