/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/code.h"
#include "linux/bpf.h"

/*
 * What bpf(2) lists are the tables of numbers. A program that does anything is attached
 * somewhere, and each object that stays is held by a descriptor, a pin, a link or a program: what
 * one of those leads to must be in its table. Without a number by right are:
 *
 * - functions of a program (struct bpf_prog::is_func), as long as only their code leads there;
 * - classic filters (SO_ATTACH_FILTER), converted: type BPF_PROG_TYPE_UNSPEC, on a socket;
 * - what the kernel puts between an LSM hook and the programs of a control group, which calls
 *   one of __cgroup_bpf_run_lsm_*() (kernel/bpf/trampoline.c, cgroup_shim_alloc());
 * - programs of a network card that is gone (bpf_prog_warn_on_exec()).
 *
 * What is being freed has lost its number already: its count of users is 0.
 *
 * A program that writes into the memory of processes (bpf_probe_write_user()) or makes functions
 * of the kernel return what it wants (bpf_override_return()) is told as a finding of its own, of
 * medium severity: tools that do so exist for tests and fault injection, and are rare on servers.
 * The kernel itself warns in its log when the first is loaded. bpf_send_signal() is none: security
 * agents stop processes by it; `hvsm bpf --long` shows who calls it.
 */
#define FUEL_MAX 100000u

#define PACK_BYTES (2u << 20)	/* larger programs have areas of their own */

struct judging {
	struct check_run *run;
	struct bpf bpf;
	struct owners *owners;
	uint64_t count[BPF_KINDS];
};

static const char *const kinds[BPF_KINDS] = { "BPF program", "BPF map", "BPF link" };

/* "17 name"; of one without a number "name". Links have no names. */
static struct finding *report(struct judging *j, const struct bpf_object *object,
			      enum severity severity)
{
	char name[64];

	if (object->id && *object->name)
		snprintf(name, sizeof(name), "%" PRIu32 " %s", object->id, object->name);
	else if (object->id)
		snprintf(name, sizeof(name), "%" PRIu32, object->id);
	else
		snprintf(name, sizeof(name), "%s", *object->name ? object->name : "(no name)");
	return check_finding(j->run, severity, kinds[object->kind], object->at, "%s", name);
}

/* Who holds it, where it is attached. */
static void tell_users(struct judging *j, struct finding *finding, uint32_t index)
{
	const struct bpf *bpf = &j->bpf;
	bool owned = false;
	char text[192];

	for (size_t i = 0; i < bpf->holders.n; i++) {
		const struct bpf_holder *holder = &bpf->holders.v[i];

		if (holder->object != index)
			continue;
		snprintf(text, sizeof(text), "PID %" PRIu32 " '%s', descriptor %" PRIu32,
			 holder->pid, holder->comm, holder->fd);
		if (!owned)
			finding_owner(finding, "process %" PRIu32 " %s", holder->pid,
				      holder->comm);
		owned = true;
		finding_evidence(finding, "held by", gva_of(0), NULL, NULL, text);
	}
	for (size_t i = 0; i < bpf->attachments.n; i++) {
		const struct bpf_attachment *attachment = &bpf->attachments.v[i];

		if (attachment->object != index)
			continue;
		snprintf(text, sizeof(text), "%s: %s", bpf_way_name(attachment->way),
			 attachment->where);
		finding_evidence(finding, "attached to", gva_of(0), NULL, NULL, text);
	}
}

static void tell_found(struct finding *finding, const struct bpf_object *object)
{
	char text[160];
	size_t used = 0;

	for (enum bpf_way way = 0; way < BPF_WAYS && used < sizeof(text); way++)
		if (object->found_by & 1u << way)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? ", " : "", bpf_way_name(way));
	finding_evidence(finding, "found by", object->at, NULL, NULL, text);
}

/* --- hidden --- */

static bool is_called(const struct judging *j, gva at, const char *prefix)
{
	struct symbol symbol;

	return symbols_at(check_kernel(j->run)->symbols, at, &symbol, NULL) >= 0 &&
	       symbol.at.v == at.v && !strncmp(symbol.name, prefix, strlen(prefix));
}

static bool has_no_number(const struct judging *j, const struct bpf_object *object)
{
	if (object->kind != BPF_PROGRAM)
		return false;
	if (object->part && object->found_by == 1u << BPF_BY_CODE)
		return true;
	if (!object->type && object->found_by == 1u << BPF_BY_SOCKET)
		return true;
	return !object->jited && (is_called(j, object->code, "__cgroup_bpf_run_lsm_") ||
				  is_called(j, object->code, "bpf_prog_warn_on_exec"));
}

static void judge_table(struct judging *j, uint32_t index)
{
	const struct bpf_object *object = &j->bpf.objects.v[index];
	struct finding *finding;

	if (object->found_by & 1u << BPF_BY_TABLE || !(j->bpf.walked & 1u << BPF_BY_TABLE) ||
	    has_no_number(j, object))
		return;
	if (object->error < 0 || object->refcount <= 0) {
		check_inconclusive(j->run, "%s %" PRIu32 " is being freed", kinds[object->kind],
				   object->id);
		return;
	}
	finding = report(j, object, SEVERITY_HIGH);
	finding_title(finding, "%s '%s' is hidden: its table of numbers does not have it",
		      kinds[object->kind], object->name);
	tell_found(finding, object);
	finding_evidence(finding, "table of numbers", gva_of(0), NULL, "there", "missing");
	tell_users(j, finding, index);
}

