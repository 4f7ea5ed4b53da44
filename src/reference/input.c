/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/input.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BLOCK_BYTES (1u << 18)

int input_open(const char *path, struct stat *st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;

	if (fd < 0)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	if (fstat(fd, st) < 0)
		r = err_set(err, -errno, "'%s': %s", path, strerror(errno));
	else if (!S_ISREG(st->st_mode))
		r = err_set(err, -EBADMSG, "'%s': not a file", path);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int input_digest(int fd, uint8_t ret[INPUT_DIGEST_BYTES], uint64_t *size_bytes, struct err *err)
{
	cleanup(freep) uint8_t *block = malloc(BLOCK_BYTES);
	crypto_hash_sha256_state state;
	uint64_t at = 0;
	ssize_t got;

	if (!block)
		return err_set(err, -ENOMEM, "no memory to read a file");
	crypto_hash_sha256_init(&state);
	while ((got = pread(fd, block, BLOCK_BYTES, (off_t)at)) != 0) {
		if (got < 0)
			return err_set(err, -EIO, "cannot be read: %s", strerror(errno));
		crypto_hash_sha256_update(&state, block, (unsigned long long)got);
		at += (uint64_t)got;
	}
	crypto_hash_sha256_final(&state, ret);
	if (size_bytes)
		*size_bytes = at;
	return 0;
}

int input_digest_text(int fd, char ret[2 * INPUT_DIGEST_BYTES + 1], struct err *err)
{
	uint8_t digest[INPUT_DIGEST_BYTES];
	int r = input_digest(fd, digest, NULL, err);

	if (r >= 0)
		sodium_bin2hex(ret, 2 * INPUT_DIGEST_BYTES + 1, digest, sizeof(digest));
	return r;
}
