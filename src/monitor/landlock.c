/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of ABI 1 (Linux 5.13); what came later is not in every header that this is built with. */
#define ALL_OF_1   ((1ull << 13) - 1)	/* EXECUTE … MAKE_SYM */
#define REFER	   (1ull << 13)		/* ABI 2: 5.19 */
#define TRUNCATE   (1ull << 14)		/* ABI 3: 6.2 */
#define IOCTL_DEV  (1ull << 15)		/* ABI 5: 6.10 */
#define ALL_NET	   3ull			/* ABI 4: 6.7: BIND_TCP, CONNECT_TCP */
#define ALL_SCOPES 3ull			/* ABI 6: 6.12: ABSTRACT_UNIX_SOCKET, SIGNAL */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
/* A directory stays: by its name, too, for to rename it is to remove it from where it was. */
#define MAKING	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
		 LANDLOCK_ACCESS_FS_REMOVE_FILE | REFER)

/* struct landlock_ruleset_attr as of ABI 6; older ones are its beginning. */
struct ruleset {
	uint64_t fs;	/* ABI 1 */
	uint64_t net;	/* ABI 4 */
	uint64_t scoped; /* ABI 6 */
};

static size_t all_of(long abi, struct ruleset *ret)
{
	*ret = (struct ruleset){ .fs = ALL_OF_1 };
	if (abi >= 2)
		ret->fs |= REFER;
	if (abi >= 3)
		ret->fs |= TRUNCATE;
	if (abi >= 5)
		ret->fs |= IOCTL_DEV;
	if (abi < 4)
		return sizeof(ret->fs);
	ret->net = ALL_NET;
	if (abi < 6)
		return offsetof(struct ruleset, scoped);
	ret->scoped = ALL_SCOPES;
	return sizeof(*ret);
}

static int allow(int ruleset, const struct landlock_place *place, uint64_t denied)
{
	cleanup(fd_close) int fd = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = denied & (READING | WRITING | (place->make ? MAKING : 0ull)),
		.parent_fd = fd,
	};

	/* Then nothing is allowed there. */
	if (fd < 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		return -errno;
	return 0;
}

int landlock_deny(bool read, const struct landlock_place *places, size_t n, struct err *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	cleanup(fd_close) int ruleset = -1;
	struct ruleset denied;
	size_t size;
	int r = 0;

	if (abi < 1)
		return err_set(err, -EOPNOTSUPP, "this kernel has no Landlock");
	size = all_of(abi, &denied);
	if (read)
		denied.fs &= ~READING;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &denied, size, 0);
	if (ruleset < 0)
		return err_set(err, -errno, "Landlock: %s", strerror(errno));
	for (size_t i = 0; i < n && r >= 0; i++)
		r = allow(ruleset, &places[i], denied.fs);
	if (r >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r < 0 ? err_set(err, r, "Landlock: %s", strerror(-r)) : 0;
}
