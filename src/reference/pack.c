/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/limits.h"

/* Small and quick: a higher level gains some percent at several times the time. */
#define LEVEL 3

int pack_begin(int store, struct pack *ret, struct err *err)
{
	struct pack pack = PACK_NONE;
	unsigned char random[8];

	pack.dir = openat(store, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pack.dir < 0)
		return err_set(err, -errno, "the store's blobs: %s", strerror(errno));
	randombytes_buf(random, sizeof(random));
	strcpy(pack.temporary, "new-");
	sodium_bin2hex(pack.temporary + 4, sizeof(pack.temporary) - 4, random, sizeof(random));
	pack.fd = openat(pack.dir, pack.temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (pack.fd < 0) {
		int r = err_set(err, -errno, "the store's blobs: %s", strerror(errno));

		close(pack.dir);
		return r;
	}
	crypto_hash_sha256_init(&pack.state);
	*ret = pack;
	return 0;
}

static int write_all(int fd, const uint8_t *data, size_t size, struct err *err)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, n ? -errno : -EIO, "writing the store: %s",
				       strerror(errno));
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

int pack_add(struct pack *pack, const struct blob *plain, struct pack_item *ret, struct err *err)
{
	size_t room = ZSTD_compressBound(plain->size), n;
	cleanup(freep) uint8_t *packed = malloc(room);
	int r;

	if (!packed)
		return err_set(err, -ENOMEM, "no memory to pack it");
	n = ZSTD_compress(packed, room, plain->data, plain->size, LEVEL);
	if (ZSTD_isError(n))
		return err_set(err, -ENOMEM, "packing it: %s", ZSTD_getErrorName(n));
	r = write_all(pack->fd, packed, n, err);
	if (r < 0)
		return r;
	crypto_hash_sha256_update(&pack->state, packed, n);
	crypto_hash_sha256(ret->sha256, packed, n);
	ret->offset = pack->end;
	ret->size_bytes = n;
	pack->end += n;
	return 0;
}

int pack_finish(struct pack *pack, char name[65], struct err *err)
{
	unsigned char digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_final(&pack->state, digest);
	sodium_bin2hex(name, 65, digest, sizeof(digest));
	if (fsync(pack->fd) < 0 ||
	    renameat(pack->dir, pack->temporary, pack->dir, name) < 0)
		return err_set(err, -errno, "writing the store: %s", strerror(errno));
	*pack->temporary = '\0';
	if (fsync(pack->dir) < 0)
		return err_set(err, -errno, "writing the store: %s", strerror(errno));
	return 0;
}

void pack_end(struct pack *pack)
{
	if (*pack->temporary)
		unlinkat(pack->dir, pack->temporary, 0);
	fd_close(&pack->fd);
	fd_close(&pack->dir);
	*pack = PACK_NONE;
}

/* The item as it lies there, after a look at its digest. */
static int read_packed(int store, const char *name, const struct pack_item *item,
		       struct blob *ret, struct err *err)
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	cleanup(blob_free) struct blob blob = {0};
	cleanup(freep) char *path = NULL;
	cleanup(fd_close) int fd = -1;
	struct stat st;

	if (asprintf(&path, "blobs/%.64s", name) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "no memory for the store");
	}
	fd = openat(store, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno == ENOENT ? -EBADMSG : -errno,
			       "the store is damaged: blob %.12s: %s", name, strerror(errno));
	if (item->offset > (uint64_t)st.st_size ||
	    item->size_bytes > (uint64_t)st.st_size - item->offset)
		return err_set(err, -EBADMSG, "the store is damaged: blob %.12s is truncated",
			       name);
	blob.data = malloc(item->size_bytes ? item->size_bytes : 1);
	blob.size = item->size_bytes;
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for a reference");
	if (pread(fd, blob.data, blob.size, (off_t)item->offset) != (ssize_t)blob.size)
		return err_set(err, -EIO, "blob %.12s of the store cannot be read", name);
	crypto_hash_sha256(digest, blob.data, blob.size);
	if (memcmp(digest, item->sha256, sizeof(digest)) != 0)
		return err_set(err, -EBADMSG, "the store is damaged: blob %.12s has changed",
			       name);
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}

int pack_read(int store, const char *name, const struct pack_item *item, size_t limit,
	      struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob packed = {0};
	cleanup(blob_free) struct blob plain = {0};
	unsigned long long size;
	size_t n;
	int r = read_packed(store, name, item, &packed, err);

	if (r < 0)
		return r;
	size = ZSTD_getFrameContentSize(packed.data, packed.size);
	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > limit)
		return err_set(err, -EBADMSG, "the store is damaged: blob %.12s", name);
	plain.data = malloc(size ? (size_t)size : 1);
	plain.size = (size_t)size;
	if (!plain.data)
		return err_set(err, -ENOMEM, "no memory for a reference");
	n = ZSTD_decompress(plain.data, plain.size, packed.data, packed.size);
	if (ZSTD_isError(n) || n != plain.size)
		return err_set(err, -EBADMSG, "the store is damaged: blob %.12s", name);
	*ret = plain;
	plain = (struct blob){0};
	return 0;
}
