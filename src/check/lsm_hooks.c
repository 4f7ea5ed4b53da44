/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "base/map.h"
#include "check/code.h"
#include "guest/list.h"
#include "linux/partial.h"
#include "linux/peek.h"

/*
 * What a security module wants to be asked about it keeps in an array of hooks, each marked
 * when the kernel takes it over (security_add_hooks()): as a link in the list of those who
 * want to be asked the same, or from 6.12 on as a static call that a key of its own switches
 * on. Nothing takes a hook back. So one that is marked, and not in its list, or not switched on,
 * was taken out: then nobody asks the module any more, and all looks as if it was in force.
 *
 * The arrays are known by name: nothing in the kernel leads to all of them, once a hook is
 * taken out.
 */
#define HOOKS_MAX	1024u		/* of one module; SELinux has 250 */
#define HEADS_MAX	1024u		/* kinds of hooks: 250 */
#define SLOTS_MAX	64u		/* MAX_LSM_COUNT */

static const char *const arrays[] = {
	"capability_hooks", "lockdown_hooks", "yama_hooks", "apparmor_hooks", "selinux_hooks",
	"tomoyo_hooks", "smack_hooks", "landlock_hooks", "loadpin_hooks",
	"safesetid_security_hooks", "bpf_lsm_hooks", "integrity_hooks", "ima_hooks", "evm_hooks",
	"ipe_hooks",
};

struct lsm_fields {
	struct field size, hook, mark, list, head, calls;
	struct field call_size, call_hook, call_key, call_active, key_func, enabled, slots;
	struct field disabled;
};

static const struct member lsm_members[] = {
	MEMBER(struct lsm_fields, size, "security_hook_list"),
	MEMBER(struct lsm_fields, hook, "security_hook_list.hook"),
	/* Who took it over: a name, then an ID (6.8). */
	MEMBER(struct lsm_fields, mark, "security_hook_list.lsmid|security_hook_list.lsm"),
	MEMBER_OPTIONAL(struct lsm_fields, list, "security_hook_list.list"),
	MEMBER_OPTIONAL(struct lsm_fields, head, "security_hook_list.head"),
	/* 417c5643cd67 (6.12) */
	MEMBER_OPTIONAL(struct lsm_fields, calls, "security_hook_list.scalls"),
	MEMBER_OPTIONAL(struct lsm_fields, call_size, "lsm_static_call"),
	MEMBER_OPTIONAL(struct lsm_fields, call_hook, "lsm_static_call.hl"),
	MEMBER_OPTIONAL(struct lsm_fields, call_key, "lsm_static_call.key"),
	MEMBER_OPTIONAL(struct lsm_fields, call_active, "lsm_static_call.active"),
	MEMBER_OPTIONAL(struct lsm_fields, key_func, "static_call_key.func"),
	MEMBER_OPTIONAL(struct lsm_fields, enabled, "static_key.enabled"),
	MEMBER_OPTIONAL(struct lsm_fields, slots, "lsm_static_calls_table.capable"),
	/* Once it was off, SELinux took its hooks out itself (until 6.4). */
	MEMBER_OPTIONAL(struct lsm_fields, disabled, "selinux_state.disabled"),
};
LAYOUT(lsm_layout, struct lsm_fields, lsm_members);

struct lsm {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct lsm_fields *f;
	struct owners *owners;
	struct partial partial;
	struct map linked;	/* links that are in the list of some kind of hook */
	gva table;		/* where the lists, or the static calls, begin … */
	uint64_t table_bytes;
	uint64_t hooks;
};

static struct finding *accuse(struct lsm *lsm, gva at, gva hook, const char *what,
			      const char *expected, const char *found)
{
	char symbol[160], place[160];
	struct finding *finding;

	finding = check_finding(lsm->run, SEVERITY_CRITICAL, "LSM hook", at, "%s",
				owner_symbol(lsm->owners, hook, symbol, sizeof(symbol)));
	finding_evidence(finding, what, at, owner_symbol(lsm->owners, at, place, sizeof(place)),
			 expected, found);
	return finding;
}

/* --- lists, until 6.11 --- */

static int note_link(gva link, void *ctx, struct err *err)
{
	struct lsm *lsm = ctx;

	return map_put(&lsm->linked, link.v, 0) < 0 ? err_set(err, -ENOMEM, "no memory") : 0;
}

static int read_lists(struct lsm *lsm, struct err *err)
{
	int r = 0;

	for (uint64_t i = 0; i < HEADS_MAX && (i + 1) * 8 <= lsm->table_bytes && r >= 0; i++)
		r = partial_add(&lsm->partial,
				hlist_walk(lsm->view, gva_add(lsm->table, i * 8), SLOTS_MAX,
					   note_link, lsm, err), err);
	return r;
}

static void judge_link(struct lsm *lsm, gva at, gva hook)
{
	if (!map_get(&lsm->linked, field_at(at, &lsm->f->list).v, NULL))
		accuse(lsm, at, hook, "hook that was taken over", "in the list of its kind",
		       "in no list");
}

/* --- static calls --- */

