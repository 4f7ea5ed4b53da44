/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/agent.h"
#include "check/process.h"
#include "keeper/keeper.h"
#include "keeper/measured.h"
#include "linux/inode.h"
#include "linux/page_cache.h"
#include "linux/peek.h"
#include "linux/vma.h"
#include "reference/trust.h"

/*
 * What stands on the disk under the name of a program that runs. A package that is upgraded puts
 * a new file there, and the old one runs on; so does an intruder who waits for the next start.
 * They are told apart by who vouches for the new file: its digest is what the agent measured, if
 * it was run already, or else what the page cache has of it, if that is all of it.
 */

#define FUEL_MAX       VIEW_FUEL_SWEEP
#define SUCCESSOR_MAX  (64u << 20)	/* a file of which the digest is made from outside */
#define DELETED        " (deleted)"	/* what the kernel puts behind a path (fs/d_path.c) */
#define DIGEST_HEX     (2 * TRUST_DIGEST_BYTES + 1)

struct replaced_fields {
	struct field writers;
};

static const struct member replaced_members[] = {
	MEMBER(struct replaced_fields, writers, "inode.i_writecount.counter"),
};
LAYOUT(replaced_layout, struct replaced_fields, replaced_members);

struct replaced_look {
	const struct measured *measured;
	struct trust *trust;
	struct map seen;	/* inode of a file that was replaced → 1 */
	uint64_t files, replaced, known, untold;
};

