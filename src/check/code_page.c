/* SPDX-License-Identifier: Apache-2.0 */
#include "check/code_page.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/text_relocations.h"
#include "guest/insn.h"
#include "keeper/page_digests.h"
#include "linux/page_cache.h"

#define INT3	    0xccu
#define CALL	    0xe8u
#define CALL_BYTES  5u
#define SHOWN_BYTES 16u
#define SHOWN_INSNS 3u
#define NARROW_END  (1ull << 32)	/* of the addresses of 32 bits */
#define AROUND_BYTES 32u	/* that are decoded to find where an instruction begins */

bool code_page_is_measured(const struct code_file *file, uint64_t number, const uint8_t *digest,
			   bool *known)
{
	const struct measured_file *first = file->measured, *one = first;
	bool exact = first && first->ctime_ns == file->info.ctime_ns;
	const uint8_t *expected;

	*known = false;
	for (uint32_t n = 0; one && n < MEASURED_SAME_MAX; n++, one = one->older_same) {
		if (one->device != first->device || (exact && one->ctime_ns != first->ctime_ns))
			continue;
		expected = measured_digest(one, number);
		*known |= expected != NULL;
		if (expected && !memcmp(expected, digest, AGENT_DIGEST_BYTES))
			return true;
	}
	return false;
}

static bool is_measured(const struct code_page *page, const uint8_t *bytes)
{
	uint8_t digest[AGENT_DIGEST_BYTES];
	bool known;

	page_digest_make(bytes, digest);
	return code_page_is_measured(page->file, page->number, digest, &known);
}

/* --- breakpoints --- */

/* Does the call that stands at @at lead into the kernel's page of trampolines? */
static int leads_to_trampoline(const struct code_page *page, uint64_t at, struct err *err)
{
	struct vma vma;
	int32_t distance;
	int r;

	memcpy(&distance, page->found + (at & GUEST_PAGE_MASK) + 1, sizeof(distance));
	r = vma_find(page->walk->kernel, page->walk->view, page->task->mm,
		     at + CALL_BYTES + (uint64_t)(int64_t)distance, &vma, err);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : vma_is_special(page->walk->kernel, &vma);
}

/* Put back what a uprobe took away, in a copy: whether that was all is for its digest to say. */
static int undo(const struct code_page *page, const struct uprobe *uprobe, uint8_t *copy,
		struct err *err)
{
	static const uint8_t nop[CALL_BYTES] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	uint64_t at = uprobe->offset & GUEST_PAGE_MASK;
	int r;

	if (page->found[at] == INT3) {
		copy[at] = uprobe->insn[0];
		return 0;
	}
	if (page->found[at] != CALL || at + CALL_BYTES > GUEST_PAGE_SIZE ||
	    memcmp(uprobe->insn, nop, sizeof(nop)) != 0)
		return 0;
	r = leads_to_trampoline(page, page->at + at, err);
	if (r > 0)
		memcpy(copy + at, nop, sizeof(nop));
	return r;
}

static int is_probed(const struct code_page *page, const struct uprobes *uprobes,
		     struct err *err)
{
	uint8_t copy[GUEST_PAGE_SIZE];
	bool any = false;
	int r = 0;

	memcpy(copy, page->found, sizeof(copy));
	for (size_t i = 0; i < uprobes->all.n && r >= 0; i++) {
		const struct uprobe *uprobe = &uprobes->all.v[i];

		if (!uprobe->insn_bytes || uprobe->inode.v != page->file->program->inode.v ||
		    uprobe->offset >> GUEST_PAGE_SHIFT != page->number)
			continue;
		any = true;
		r = undo(page, uprobe, copy, err);
	}
	return r < 0 ? r : any && is_measured(page, copy);
}

/* --- other reasons --- */

/*
 * Is the page still there, and the file still the same? Reads it once more. That somebody changes
 * the file's mode or times meanwhile is no reason not to compare.
 */
static int look_again(struct code_page *page, struct err *err)
{
	const struct inode_info *before = &page->file->info;
	struct view *view = page->walk->view;
	struct inode_info info;
	struct mapping to;
	int r;

	view_refresh(view);
	r = view_translate(view, page->space, gva_of(page->at), &to, err);
	if (r == -EFAULT)
		return PAGE_GONE;
	if (r >= 0) {
		page->frame = to.at;
		r = inode_read(page->walk->kernel, view, page->file->program->inode, &info, err);
	}
	if (r >= 0) {
		if (info.number != before->number || info.device != before->device)
			return PAGE_GONE;
		page->touched = info.ctime_ns != before->ctime_ns;
		page->written = info.size_bytes != before->size_bytes ||
				info.mtime_ns != before->mtime_ns;
		r = view_copy_phys(view, page->frame, page->found, sizeof(page->found), err);
	}
	if (r < 0)
		return r;
	page_digest_make(page->found, page->digest);
	return is_measured(page, page->found) ? PAGE_EQUAL : PAGE_MODIFIED;
}

