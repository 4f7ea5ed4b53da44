/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_INPUT_H
#define HVSM_REFERENCE_INPUT_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"

/* Files of the host that a person named. */

#define INPUT_DIGEST_BYTES 32u	/* SHA-256 */

/**
 * input_open - a regular file to read
 * Nothing else: a FIFO would never end.
 *
 * Return: a descriptor, -EBADMSG (not a file), or what open() says.
 */
nodiscard int input_open(const char *path, struct stat *st, struct err *err);

/**
 * input_digest - SHA-256 of a file, which may be too large for our memory
 * @size_bytes: receives how many bytes that were; may be NULL
 * Return: 0, -EIO, -ENOMEM.
 */
nodiscard int input_digest(int fd, uint8_t ret[INPUT_DIGEST_BYTES], uint64_t *size_bytes,
			   struct err *err);

/* The same in hex. */
nodiscard int input_digest_text(int fd, char ret[2 * INPUT_DIGEST_BYTES + 1], struct err *err);

#endif
