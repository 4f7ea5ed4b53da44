/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_IMA_H
#define HVSM_AGENT_IMA_H

#include <stddef.h>
#include <stdint.h>

#include "agent/format.h"

/* "10 ", template hash, " ima-ng sha256:", digest, " ", path, newline and NUL. */
#define IMA_LINE_MAX (3 + 40 + 15 + 64 + 1 + AGENT_PATH_MAX + 2)

/**
 * ima_line - a line as in the kernel's /sys/kernel/security/ima/ascii_runtime_measurements
 * @sha256: of the file; NULL: a violation (IMA's word for what could not be measured), whose
 *          digest and template hash are zeros
 * @path:   @n bytes, at most AGENT_PATH_MAX are taken. As in IMA's list, a space in it becomes an
 *          underscore; so do bytes that would break the line.
 * @line:   of IMA_LINE_MAX
 *
 * The template hash is SHA-1 over both fields of the template ima-ng (digest with its algorithm,
 * name with a NUL), each behind its length in four bytes: ima_calc_field_array_hash_tfm() in
 * security/integrity/ima/ima_crypto.c.
 *
 * Return: its length.
 */
size_t ima_line(const uint8_t sha256[AGENT_DIGEST_BYTES], const char *path, size_t n,
		char line[IMA_LINE_MAX]);

#endif
