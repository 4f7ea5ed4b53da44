/* SPDX-License-Identifier: Apache-2.0 */
#include "check/text_relocations.h"

#include <elf.h>
#include <string.h>

#include "base/bytes.h"
#include "linux/page_cache.h"

#define DYNAMIC_MAX 4096u	/* bytes that are looked at: 70 entries are many */

/* Of a file of 32 or 64 bits, as far as it matters here. */
struct elf_shape {
	bool wide;
	uint64_t headers;	/* where the program headers begin */
	uint32_t n, size_bytes;
};

static uint64_t word(struct bytes *b, bool wide)
{
	return wide ? bytes_u64(b) : bytes_u32(b);
}

static bool read_shape(const uint8_t *page, struct elf_shape *ret)
{
	struct bytes b;

	if (memcmp(page, ELFMAG, SELFMAG) != 0 || page[EI_DATA] != ELFDATA2LSB)
		return false;
	ret->wide = page[EI_CLASS] == ELFCLASS64;
	b = bytes_of(page, GUEST_PAGE_SIZE);
	bytes_take(&b, ret->wide ? offsetof(Elf64_Ehdr, e_phoff) : offsetof(Elf32_Ehdr, e_phoff));
	ret->headers = word(&b, ret->wide);
	b = bytes_of(page, GUEST_PAGE_SIZE);
	bytes_take(&b, ret->wide ? offsetof(Elf64_Ehdr, e_phentsize) :
				   offsetof(Elf32_Ehdr, e_phentsize));
	ret->size_bytes = bytes_u16(&b);
	ret->n = bytes_u16(&b);
	return ret->size_bytes == (ret->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) &&
	       ret->headers <= GUEST_PAGE_SIZE;
}

/* Where the dynamic section lies in the file; 0: there is none. -1: it cannot be told. */
static int find_dynamic(const uint8_t *page, const struct elf_shape *shape, uint64_t *offset,
			uint64_t *size_bytes)
{
	struct bytes all = bytes_of(page, GUEST_PAGE_SIZE);

	for (uint32_t i = 0; i < shape->n; i++) {
		struct bytes b = bytes_slice(&all, shape->headers + (size_t)i * shape->size_bytes,
					     shape->size_bytes);
		uint32_t type = bytes_u32(&b);

		if (!bytes_ok(&b))
			return -1;
		if (type != PT_DYNAMIC)
			continue;
		if (shape->wide)
			bytes_u32(&b);	/* p_flags */
		*offset = word(&b, shape->wide);
		bytes_take(&b, shape->wide ? 16 : 8);	/* p_vaddr, p_paddr */
		*size_bytes = word(&b, shape->wide);
		return 1;
	}
	return 0;
}

static bool says_so(const uint8_t *dynamic, size_t size_bytes, bool wide)
{
	struct bytes b = bytes_of(dynamic, size_bytes);

	for (;;) {
		uint64_t tag = word(&b, wide), value = word(&b, wide);

		if (!bytes_ok(&b) || tag == DT_NULL)
			return false;
		if (tag == DT_TEXTREL || (tag == DT_FLAGS && value & DF_TEXTREL))
			return true;
	}
}

int text_relocations_of(const struct kernel *kernel, struct view *view, gva inode,
			enum text_relocations *ret, struct err *err)
{
	uint8_t pages[2][GUEST_PAGE_SIZE] = { 0 };
	uint64_t offset = 0, size_bytes = 0, at;
	struct elf_shape shape;
	int r;

	*ret = TEXT_RELOCATIONS_UNKNOWN;
	r = page_cache_read(kernel, view, inode, 0, pages[0], err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret = TEXT_RELOCATIONS_NO_ELF;
	if (!read_shape(pages[0], &shape))
		return 0;
	*ret = TEXT_RELOCATIONS_NO;
	r = find_dynamic(pages[0], &shape, &offset, &size_bytes);
	if (!r)
		return 0;
	*ret = TEXT_RELOCATIONS_UNKNOWN;
	if (r < 0)
		return 0;
	r = page_cache_read(kernel, view, inode, offset >> GUEST_PAGE_SHIFT, pages[0], err);
	at = offset & GUEST_PAGE_MASK;
	if (size_bytes > DYNAMIC_MAX)
		size_bytes = DYNAMIC_MAX;
	if (r >= 0 && at + size_bytes > GUEST_PAGE_SIZE)
		r = page_cache_read(kernel, view, inode, (offset >> GUEST_PAGE_SHIFT) + 1,
				    pages[1], err);
	if (r == -ENOENT && shape.wide)
		*ret = TEXT_RELOCATIONS_UNLIKELY;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret = says_so(&pages[0][0] + at, size_bytes, shape.wide) ? TEXT_RELOCATIONS_YES :
								    TEXT_RELOCATIONS_NO;
	return 0;
}
