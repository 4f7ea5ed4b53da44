/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/will.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/now.h"

/* Open as long as the agent runs: once it is confined it opens no file to be written to. */
static int will_fd = -1;
static struct agent_will ours;

/* Whoever else may write to it has no say. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       st.st_nlink == 1 && !(st.st_mode & 022);
}

void will_read(int fd, const uint8_t boot_id[16], struct agent_will *ret)
{
	struct agent_will will = {0};

	*ret = (struct agent_will){ .magic = AGENT_WILL_MAGIC };
	memcpy(ret->boot_id, boot_id, sizeof(ret->boot_id));
	if (pread(fd, &will, sizeof(will), 0) == sizeof(will) &&
	    will.magic == AGENT_WILL_MAGIC && will.ended <= AGENT_ANCESTORS_MAX &&
	    !memcmp(will.boot_id, boot_id, sizeof(will.boot_id)))
		*ret = will;
}

void will_add(struct agent_will *will, const struct agent_anchor *anchor, uint64_t ended_ns)
{
	struct agent_ended *last = &will->all[0];

	memmove(last + 1, last, (AGENT_ANCESTORS_MAX - 1) * sizeof(*last));
	*last = (struct agent_ended){
		.started_ns = anchor->started_ns, .ended_ns = ended_ns,
		.log_records = anchor->log_records, .log_bytes = anchor->log_bytes,
		.pid = anchor->pid,
	};
	memcpy(last->log_head, anchor->log_head, sizeof(last->log_head));
	if (will->ended < AGENT_ANCESTORS_MAX)
		will->ended++;
}

static int open_will(void)
{
	cleanup(fd_close) int fd = open(AGENT_WILL, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
					O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	return is_ours(fd) ? take_fd(&fd) : -EPERM;
}

int will_start(struct agent *agent, struct err *err)
{
	int fd = open_will(), r = 0;

	if (fd < 0) {
		agent_say("%s: %s: who follows this agent will not know of it", AGENT_WILL,
			  strerror(-fd));
		return 0;
	}
	will_read(fd, our_anchor->boot_id, &ours);
	if (ftruncate(fd, 0) < 0)
		ours.ended = 0;
	will_fd = fd;
	for (uint32_t i = 0; i < ours.ended && r >= 0; i++) {
		const struct agent_follows follows = {
			.record.type = AGENT_RECORD_FOLLOWS, .ended = ours.all[i],
		};

		r = log_append(&agent->log, &follows.record, sizeof(follows), NULL, 0, NULL);
	}
	return r < 0 ? err_set(err, r, "memory for the log") : 0;
}

void will_leave(const struct agent_anchor *anchor)
{
	if (will_fd < 0)
		return;
	will_add(&ours, anchor, now_ns(CLOCK_BOOTTIME));
	if (write(will_fd, &ours, sizeof(ours)) != sizeof(ours))
		agent_say("%s: who follows this agent will not know of it", AGENT_WILL);
}
