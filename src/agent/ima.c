/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/ima.h"

#include <stdio.h>
#include <string.h>

#include "agent/sha1.h"

#define ALGORITHM	"sha256:"	/* and a NUL */
#define DIGEST_FIELD	(sizeof(ALGORITHM) + AGENT_DIGEST_BYTES)

static char *put_hex(char *at, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%02x", data[i]);
	return at;
}

/* Little endian, whatever the machine: ima_canonical_fmt. */
static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		*at++ = (uint8_t)(v >> 8 * i);
	return at;
}

static void template_hash(const uint8_t sha256[AGENT_DIGEST_BYTES], const char *path, size_t n,
			  uint8_t hash[SHA1_BYTES])
{
	uint8_t data[4 + DIGEST_FIELD + 4 + AGENT_PATH_MAX + 1], *at;

	at = put_u32(data, DIGEST_FIELD);
	at = mempcpy(at, ALGORITHM, sizeof(ALGORITHM));
	at = mempcpy(at, sha256, AGENT_DIGEST_BYTES);
	at = put_u32(at, (uint32_t)n + 1);
	at = mempcpy(at, path, n);
	*at++ = 0;
	sha1(data, (size_t)(at - data), hash);
}

size_t ima_line(const uint8_t sha256[AGENT_DIGEST_BYTES], const char *path, size_t n,
		char line[IMA_LINE_MAX])
{
	static const uint8_t none[AGENT_DIGEST_BYTES];
	uint8_t hash[SHA1_BYTES] = {0};
	char name[AGENT_PATH_MAX], *at;

	if (n > AGENT_PATH_MAX)
		n = AGENT_PATH_MAX;
	for (size_t i = 0; i < n; i++)
		name[i] = (unsigned char)path[i] <= ' ' || path[i] == 0x7f ? '_' : path[i];
	if (sha256)
		template_hash(sha256, name, n, hash);
	at = stpcpy(line, "10 ");
	at = put_hex(at, hash, sizeof(hash));
	at = stpcpy(at, " ima-ng " ALGORITHM);
	at = put_hex(at, sha256 ? sha256 : none, AGENT_DIGEST_BYTES);
	*at++ = ' ';
	at = mempcpy(at, name, n);
	*at++ = '\n';
	*at = 0;
	return (size_t)(at - line);
}
