/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/anchor.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/now.h"

__attribute__((section(AGENT_ANCHOR_SECTION), aligned(AGENT_PAGE_BYTES), used))
union anchor_page agent_anchor_page = { .page = {0} };

_Static_assert(sizeof(union anchor_page) == AGENT_PAGE_BYTES, "the anchor has one page");

/* 36 characters, hexadecimal digits with hyphens in between. */
static int read_boot_id(uint8_t id[16], struct err *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[64] = "", *at = text;
	ssize_t n;

	if (fd < 0)
		return err_set(err, -errno, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_set(err, -errno, "%s", path);
	for (int i = 0; i < 16; i++) {
		while (*at == '-')
			at++;
		if (sscanf(at, "%2hhx", &id[i]) != 1)
			return err_set(err, -EBADMSG, "%s is no UUID", path);
		at += 2;
	}
	return 0;
}

int anchor_start(uint32_t period_ms, struct err *err)
{
	struct agent_anchor *anchor = our_anchor;
	int r;

	r = read_boot_id(anchor->boot_id, err);
	if (r < 0)
		return r;
	anchor->format = AGENT_FORMAT;
	anchor->size_bytes = sizeof(*anchor);
	anchor->state = AGENT_STARTING;
	anchor->pid = (uint32_t)getpid();
	anchor->started_ns = now_ns(CLOCK_BOOTTIME);
	anchor->period_ms = period_ms;
	anchor_beat();
	return 0;
}

void anchor_publish(void)
{
	__atomic_store_n(&our_anchor->magic, AGENT_MAGIC, __ATOMIC_RELEASE);
}

void anchor_set_state(enum agent_state state)
{
	__atomic_store_n(&our_anchor->state, state, __ATOMIC_RELEASE);
}

void anchor_set_round(uint64_t period_ns)
{
	__atomic_store_n(&our_anchor->round_ns, period_ns, __ATOMIC_RELEASE);
}

void anchor_set_complete(uint64_t begun_ns)
{
	__atomic_store_n(&our_anchor->complete_ns, begun_ns, __ATOMIC_RELEASE);
}

void anchor_beat(void)
{
	__atomic_store_n(&our_anchor->heartbeat_ns, now_ns(CLOCK_BOOTTIME), __ATOMIC_RELEASE);
	__atomic_fetch_add(&our_anchor->heartbeat, 1, __ATOMIC_RELEASE);
}

/* Of the linker: where our ELF header is loaded. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static uint32_t build_id_of_notes(struct bytes notes, uint8_t id[32])
{
	while (notes.left) {
		uint32_t name_bytes = bytes_u32(&notes), value_bytes = bytes_u32(&notes);
		uint32_t type = bytes_u32(&notes);
		const uint8_t *name = bytes_take(&notes, (name_bytes + 3ull) & ~3ull);
		const uint8_t *value = bytes_take(&notes, (value_bytes + 3ull) & ~3ull);

		if (!name || !value)
			return 0;
		if (type != NT_GNU_BUILD_ID || name_bytes != 4 || memcmp(name, "GNU", 4) != 0 ||
		    value_bytes > 32)
			continue;
		memcpy(id, value, value_bytes);
		return value_bytes;
	}
	return 0;
}

uint32_t anchor_build_id(uint8_t id[32])
{
	const uint8_t *base = (const uint8_t *)&__ehdr_start;
	const Elf64_Phdr *segment = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);
	uint32_t n = 0;

	for (unsigned i = 0; i < __ehdr_start.e_phnum && !n; i++)
		if (segment[i].p_type == PT_NOTE)
			n = build_id_of_notes(bytes_of(base + segment[i].p_vaddr,
						       segment[i].p_filesz), id);
	return n;
}