/* SHA-256 of a file by what is in memory of it. 1; 0: not all is; or an errno. */
static int digest_outside(struct process_walk *walk, gva inode, uint64_t size_bytes,
			  uint8_t *digest, struct err *err)
{
	uint8_t page[GUEST_PAGE_SIZE];
	crypto_hash_sha256_state state;
	int r;

	if (size_bytes > SUCCESSOR_MAX)
		return 0;
	crypto_hash_sha256_init(&state);
	for (uint64_t at = 0; at < size_bytes; at += GUEST_PAGE_SIZE) {
		uint64_t left = size_bytes - at;

		r = page_cache_read(walk->kernel, walk->view, inode, at >> GUEST_PAGE_SHIFT,
				    page, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		crypto_hash_sha256_update(&state, page,
					  left < GUEST_PAGE_SIZE ? left : GUEST_PAGE_SIZE);
	}
	crypto_hash_sha256_final(&state, digest);
	return 1;
}

/* Has somebody the file open to write to it? What it will be is not known yet. */
static int is_written(struct process_walk *walk, gva inode, struct err *err)
{
	const struct replaced_fields *f;
	uint64_t writers;
	int r = types_layout(walk->kernel->types, &replaced_layout, (const void **)&f, err);

	if (r >= 0)
		r = field_read(walk->view, inode, &f->writers, &writers, err);
	return r < 0 ? r : (int32_t)writers > 0;	/* below 0: it is executed */
}

/* The digest of the file that stands there now. 1; 0: it cannot be told; or an errno. */
static int digest_of(struct process_walk *walk, const struct replaced_look *look, gva inode,
		     uint8_t *digest, struct err *err)
{
	const struct measured_file *file;
	struct measured_key key;
	struct inode_info info;
	int r = inode_read(walk->kernel, walk->view, inode, &info, err);

	if (r < 0)
		return r;
	key = (struct measured_key){
		.device = info.device, .inode = info.number, .size_bytes = info.size_bytes,
		.mtime_ns = info.mtime_ns, .ctime_ns = info.ctime_ns,
	};
	file = measured_find(look->measured, &key);
	if (!file)
		return digest_outside(walk, inode, info.size_bytes, digest, err);
	memcpy(digest, file->sha256, TRUST_DIGEST_BYTES);
	return 1;
}

static void tell(struct process_walk *walk, const struct task *task,
		 const struct program *program, gva inode, const uint8_t *digest)
{
	char hex[DIGEST_HEX], text[DIGEST_HEX + 16];
	size_t len = strlen(program->path), mark = strlen(DELETED);
	struct finding *finding;

	if (len > mark && !strcmp(program->path + len - mark, DELETED))
		len -= mark;
	sodium_bin2hex(hex, sizeof(hex), digest, TRUST_DIGEST_BYTES);
	finding = check_finding(walk->run, SEVERITY_LOW, "file", program->inode, "%.*s",
				(int)len, program->path);
	snprintf(text, sizeof(text), "%d %s", task->pid, task->comm);
	finding_evidence(finding, "runs in process", task->at, NULL, NULL, text);
	snprintf(text, sizeof(text), "SHA-256 %s", hex);
	finding_evidence(finding, "file that stands there now", inode, NULL,
			 "a digest in the trust store", text);
}

static int judge(struct process_walk *walk, const struct task *task, struct replaced_look *look,
		 const struct program *program, struct err *err)
{
	uint8_t digest[TRUST_DIGEST_BYTES];
	gva inode;
	int r;

	if (!program->deleted || program->memory || !program_is_regular(program) ||
	    map_get(&look->seen, program->inode.v, NULL))
		return 0;
	r = map_put(&look->seen, program->inode.v, 1);
	if (r >= 0)
		r = program_successor(&walk->programs, program, &inode, err);
	if (r <= 0)
		return r;
	look->replaced++;
	r = is_written(walk, inode, err);
	if (r >= 0)
		r = r ? 0 : digest_of(walk, look, inode, digest, err);
	if (r == 0)
		look->untold++;
	if (r <= 0)
		return r;
	r = trust_find(look->trust, digest, NULL, err);
	if (r > 0)
		look->known++;
	else if (r == 0)
		tell(walk, task, program, inode, digest);
	return r < 0 ? r : 0;
}

struct process_files {
	struct process_walk *walk;
	const struct task *task;
	struct replaced_look *look;
};

static int visit_file(struct process_files *files, gva file, struct err *err)
{
	const struct program *program;
	int r = programs_get(&files->walk->programs, file, &program, err);

	files->look->files++;
	return r < 0 ? r : judge(files->walk, files->task, files->look, program, err);
}

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct process_files *files = ctx;

	if (!(vma->flags & VMA_EXEC) || !vma->file.v ||
	    vma_is_special(files->walk->kernel, vma))
		return 0;
	return visit_file(files, vma->file, err);
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct process_files files = { .walk = walk, .task = task, .look = ctx };
	struct vma_space space;
	int r;

	if (!task->mm.v || task->kernel_thread)
		return 0;
	r = vma_space(walk->kernel, walk->view, task->mm, &space, err);
	if (r >= 0 && space.exe.v)
		r = visit_file(&files, space.exe, err);
	return r < 0 ? r : vma_walk(walk->kernel, walk->view, task->mm, visit_vma, &files, err);
}

static int process_replaced_run(struct check_run *run, struct err *err)
{
	struct trust *trust = check_trust(run);
	struct replaced_look look = { .trust = trust };
	int r = agent_measured(run, &look.measured, err);

	if (r < 0 || !look.measured)
		return r;
	r = trust ? trust_is_empty(trust, err) : 1;
	if (r) {
		if (r > 0)
			check_not_covered(run, "no program is trusted yet (`hvsm trust add`)");
		return r < 0 ? r : 0;
	}
	r = process_each(run, visit_process, &look, err);
	check_covered(run, "files", look.files);
	check_covered(run, "replaced since", look.replaced);
	check_covered(run, "by one that is known", look.known);
	check_covered(run, "by one that was not run yet", look.untold);
	map_free(&look.seen);
	return r;
}

CHECK(process_replaced,
	.id = "process-replaced",
	.group = GROUP_PROCESSES,
	.title = "The file of a program that runs was replaced by one that nobody vouches for",
	.proves = "Where another file stands by now under the name of a program or library that "
		  "runs, its digest is one that the host trusts, as far as the agent measured it "
		  "or all of it is in memory (docs/processes.md). Without an agent, or where "
		  "nothing is trusted, it is not covered.",
	.techniques = TECHNIQUES("T1554", "T1574"),
	.fuel_max = FUEL_MAX,
	.run = process_replaced_run);
