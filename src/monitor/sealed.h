/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SEALED_H
#define HVSM_MONITOR_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Bytes that one process of the monitor hands to others: a memfd that is sealed, so that its
 * size and contents are what they were when it was looked at, whoever else holds it, and so
 * that several processes can share one.
 */

/* A mapping of one, read-only. */
struct sealed {
	const uint8_t *data;	/* NULL: none, or empty */
	size_t size;
};

/**
 * sealed_make - @size bytes of @data in a sealed memfd
 * @name: for /proc/PID/maps
 * Return: a descriptor, close-on-exec; or a negative errno.
 */
nodiscard int sealed_make(const char *name, const void *data, size_t size, struct err *err);

/**
 * sealed_check - may it be handed on to who looks at it?
 * Return: the size; -EPROTO (no memfd, not sealed, or longer than @max), or another errno.
 */
nodiscard int64_t sealed_check(int fd, size_t max, struct err *err);

/**
 * sealed_map - look at what somebody else sent
 * @fd:  stays the caller's, and may be closed after
 * @max: bytes at most
 * @ret: to be given back with sealed_unmap() on success
 *
 * Return: 0, -EPROTO (no memfd, not sealed, or longer than @max), or another errno.
 */
nodiscard int sealed_map(int fd, size_t max, struct sealed *ret, struct err *err);
void sealed_unmap(struct sealed *sealed);

#endif
