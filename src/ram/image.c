/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/handover.h"
#include "ram/image_map.h"
#include "ram/machine.h"

struct image {
	struct ram ram;
	char *path;
	struct image_source source;
	struct image_map map;		/* its parts are the ranges, one by one */
};

static int image_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		      struct err *err)
{
	const struct image *image = (const struct image *)ram;

	return image_source_read(&image->source, image->map.parts.v[range].offset + offset, buf,
				 len, err);
}

/* A hole in a sparse file holds nothing. */
static int image_populated(struct ram *ram, size_t range, uint64_t offset, uint64_t *start,
			   uint64_t *len, struct err *err)
{
	const struct image *image = (const struct image *)ram;
	const struct image_part *part = &image->map.parts.v[range];
	off_t from = (off_t)(part->offset + offset);
	off_t end = (off_t)(part->offset + part->size_bytes);
	off_t data = lseek(image->source.fd, from, SEEK_DATA), hole;
	struct stat status;

	/* A hole at the end; or the end came nearer, which must not look like one. */
	if (data < 0 && errno == ENXIO && fstat(image->source.fd, &status) == 0 &&
	    (status.st_size >= end || !S_ISREG(status.st_mode)))
		return -ENOENT;
	if (data < 0 && errno == ENXIO)
		return err_set(err, -EFAULT, "the file has become shorter");
	if (data < from)	/* no such thing on this file system */
		data = from;
	if (data >= end)
		return -ENOENT;
	hole = lseek(image->source.fd, data, SEEK_HOLE);
	*start = (uint64_t)(data - from) + offset;
	*len = (uint64_t)((hole > data && hole < end ? hole : end) - data);
	return 0;
}

static void image_close(struct ram *ram)
{
	struct image *image = (struct image *)ram;

	fd_close(&image->source.fd);
	image_map_free(&image->map);
	free(image->path);
	free(image);
}

/* Only the file: what lies in it is read by whoever takes it, and judged there. */
static int image_hand_over(struct ram *ram, struct handover *to, struct err *err)
{
	const struct image *image = (const struct image *)ram;
	int r;

	write_u8(&to->text, HANDOVER_IMAGE);
	write_text(&to->text, image->path);
	r = handover_add(to, image->source.fd, err);
	return r < 0 ? r : 0;
}

static const struct ram_ops image_ops = {
	.name = "image",
	.read = image_read,
	.populated = image_populated,
	.hand_over = image_hand_over,
	.close = image_close,
};

/* First bytes of what is not a memory image that we read. */
static const struct {
	const char *magic;
	size_t size;
	const char *name;
	const char *hint;
} refused[] = {
	{ "KDUMP   ", 8, "kdump-compressed", "dump it as ELF (dump-guest-memory without -z)" },
	{ "DISKDUMP", 8, "diskdump", "convert it to an ELF core" },
	{ "makedumpfile", 12, "makedumpfile's flattened format",
	  "dump it as ELF (dump-guest-memory without -z)" },
	{ "QEVM", 4, "a saved state of QEMU", "use dump-guest-memory" },
	{ "LibvirtQemudSave", 16, "a saved state of libvirt", "use virsh dump --memory-only" },
	{ "LibvirtQemudPart", 16, "a saved state of libvirt", "use virsh dump --memory-only" },
	{ "PAGEDU64", 8, "a crash dump of Windows", "dump it from outside" },
	{ "PAGEDUMP", 8, "a crash dump of Windows", "dump it from outside" },
	{ "\xd0\xbe\xd2\xbe", 4, "a saved state of VMware", "use its .vmem file" },
	{ "\xd1\xba\xd1\xba", 4, "a saved state of VMware", "use its .vmem file" },
	{ "\xd2\xbe\xd2\xbe", 4, "a saved state of VMware", "use its .vmem file" },
	{ "\xd3\xbe\xd3\xbe", 4, "a saved state of VMware", "use its .vmem file" },
	{ "\x7fVirtualBox", 11, "a saved state of VirtualBox", "use debugvm dumpvmcore" },
	{ "AVML", 4, "a compressed image of AVML", "convert it with avml-convert" },
	{ "\x1f\x8b", 2, "compressed by gzip", "unpack it" },
	{ "\xfd" "7zXZ", 5, "compressed by xz", "unpack it" },
	{ "\x28\xb5\x2f\xfd", 4, "compressed by zstd", "unpack it" },
	{ "\x04\x22\x4d\x18", 4, "compressed by lz4", "unpack it" },
	{ "BZh", 3, "compressed by bzip2", "unpack it" },
	{ "PK\x03\x04", 4, "a zip archive", "unpack it" },
	{ "7z\xbc\xaf\x27\x1c", 6, "a 7z archive", "unpack it" },
	{ "QFI\xfb", 4, "a disk image", "memory is needed" },
	{ "KDMV", 4, "a disk image", "memory is needed" },
};

