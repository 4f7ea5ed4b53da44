/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/memory.h"

#include <stddef.h>
#include <sys/mman.h>

#define STEP_BYTES (256u << 10)

int memory_reserve(struct memory *memory, uint64_t size_bytes, struct err *err)
{
	void *at = mmap(NULL, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	if (at == MAP_FAILED)
		return err_set(err, -errno, "%llu bytes of address space",
			       (unsigned long long)size_bytes);
	/* A huge page would take 2 MiB for the first record, and a child has no use for it. */
	madvise(at, size_bytes, MADV_NOHUGEPAGE);
	madvise(at, size_bytes, MADV_DONTFORK);
	*memory = (struct memory){ at, size_bytes, 0 };
	return 0;
}

/*
 * mlock(2) is what tells that there is no memory; a page fault in its place would make the kernel
 * end us, or let us wait for ever at a limit of the control group.
 */
int memory_need(struct memory *memory, uint64_t size_bytes)
{
	uint64_t ready = memory->ready_bytes, more;
	int r;

	if (size_bytes <= ready)
		return 0;
	if (size_bytes > memory->size_bytes)
		return -ENOSPC;
	more = size_bytes - ready + STEP_BYTES - 1;
	more -= more % STEP_BYTES;
	if (more > memory->size_bytes - ready)
		more = memory->size_bytes - ready;

	if (mprotect(memory->at + ready, more, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	if (mlock(memory->at + ready, more) < 0) {
		r = -errno;
		mprotect(memory->at + ready, more, PROT_NONE);
		return r;
	}
	memory->ready_bytes = ready + more;
	return 0;
}

struct agent_region memory_region(const struct memory *memory)
{
	return (struct agent_region){ (uint64_t)(uintptr_t)memory->at, memory->size_bytes };
}
