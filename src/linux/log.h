/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_LOG_H
#define HVSM_LINUX_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "linux/kernel.h"

/*
 * The kernel's log: the printk ring buffer (kernel/printk/printk_ringbuffer.c, 5.10 on). Its
 * descriptors, infos and text are copied first and parsed afterwards. What `dmesg -C` hides
 * inside the guest is still there.
 */
struct log_record {
	uint64_t seq;		/* number since boot */
	uint64_t time_ns;	/* since boot */
	uint8_t level;		/* 0 emergency … 7 debug */
	uint8_t facility;	/* 0 kernel; others were written to /dev/kmsg */
	bool newline;		/* the line is complete */
	bool lost;		/* its text was overwritten already; @text is "" */
	bool by_cpu;		/* @caller is a CPU (in an interrupt), otherwise a TID */
	uint32_t caller;
	char comm[17];		/* of the task that wrote it; "": the kernel does not keep it */
	uint32_t text_bytes;
	char *text;		/* NUL-terminated, may hold newlines; guest text: escape it */
	char subsystem[17];	/* of the device that it is about: "pci"; "" where there is none */
	char device[49];	/* "+pci:0000:00:01.0", "b8:0", … */
};

struct log {
	VEC(struct log_record) all;	/* ascending seq */
	uint64_t text_ring_bytes;	/* log_buf_len= */
	uint64_t descriptors;
	uint32_t unfinished;		/* records that were being written */
};

/**
 * log_read - the records that are in the ring
 * @ret: {0} before; on failure it holds what had been found; to be given to log_free()
 *
 * Records that are being written or reused just now are left out and counted.
 *
 * Return: 0, -EBADMSG (a ring that contradicts itself), -EFAULT, -ELOOP (limits), -ESRCH,
 *         -ENOENT (types), -ENOMEM.
 */
nodiscard int log_read(const struct kernel *kernel, struct view *view, struct log *ret,
		       struct err *err);

/**
 * log_newest - the number of the newest record, which may still be written
 * While it stays, nothing was added: much cheaper than log_read(). It is not the sequence number.
 *
 * Return: 0, or an error as log_read().
 */
nodiscard int log_newest(const struct kernel *kernel, struct view *view, uint64_t *ret,
			 struct err *err);

void log_free(struct log *log);

/* "emerg" … "debug" as dmesg(1) has them. */
const char *log_level_name(uint8_t level);

#endif
