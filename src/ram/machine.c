/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/machine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"

#define TABLE_MAGIC 0x6d666e32u

/* Its size stays, and the mapping that there is when they are set is the last to write by. */
#define TABLE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

/* What the memfd holds. Both processes are of one program. */
struct table {
	uint32_t magic, frames_n;
	uint64_t version;	/* odd: it is being written */
	uint32_t frame[];	/* machine frames */
};

struct machine {
	struct table *table;	/* read-only in the process that is told */
	size_t size_bytes;
	int fd;			/* -1: in the process that is told, or its own */
	bool own;		/* malloc()ed: not shared */
	uint32_t frames_n;	/* that of the table, which was checked */

	/* The way back: an open hash of frames by their machine frame. 0: free; else frame + 1. */
	uint32_t *slots;
	uint32_t slots_n;	/* a power of 2, at least twice the frames */
	uint64_t secret;	/* the guest chooses the keys */
	uint64_t version;	/* of the table that the slots are of */
};

static uint32_t read_frame(const struct machine *machine, uint32_t i)
{
	return __atomic_load_n(&machine->table->frame[i], __ATOMIC_RELAXED);
}

/* The slot of a machine frame, or the free one where it would go. */
static uint32_t *slot_of(const struct machine *machine, uint32_t number)
{
	uint32_t mask = machine->slots_n - 1;
	uint32_t i = (uint32_t)(hash_number(number, machine->secret) >> 32) & mask;

	/* At most half of them are used: there is a free one, and secrets keep the way short. */
	while (machine->slots[i] && read_frame(machine, machine->slots[i] - 1) != number)
		i = (i + 1) & mask;
	return &machine->slots[i];
}

/*
 * The table may change under our hands, by the other process alone. Then a machine frame is found
 * where it was or is, or not at all, and version says that it is to be done again.
 */
static void index_frames(struct machine *machine)
{
	machine->version = __atomic_load_n(&machine->table->version, __ATOMIC_ACQUIRE);
	memset(machine->slots, 0, (size_t)machine->slots_n * sizeof(*machine->slots));
	for (uint32_t i = 0; i < machine->frames_n; i++) {
		uint32_t number = read_frame(machine, i), *slot;

		if (number == MACHINE_NONE)
			continue;
		slot = slot_of(machine, number);
		if (!*slot)
			*slot = i + 1;
	}
}

static int make_slots(struct machine *machine)
{
	machine->secret = hash_secret();
	machine->slots_n = 16;
	while (machine->slots_n < 2 * machine->frames_n)
		machine->slots_n *= 2;
	machine->slots = calloc(machine->slots_n, sizeof(*machine->slots));
	return machine->slots ? 0 : -ENOMEM;
}

static void machine_freep(struct machine **machine)
{
	machine_free(*machine);
}

static size_t table_bytes(uint32_t frames_n)
{
	return sizeof(struct table) + (size_t)frames_n * sizeof(uint32_t);
}

