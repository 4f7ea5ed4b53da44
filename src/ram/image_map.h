/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_IMAGE_MAP_H
#define HVSM_RAM_IMAGE_MAP_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "ram/registers.h"

/* What a format's parser reads from: a file, or bytes in memory (tests, fuzzing). */
struct image_source {
	int fd;			/* -1: in memory */
	const uint8_t *bytes;	/* where @fd is -1 */
	uint64_t size_bytes;	/* when it was opened */
};

/* Some guest-physical memory, and where in the file it is. */
struct image_part {
	uint64_t start;
	uint64_t size_bytes;
	uint64_t offset;
};

struct image_map {
	const char *format;
	VEC(struct image_part) parts;	/* ascending and disjoint once it is finished */
	uint64_t missing_bytes;		/* that the file should hold, and does not */
	registers_list cpus;		/* of each vCPU, where the format has them */

	/* Of a PV guest of Xen (machine.h); NULL: it is none. Freed by image_map_free(). */
	uint32_t *frames;
	uint32_t frames_n;
};

/**
 * image_source_read - bytes of the file
 * Return: 0, -EFAULT (they are not all there), -EIO.
 */
nodiscard int image_source_read(const struct image_source *source, uint64_t at, void *buf,
				size_t len, struct err *err);

/**
 * image_map_add - a format says that [@start, @end) is in the file from @offset on
 *
 * Cut to whole pages, and to what the file has; what is cut off is counted as missing.
 *
 * Return: 0, -EBADMSG (that cannot be), -ELOOP, -ENOMEM.
 */
nodiscard int image_map_add(struct image_map *map, const struct image_source *source,
			    uint64_t start, uint64_t end, uint64_t offset, struct err *err);

/**
 * image_map_finish - sort the parts and join those that continue each other
 *
 * A part inside another, as kdump has the kernel's text, must hold the same bytes.
 *
 * Return: 0, -EBADMSG (two parts say different things of one address; no memory at all),
 *         -ELOOP (over RAM_RANGES_MAX remain; over IMAGE_TWICE_MAX to compare), -EIO.
 */
nodiscard int image_map_finish(struct image_map *map, const struct image_source *source,
			       struct err *err);

void image_map_free(struct image_map *map);

/*
 * One parser for each format. 0, or an error as of image_open(). The map is for the caller to
 * free, also after a failure.
 */
nodiscard int image_elf(const struct image_source *source, struct image_map *map,
			struct err *err);
nodiscard int image_lime(const struct image_source *source, struct image_map *map,
			 struct err *err);
nodiscard int image_raw(const struct image_source *source, struct image_map *map,
			struct err *err);

/* An ELF file with sections in place of program headers; as the parsers above. */
nodiscard int image_xen(const struct image_source *source, const Elf64_Ehdr *header,
			struct image_map *map, struct err *err);

/**
 * image_notes - what an ELF core's notes say of the vCPUs
 * @at:         in the file
 * @size_bytes: of all notes
 * Return: 0, also where they are damaged; -ELOOP (over CPUS_MAX), -ENOMEM.
 */
nodiscard int image_notes(const struct image_source *source, uint64_t at, uint64_t size_bytes,
			  struct image_map *map, struct err *err);

/* The parser that the first bytes call for, and then image_map_finish(). */
nodiscard int image_parse(const struct image_source *source, struct image_map *map,
			  struct err *err);

#endif