/* --- code --- */

static bool is_interpreter(const struct judging *j, gva at)
{
	return is_called(j, at, "__bpf_prog_") || is_called(j, at, "bpf_prog_warn_on_exec") ||
	       is_called(j, at, "__cgroup_bpf_run_lsm_");
}

/* Is the code where programs are compiled to, and the program's own? */
static bool is_own_code(const struct judging *j, const struct bpf_object *object)
{
	bool has_packs = symbols_lookup(check_kernel(j->run)->symbols, "pack_list").v;
	struct owner owner;

	if (!object->jited)
		return is_interpreter(j, object->code);
	if (object->start.v && (object->code.v < object->start.v ||
				object->code.v >= object->end.v))
		return false;
	if (owner_of(j->owners, object->code, &owner, NULL) < 0)
		return false;
	if (owner.kind == OWNER_BPF || owner.kind == OWNER_BPF_PACK)
		return true;
	/* Without a symbol and a pack nothing says whose an area is: who asked for it is told. */
	return owner.kind == OWNER_NONE && !object->start.v &&
	       (!has_packs || object->code_bytes > PACK_BYTES);
}

static void judge_code(struct judging *j, uint32_t index)
{
	const struct bpf_object *object = &j->bpf.objects.v[index];
	struct finding *finding;

	if (object->kind != BPF_PROGRAM || object->error < 0 || object->refcount <= 0 ||
	    is_own_code(j, object))
		return;
	finding = report(j, object, SEVERITY_CRITICAL);
	finding_title(finding, "BPF program '%s' does not lead to its own code", object->name);
	code_evidence(j->run, j->owners, finding, "bpf_prog.bpf_func", object->at,
		      object->jited ? "its own code" : "the interpreter", object->code);
}

/* --- what it calls --- */

static void judge_calls(struct judging *j, uint32_t index)
{
	static const struct {
		const char *helper, *does;
	} helpers[] = {
		{ "bpf_probe_write_user", "writes into the memory of processes" },
		{ "bpf_override_return", "replaces what functions of the kernel return" },
	};
	const struct symbols *symbols = check_kernel(j->run)->symbols;
	const struct bpf_object *object = &j->bpf.objects.v[index];

	for (size_t i = 0; i < object->calls.n * ARRAY_SIZE(helpers); i++) {
		gva at = object->calls.v[i / ARRAY_SIZE(helpers)];
		size_t k = i % ARRAY_SIZE(helpers);
		struct finding *finding;

		if (at.v != symbols_lookup(symbols, helpers[k].helper).v)
			continue;
		finding = report(j, object, SEVERITY_MEDIUM);
		finding_title(finding, "BPF program '%s' %s", object->name, helpers[k].does);
		finding_evidence(finding, "calls", at, helpers[k].helper, NULL, NULL);
		tell_users(j, finding, index);
	}
}

static void judge_all(struct judging *j)
{
	for (uint32_t i = 0; i < j->bpf.objects.n; i++) {
		const struct bpf_object *object = &j->bpf.objects.v[i];

		j->count[object->kind]++;
		if (object->error < 0)
			check_inconclusive(j->run, "%s %" PRIu32 " could not be read",
					   kinds[object->kind], object->id);
		judge_table(j, i);
		judge_code(j, i);
		judge_calls(j, i);
	}
	check_covered(j->run, "programs", j->count[BPF_PROGRAM]);
	check_covered(j->run, "maps", j->count[BPF_MAP]);
	check_covered(j->run, "links", j->count[BPF_LINK]);
}

static int bpf_programs_run(struct check_run *run, struct err *err)
{
	struct judging j = { .run = run };
	int r = bpf_read(check_kernel(run), check_view(run), &j.bpf, err);

	if (r < 0 && r != -ESRCH && r != -ENOMEM) {
		check_inconclusive(run, "%s", err->text);
		r = 0;
	}
	for (enum bpf_way way = 0; way < BPF_WAYS && r >= 0; way++)
		if (j.bpf.failed[way].code == -ENOENT)
			check_note(run, "%s: %s", bpf_way_name(way),
				   j.bpf.failed[way].err.text);
	if (r >= 0)
		r = check_owners(run, &j.owners, err);
	if (r >= 0)
		judge_all(&j);
	if (r >= 0 && !j.bpf.objects.n)
		check_note(run, "nothing of BPF is loaded");
	owners_close(&j.owners);
	bpf_free(&j.bpf);
	return r;
}

CHECK(bpf_programs,
	.id = "bpf-programs",
	.group = GROUP_HIDDEN,
	.title = "BPF object that is hidden, or that does what attackers use it for",
	.proves = "Every BPF program, map and link that a descriptor, a pin, a link, an attachment "
		  "or compiled code leads to has a number by which bpf(2) lists it; every program "
		  "leads to its own code; none writes into processes or replaces what functions "
		  "of the kernel return.",
	.techniques = TECHNIQUES("T1014", "T1564", "T1205.002"),
	.fuel_max = FUEL_MAX,
	.run = bpf_programs_run);