static void judge_slot(struct lsm *lsm, struct peek *peek, gva slot, gva hook)
{
	const struct lsm_fields *f = lsm->f;
	gva active = peek_object(peek, slot, &f->call_active);
	gva key = peek_object(peek, slot, &f->call_key), func;
	struct finding *finding;

	if (peek->first < 0)
		return;
	if (active.v && (int32_t)peek_u32(peek, active, &f->enabled) <= 0 && !peek->first)
		accuse(lsm, active, hook, "key that switches the hook on", "on", "off");
	func = key.v ? peek_ptr(peek, key, &f->key_func) : hook;
	if (func.v == hook.v || peek->first < 0)
		return;
	finding = accuse(lsm, key, hook, "static call of the hook", "the hook", "another");
	code_evidence(lsm->run, lsm->owners, finding, "static call", key, "the hook", func);
}

static void judge_call(struct lsm *lsm, struct peek *peek, gva at, gva hook)
{
	const struct lsm_fields *f = lsm->f;
	gva calls = peek_object(peek, at, &f->calls);
	uint32_t slots = f->slots.there && f->call_size.size_bytes ?
				 f->slots.size_bytes / f->call_size.size_bytes : 0;

	for (uint32_t i = 0; i < slots && i < SLOTS_MAX && calls.v && !peek->first; i++) {
		gva slot = gva_add(calls, (uint64_t)i * f->call_size.size_bytes);

		if (peek_ptr(peek, slot, &f->call_hook).v == at.v) {
			judge_slot(lsm, peek, slot, hook);
			return;
		}
	}
	if (!peek->first)
		accuse(lsm, at, hook, "hook that was taken over", "called by its kind",
		       "called by none");
}

/* --- each module's array --- */

static bool is_in_table(const struct lsm *lsm, gva at)
{
	return at.v >= lsm->table.v && at.v - lsm->table.v < lsm->table_bytes;
}

/* 1: that was a hook; 0: it is not, so the array is over. */
static int look_at_hook(struct lsm *lsm, gva at, struct err *err)
{
	const struct lsm_fields *f = lsm->f;
	struct peek peek = peek_at(lsm->view, err);
	const struct field *kind = f->calls.there ? &f->calls : &f->head;
	gva hook = peek_ptr(&peek, at, &f->hook);

	if (!peek.first && !is_in_table(lsm, peek_ptr(&peek, at, kind)))
		return 0;
	if (!peek.first && peek_ptr(&peek, at, &f->mark).v) {
		lsm->hooks++;
		if (f->calls.there)
			judge_call(lsm, &peek, at, hook);
		else
			judge_link(lsm, at, hook);
	}
	return peek.first < 0 ? peek.first : 1;
}

static int look_at_array(struct lsm *lsm, const char *name, struct err *err)
{
	gva at = symbols_lookup(lsm->kernel->symbols, name);
	struct symbol symbol;
	uint64_t size;
	int r = 1;

	if (!at.v || symbols_at(lsm->kernel->symbols, at, &symbol, &size) < 0)
		return 0;
	/* What comes behind the array may have no name, but is no hook. */
	for (uint64_t i = 0; r > 0 && i < HOOKS_MAX && (i + 1) * lsm->f->size.size_bytes <= size;
	     i++)
		r = look_at_hook(lsm, gva_add(at, i * lsm->f->size.size_bytes), err);
	return r < 0 ? wrap(err, r, "%s", name) : 0;
}

static bool is_off(struct lsm *lsm, const char *name)
{
	gva state = symbols_lookup(lsm->kernel->symbols, "selinux_state");
	uint64_t disabled = 0;

	return name == arrays[4] && state.v && lsm->f->disabled.there &&
	       field_read(lsm->view, state, &lsm->f->disabled, &disabled, NULL) >= 0 && disabled;
}

static int open_table(struct lsm *lsm, struct err *err)
{
	const char *name = lsm->f->calls.there ? "static_calls_table" : "security_hook_heads";
	struct symbol symbol;
	int r;

	r = kernel_symbol(lsm->kernel, name, &lsm->table, err);
	if (r >= 0)
		r = symbols_at(lsm->kernel->symbols, lsm->table, &symbol, &lsm->table_bytes);
	if (r >= 0 && !lsm->f->calls.there && (!lsm->f->list.there || !lsm->f->head.there))
		r = err_set(err, -ENOENT, "no lists of hooks");
	return r < 0 ? r : check_owners(lsm->run, &lsm->owners, err);
}

static int lsm_hooks_run(struct check_run *run, struct err *err)
{
	struct lsm lsm = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	lsm.partial = partial_of(lsm.view);
	r = types_layout(lsm.kernel->types, &lsm_layout, (const void **)&lsm.f, err);
	if (r == -ENOENT) {
		check_note(run, "this kernel has no security modules");
		return 0;
	}
	if (r >= 0)
		r = open_table(&lsm, err);
	if (r >= 0 && !lsm.f->calls.there)
		r = read_lists(&lsm, err);
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]) && r >= 0; i++)
		if (!is_off(&lsm, arrays[i]))
			r = partial_add(&lsm.partial, look_at_array(&lsm, arrays[i], err), err);
	check_covered(run, "hooks", lsm.hooks);
	map_free(&lsm.linked);
	owners_close(&lsm.owners);
	return partial_end(&lsm.partial, r, err);
}

CHECK(lsm_hooks,
	.id = "lsm-hooks",
	.group = GROUP_PRIVILEGE,
	.title = "A security module is not asked any more",
	.proves = "Every hook that the kernel took over from a security module (AppArmor, SELinux, "
		  "lockdown, Yama, …) is in the list of its kind, or is called and switched on.",
	.techniques = TECHNIQUES("T1014", "T1562.001"),
	.fuel_max = 10000,
	.run = lsm_hooks_run);