/* A file without a format of its own: its bytes are the guest's from address 0 on. */
int image_raw(const struct image_source *source, struct image_map *map, struct err *err)
{
	uint64_t pages = source->size_bytes & ~GUEST_PAGE_MASK;

	map->format = "raw";
	if (!pages)
		return err_set(err, -EBADMSG, "a file of %ju bytes is no memory of a guest",
			       (uintmax_t)source->size_bytes);
	map->missing_bytes = source->size_bytes % GUEST_PAGE_SIZE
				     ? GUEST_PAGE_SIZE - source->size_bytes % GUEST_PAGE_SIZE : 0;
	return image_map_add(map, source, 0, pages, 0, err);
}

int image_parse(const struct image_source *source, struct image_map *map, struct err *err)
{
	uint8_t head[16] = { 0 };
	size_t n = source->size_bytes < sizeof(head) ? (size_t)source->size_bytes : sizeof(head);
	int r = image_source_read(source, 0, head, n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i].size <= n && !memcmp(head, refused[i].magic, refused[i].size))
			return err_set(err, -ENOTSUP, "%s is not supported: %s", refused[i].name,
				       refused[i].hint);
	if (n >= 4 && !memcmp(head, "\x7f" "ELF", 4))
		r = image_elf(source, map, err);
	else if (n >= 4 && !memcmp(head, "EMiL", 4))
		r = image_lime(source, map, err);
	else
		r = image_raw(source, map, err);
	return r < 0 ? r : image_map_finish(map, source, err);
}

static int set_ranges(struct image *image, struct err *err)
{
	size_t n = image->map.parts.n;
	cleanup(freep) struct ram_range *ranges = calloc(n, sizeof(*ranges));
	char missing[48] = "";

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct ram_range){ gpa_of(image->map.parts.v[i].start),
						image->map.parts.v[i].size_bytes };
	if (image->map.missing_bytes)
		snprintf(missing, sizeof(missing), ", truncated: %ju KiB missing",
			 (uintmax_t)(image->map.missing_bytes / 1024 + 1));
	snprintf(image->ram.layout, sizeof(image->ram.layout), "%s image%s", image->map.format,
		 missing);
	return ram_set_ranges(&image->ram, ranges, n, err);
}

static int open_source(const char *path, struct image_source *source, struct err *err)
{
	off_t size;
	struct stat status;

	/* Not to wait for the writer of a pipe. */
	source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (source->fd < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	if (fstat(source->fd, &status) < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return err_set(err, -ENOTSUP, "not a file");
	size = lseek(source->fd, 0, SEEK_END);
	if (size < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	source->size_bytes = (uint64_t)size;
	return 0;
}

/* NULL: no memory. */
static struct image *image_new(const char *path)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->ram.ops = &image_ops;
	image->source.fd = -1;
	image->path = strdup(path);
	if (!image->path) {
		free(image);
		return NULL;
	}
	return image;
}

/* Of a PV guest of Xen: which machine frames it had. */
static int set_machine(struct image *image, struct err *err)
{
	int r;

	if (!image->map.frames)
		return 0;
	r = machine_own(image->map.frames_n, &image->ram.machine, err);
	if (r >= 0)
		machine_set(image->ram.machine, image->map.frames);
	free(image->map.frames);
	image->map.frames = NULL;
	return r < 0 ? r : 0;
}

static int look_into(struct image *image, struct err *err)
{
	int r = image_parse(&image->source, &image->map, err);

	if (r == 0)
		r = set_ranges(image, err);
	if (r == 0)
		r = set_machine(image, err);
	if (r == 0)
		r = ram_set_registers(&image->ram, image->map.cpus.v, image->map.cpus.n, err);
	return r;
}

static int open_image(const char *path, bool unread, struct ram **ret, struct err *err)
{
	struct image *image = image_new(path);
	struct ram *ram;
	int r;

	if (!image)
		return -ENOMEM;
	ram = &image->ram;
	r = open_source(path, &image->source, err);
	if (r == 0 && !unread)
		r = look_into(image, err);
	if (r < 0) {
		ram_close(&ram);
		return wrap(err, r, "memory image '%s'", path);
	}
	*ret = ram;
	return 0;
}

int image_open(const char *path, struct ram **ret, struct err *err)
{
	return open_image(path, false, ret, err);
}

int image_open_unread(const char *path, struct ram **ret, struct err *err)
{
	return open_image(path, true, ret, err);
}

int image_take(struct bytes *text, const int *fds, size_t fds_n, struct ram **ret,
	       struct err *err)
{
	const char *path = bytes_text(text);
	struct image *image;
	struct ram *ram;
	off_t size;
	int r = 0;

	if (!path || !bytes_at_end(text) || fds_n != 1)
		return err_set(err, -EBADMSG, "no image was handed over");
	image = image_new(path);
	if (!image)
		return -ENOMEM;
	size = lseek(fds[0], 0, SEEK_END);
	if (size < 0)
		r = err_set(err, -errno, "%s", strerror(errno));
	image->source = (struct image_source){ .fd = fds[0], .size_bytes = (uint64_t)size };
	if (r == 0)
		r = look_into(image, err);
	ram = &image->ram;
	if (r < 0) {
		wrap(err, r, "memory image '%s'", path);
		image->source.fd = -1;	/* stays the caller's */
		ram_close(&ram);
		return r;
	}
	*ret = ram;
	return 0;
}
