/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER	"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static void containers_are_known_by_their_groups(void **state)
{
	static const struct {
		const char *path, *runtime, *id;
	} known[] = {
		{ "/system.slice/docker-" ID ".scope", "docker", ID },
		{ "/docker/" ID, "docker", ID },
		{ "/docker/" ID "/init.scope", "docker", ID },
		{ "/machine.slice/libpod-" ID ".scope", "podman", ID },
		{ "/machine.slice/libpod-" ID ".scope/container", "podman", ID },
		{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
		  "podman", ID },
		{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/"
		  "cri-containerd-" ID ".scope", "containerd", ID },
		{ "/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope", "cri-o", ID },
		{ "/kubepods/burstable/pod12/" ID, "kubernetes", ID },
		{ "/system.slice/nerdctl-" ID ".scope", "containerd", ID },
		{ "/default/" ID, "containerd", ID },
		{ "/somewhere/" ID, "container", ID },
		{ "/lxc.payload.web/system.slice/ssh.service", "lxc", "web" },
		{ "/lxc/web", "lxc", "web" },
		{ "/lxc.payload/web", "lxc", "web" },
		{ "/machine.slice/systemd-nspawn@build.service/payload", "nspawn", "build" },
		{ "/machine.slice/machine-build.scope", "nspawn", "build" },
		/* A container in a container: the inner one. */
		{ "/docker/" ID "/docker/" OTHER, "docker", OTHER },
		{ "/lxc/web/docker/" OTHER, "docker", OTHER },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct container container;

		assert_true(container_of_cgroup(known[i].path, &container));
		assert_string_equal(container.runtime, known[i].runtime);
		assert_string_equal(container.id, known[i].id);
	}
}

static void other_groups_are_no_containers(void **state)
{
	static const char *const paths[] = {
		"", "/", "//", "/init.scope", "/system.slice/docker.service",
		"/system.slice/docker-" ID "0.scope",
		"/system.slice/docker-0123.scope",
		"/system.slice/docker-g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde.scope",
		"/machine.slice/libpod-conmon-" ID ".scope",
		"/machine.slice/machine-qemu\\x2d1\\x2dguest.scope",
		"/lxc.payload.", "/lxc", "/lxc.monitor.web",
		"/lxc/" ID ID ID,		/* longer than any name */
	};
	struct container container = { "untouched", "untouched" };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_false(container_of_cgroup(paths[i], &container));
	assert_string_equal(container.runtime, "untouched");
	assert_string_equal(container.id, "untouched");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_are_known_by_their_groups),
		cmocka_unit_test(other_groups_are_no_containers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