/* What the kernel has of the file itself, if that is what was measured. */
static int find_clean(struct code_page *page, struct err *err)
{
	int r = page_cache_read(page->walk->kernel, page->walk->view, page->file->program->inode,
				page->number, page->clean, err);

	page->has_clean = r >= 0 && is_measured(page, page->clean);
	return r == -ELOOP || r == -ESRCH ? r : 0;
}

/*
 * Is it what the loader or a compiler made of it? What tells of text relocations is data, which
 * anybody may have dropped from the page cache (posix_fadvise(2)): that excuses only what may be of
 * 32 bits, which lies below 4 GiB, and what may be no ELF file at all.
 */
static int find_maker(const struct code_page *page, struct err *err)
{
	bool compiles = page->runtime & RUNTIME_ANY;
	enum text_relocations relocations;
	int r = text_relocations_of(page->walk->kernel, page->walk->view,
				    page->file->program->inode, &relocations, err);

	if (r < 0)
		return r;
	switch (relocations) {
	case TEXT_RELOCATIONS_YES:
		return PAGE_RELOCATED;
	case TEXT_RELOCATIONS_UNKNOWN:
		return compiles || page->at < NARROW_END ? PAGE_RELOCATED : PAGE_MODIFIED;
	case TEXT_RELOCATIONS_NO_ELF:
		return compiles ? PAGE_COMPILED : PAGE_MODIFIED;
	default:
		return PAGE_MODIFIED;
	}
}

int code_page_judge(struct code_page *page, const struct uprobes *uprobes, struct err *err)
{
	int r = look_again(page, err);

	page->has_clean = false;
	if (r < 0 || r != PAGE_MODIFIED)
		return r;
	r = is_probed(page, uprobes, err);
	if (r)
		return r < 0 ? r : PAGE_PROBED;
	r = find_maker(page, err);
	if (r != PAGE_MODIFIED)
		return r;
	r = find_clean(page, err);
	if (r < 0)
		return r;
	return page->written || (page->touched && !page->has_clean) ? PAGE_CHANGING : PAGE_MODIFIED;
}

/* --- evidence --- */

static void print_digest(const uint8_t *digest, char *buf, size_t size)
{
	char hex[2 * AGENT_DIGEST_BYTES + 1];

	snprintf(buf, size, "SHA-256 %s",
		 sodium_bin2hex(hex, sizeof(hex), digest, AGENT_DIGEST_BYTES));
}

/* Where the instruction begins that holds byte @at of the page, as far as can be told. */
static uint64_t insn_of(const uint8_t *page, uint64_t base, uint64_t at)
{
	uint64_t from = at > AROUND_BYTES ? at - AROUND_BYTES : 0;
	struct insns insns = { 0 };
	uint64_t begin = at;

	if (insns_decode(page + from, at + 1 - from + SHOWN_BYTES < GUEST_PAGE_SIZE - from ?
			 at + 1 - from + SHOWN_BYTES : GUEST_PAGE_SIZE - from,
			 gva_of(base + from), &insns) >= 0)
		for (size_t i = 0; i < insns.list.n; i++)
			if (base + at - insns.list.v[i].at.v < insns.list.v[i].size_bytes)
				begin = insns.list.v[i].at.v - base;
	insns_free(&insns);
	return begin;
}

static void print_code(const uint8_t *page, uint64_t base, uint64_t at, char *buf, size_t size)
{
	size_t n = GUEST_PAGE_SIZE - at < SHOWN_BYTES ? GUEST_PAGE_SIZE - at : SHOWN_BYTES;
	size_t have = 0;
	char text[160];

	for (size_t i = 0; i < n; i++)
		have += (size_t)snprintf(buf + have, size - have, "%02x", page[at + i]);
	snprintf(buf + have, size - have, ": %s",
		 insn_print(page + at, n, gva_of(base + at), SHOWN_INSNS, text, sizeof(text)));
}

void code_page_evidence(const struct code_page *page, struct finding *finding)
{
	const uint8_t *digest = measured_digest(page->file->measured, page->number);
	char what[128], expected[256] = "", found[256];
	uint64_t first = 0, differ = 0, at;

	snprintf(what, sizeof(what), "page %" PRIu64 " of the file, in memory", page->number);
	if (digest)
		print_digest(digest, expected, sizeof(expected));
	print_digest(page->digest, found, sizeof(found));
	finding_evidence(finding, what, gva_of(page->at), page->file->program->path, expected,
			 found);
	if (!page->has_clean)
		return;
	for (uint64_t i = GUEST_PAGE_SIZE; i-- > 0;)
		if (page->found[i] != page->clean[i]) {
			first = i;
			differ++;
		}
	at = insn_of(page->clean, page->at, first);
	snprintf(what, sizeof(what), "first of %" PRIu64 " bytes that differ", differ);
	print_code(page->clean, page->at, at, expected, sizeof(expected));
	print_code(page->found, page->at, at, found, sizeof(found));
	finding_evidence(finding, what, gva_of(page->at + first), NULL, expected, found);
}