static int share_table(struct machine *machine, struct err *err)
{
	void *data;

	machine->fd = memfd_create("hvsm-machine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (machine->fd < 0 || ftruncate(machine->fd, (off_t)machine->size_bytes) < 0)
		return err_set(err, -errno, "machine frames: %s", strerror(errno));
	data = mmap(NULL, machine->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, machine->fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "machine frames: %s", strerror(errno));
	machine->table = data;
	if (fcntl(machine->fd, F_ADD_SEALS, TABLE_SEALS) < 0)
		return err_set(err, -errno, "machine frames: %s (Linux before 5.1?)",
			       strerror(errno));
	return 0;
}

static int make(uint32_t frames_n, bool shared, struct machine **ret, struct err *err)
{
	cleanup(machine_freep) struct machine *machine = calloc(1, sizeof(*machine));
	int r = 0;

	if (!machine)
		return err_set(err, -ENOMEM, "no memory for machine frames");
	machine->fd = -1;
	machine->own = !shared;
	if (!frames_n || frames_n > MACHINE_FRAMES_MAX)
		return err_set(err, -EINVAL, "a table of %u machine frames", frames_n);
	machine->frames_n = frames_n;
	machine->size_bytes = table_bytes(frames_n);
	if (shared)
		r = share_table(machine, err);
	else
		machine->table = calloc(1, machine->size_bytes);
	if (r < 0)
		return r;
	if (!machine->table || make_slots(machine) < 0)
		return err_set(err, -ENOMEM, "no memory for machine frames");
	machine->table->magic = TABLE_MAGIC;
	machine->table->frames_n = frames_n;
	memset(machine->table->frame, 0xff, (size_t)frames_n * sizeof(uint32_t));
	index_frames(machine);
	*ret = take_ptr(&machine);
	return 0;
}

int machine_new(uint32_t frames_n, struct machine **ret, struct err *err)
{
	return make(frames_n, true, ret, err);
}

int machine_own(uint32_t frames_n, struct machine **ret, struct err *err)
{
	return make(frames_n, false, ret, err);
}

int machine_take(int fd, struct machine **ret, struct err *err)
{
	cleanup(machine_freep) struct machine *machine = calloc(1, sizeof(*machine));
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;
	void *data;

	if (!machine)
		return err_set(err, -ENOMEM, "no memory for machine frames");
	machine->fd = -1;
	/* A size that could change would be a signal. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0 ||
	    (uint64_t)status.st_size < sizeof(struct table) ||
	    (uint64_t)status.st_size > table_bytes(MACHINE_FRAMES_MAX))
		return err_set(err, -EBADMSG, "no machine frames were handed over");
	machine->size_bytes = (size_t)status.st_size;
	data = mmap(NULL, machine->size_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "machine frames: %s", strerror(errno));
	machine->table = data;
	machine->frames_n = machine->table->frames_n;
	if (machine->table->magic != TABLE_MAGIC || !machine->frames_n ||
	    machine->frames_n > MACHINE_FRAMES_MAX ||
	    machine->size_bytes != table_bytes(machine->frames_n))
		return err_set(err, -EBADMSG, "no machine frames were handed over");
	if (make_slots(machine) < 0)
		return err_set(err, -ENOMEM, "no memory for machine frames");
	index_frames(machine);
	*ret = take_ptr(&machine);
	return 0;
}

void machine_free(struct machine *machine)
{
	if (!machine)
		return;
	if (machine->own)
		free(machine->table);
	else if (machine->table)
		munmap(machine->table, machine->size_bytes);
	fd_close(&machine->fd);
	free(machine->slots);
	free(machine);
}

int machine_fd(const struct machine *machine)
{
	return machine->fd;
}

uint32_t machine_frames_n(const struct machine *machine)
{
	return machine->frames_n;
}

bool machine_set(struct machine *machine, const uint32_t *frames)
{
	struct table *table = machine->table;

	if (!memcmp(table->frame, frames, (size_t)machine->frames_n * sizeof(*frames)))
		return false;
	__atomic_store_n(&table->version, table->version + 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < machine->frames_n; i++)
		__atomic_store_n(&table->frame[i], frames[i], __ATOMIC_RELAXED);
	__atomic_store_n(&table->version, table->version + 1, __ATOMIC_SEQ_CST);
	return true;
}

uint32_t machine_of(const struct machine *machine, uint64_t frame)
{
	return frame < machine->frames_n ? read_frame(machine, (uint32_t)frame) : MACHINE_NONE;
}

gpa machine_to_guest(struct machine *machine, uint64_t address)
{
	uint64_t number = address >> GUEST_PAGE_SHIFT, offset = address & GUEST_PAGE_MASK;
	uint64_t version = __atomic_load_n(&machine->table->version, __ATOMIC_ACQUIRE);
	uint32_t slot;

	if (version != machine->version)
		index_frames(machine);
	slot = number < MACHINE_NONE ? *slot_of(machine, (uint32_t)number) : 0;
	if (!slot)
		return gpa_of(MACHINE_FOREIGN | address);
	return gpa_of((uint64_t)(slot - 1) << GUEST_PAGE_SHIFT | offset);
}
