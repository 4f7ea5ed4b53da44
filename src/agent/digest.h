/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_DIGEST_H
#define HVSM_AGENT_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/format.h"
#include "agent/segments.h"
#include "base/err.h"

#define DIGEST_BUFFER_BYTES (64u << 10)	/* a multiple of AGENT_PAGE_BYTES */

/**
 * digest_file - SHA-256 of a file, and of some of its pages
 * @fd:         read with pread(2) only, from its start to @size_bytes
 * @segments:   whose pages; none of them lies behind the end
 * @buffer:     of DIGEST_BUFFER_BYTES, for what is read
 * @sha256:     receives the digest of the whole
 * @pages:      receives segments->pages digests of AGENT_DIGEST_BYTES each
 *
 * @go_on:      asked before each read; false ends it
 *
 * Return: 0; -ESTALE (the file has become shorter); -ECANCELED (by @go_on); or what pread(2)
 * failed with.
 */
nodiscard int digest_file(int fd, uint64_t size_bytes, const struct segments *segments,
			  uint8_t *buffer, uint8_t sha256[AGENT_DIGEST_BYTES], uint8_t *pages,
			  bool (*go_on)(void *ctx), void *ctx);

#endif
