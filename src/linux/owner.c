/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "linux/owner_table.h"
#include "linux/vmap.h"

const char *owner_kind_name(enum owner_kind kind)
{
	static const char *const names[] = {
		[OWNER_NONE] = "no one",	    [OWNER_KERNEL] = "kernel",
		[OWNER_KERNEL_INIT] = "kernel init", [OWNER_MODULE] = "module",
		[OWNER_MODULE_INIT] = "module init", [OWNER_BPF] = "BPF",
		[OWNER_BPF_PACK] = "BPF pack",	    [OWNER_FTRACE] = "ftrace",
		[OWNER_KPROBE] = "kprobes",	    [OWNER_REAL_MODE] = "real mode",
		[OWNER_HYPERCALL] = "hypercalls",   [OWNER_KEXEC] = "kexec",
		[OWNER_THUNKS] = "thunks",	    [OWNER_UNUSED] = "unused",
	};

	return names[kind];
}

int pieces_add(struct pieces *pieces, enum owner_kind kind, gva start, uint64_t size_bytes,
	       gva object)
{
	struct piece *piece;
	uint64_t end;

	if (!size_bytes || !gva_is_kernel(start) ||
	    __builtin_add_overflow(start.v, size_bytes, &end))
		return 0;
	piece = vec_add(&pieces->list);
	if (!piece)
		return -ENOMEM;
	*piece = (struct piece){ start, size_bytes, kind, object };
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->start.v != y->start.v)
		return x->start.v < y->start.v ? -1 : 1;
	return (x->size_bytes < y->size_bytes) - (x->size_bytes > y->size_bytes);
}

void pieces_sort(struct pieces *pieces)
{
	struct piece *v = pieces->list.v;
	size_t n = 0;
	uint64_t end = 0;

	if (!pieces->list.n)
		return;
	qsort(v, pieces->list.n, sizeof(*v), by_start);
	for (size_t i = 0; i < pieces->list.n; i++) {
		struct piece piece = v[i];

		if (piece.start.v < end) {
			uint64_t lost = end - piece.start.v;

			if (lost >= piece.size_bytes)
				continue;
			piece.start.v += lost;
			piece.size_bytes -= lost;
		}
		end = piece.start.v + piece.size_bytes;
		v[n++] = piece;
	}
	pieces->list.n = n;
}

const struct piece *pieces_from(const struct pieces *pieces, gva at)
{
	size_t low = 0, high = pieces->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct piece *piece = &pieces->list.v[mid];

		if (piece->start.v + (piece->size_bytes - 1) < at.v)
			low = mid + 1;
		else
			high = mid;
	}
	return low < pieces->list.n ? &pieces->list.v[low] : NULL;
}

static const struct piece *piece_at(const struct pieces *pieces, gva at)
{
	const struct piece *piece = pieces_from(pieces, at);

	return piece && piece->start.v <= at.v ? piece : NULL;
}

static int add_modules(struct owners *owners)
{
	for (size_t i = 0; i < owners->modules.list.n; i++) {
		const struct module_info *module = &owners->modules.list.v[i];
		const struct module_area *text = &module->area[MODULE_TEXT];
		const struct module_area *init = &module->area[MODULE_INIT_TEXT];
		int r;

		if (!(module->found_by & MODULE_BY_LIST))
			continue;
		r = pieces_add(&owners->code, OWNER_MODULE, text->at, text->size_bytes,
			       module->at);
		if (r >= 0)
			r = pieces_add(&owners->code, OWNER_MODULE_INIT, init->at,
				       init->size_bytes, module->at);
		if (r < 0)
			return r;
	}
	return 0;
}

static void remember(struct owners *owners, int r, const struct err *err)
{
	if (r >= 0 || owners->error)
		return;
	owners->error = r;
	owners->why = *err;
}

int owners_open(const struct kernel *kernel, struct view *view, struct owners **ret,
		struct err *err)
{
	cleanup(owners_close) struct owners *owners = calloc(1, sizeof(*owners));
	struct err why = { 0 };
	int r;

	if (!owners)
		return -ENOMEM;
	owners->kernel = kernel;
	owners->view = view;
	r = kernel_symbol(kernel, "_etext", &owners->etext, err);
	if (r < 0)
		return r;
	if (owners->etext.v <= kernel->text.v || owners->etext.v > kernel->end.v)
		return fail(err, -EBADMSG, owners->etext, "the kernel's text ends outside of it");
	r = modules_read(kernel, view, MODULE_BY_ALL, &owners->modules, &why);
	if (r == -ENOMEM || r == -ESRCH || (r == -ELOOP && !view_fuel(view))) {
		if (err)
			*err = why;
		return r;
	}
	owners->modules_error = r;
	remember(owners, r, &why);
	owners->symbols = calloc(owners->modules.list.n + 1, sizeof(struct module_symbols *));
	owners->symbols_tried = calloc(owners->modules.list.n + 1, sizeof(bool));
	if (!owners->symbols || !owners->symbols_tried)
		return -ENOMEM;

	r = pieces_add(&owners->code, OWNER_KERNEL, kernel->text,
		       owners->etext.v - kernel->text.v, gva_of(0));
	if (r >= 0)
		r = add_modules(owners);
	if (r < 0)
		return r;
	pieces_sort(&owners->code);
	*ret = take_ptr(&owners);
	return 0;
}

struct owners *owners_share(struct owners *owners)
{
	owners->users++;
	return owners;
}

void owners_close(struct owners **owners)
{
	if (!*owners)
		return;
	if ((*owners)->users) {
		(*owners)->users--;
		*owners = NULL;
		return;
	}
	for (size_t i = 0; (*owners)->symbols && i < (*owners)->modules.list.n; i++)
		module_symbols_free(&(*owners)->symbols[i]);
	free((*owners)->symbols);
	free((*owners)->symbols_tried);
	modules_free(&(*owners)->modules);
	map_free(&(*owners)->functions);
	vec_free(&(*owners)->code.list);
	vec_free(&(*owners)->packs.list);
	free(*owners);
	*owners = NULL;
}

const struct modules *owners_modules(const struct owners *owners)
{
	return &owners->modules;
}

int owners_modules_error(const struct owners *owners)
{
	return owners->modules_error;
}

bool owners_is_kernel_text(const struct owners *owners, gva at)
{
	return at.v >= owners->kernel->text.v && at.v < owners->etext.v;
}

void owners_complete(struct owners *owners)
{
	struct err why = { 0 };

	if (owners->complete)
		return;
	owners->complete = true;
	remember(owners, owners_collect(owners, &why), &why);
	pieces_sort(&owners->code);
	pieces_sort(&owners->packs);
}

/* --- names --- */

static const char *module_name(const struct owners *owners, gva at)
{
	const struct module_info *module = modules_find(&owners->modules, at);

	return module && module->name[0] ? module->name : "(without a name)";
}

/* A pointer to a function, kept in an object of the guest, by its name. */
static void describe_ftrace(const struct owners *owners, gva ops, char *buf, size_t size)
{
	const struct symbols *symbols = owners->kernel->symbols;
	struct symbol symbol;
	uint64_t bytes;

	if (symbols_at(symbols, ops, &symbol, &bytes) >= 0 && ops.v < owners->kernel->end.v &&
	    symbol.at.v == ops.v)
		snprintf(buf, size, "ftrace trampoline of %s", symbol.name);
	else
		snprintf(buf, size, "ftrace trampoline of the ftrace_ops at %#" PRIx64, ops.v);
}

static int bpf_name(const struct owners *owners, gva ksym, char *buf, size_t size)
{
	struct field name;

	if (types_field(owners->kernel->types, "bpf_ksym.name", &name, NULL) < 0)
		return -ENOENT;
	return view_string(owners->view, field_at(ksym, &name), buf, size, NULL);
}

void owner_describe(struct owners *owners, const struct piece *piece, struct owner *ret)
{
	char name[128];

	ret->kind = piece->kind;
	ret->start = piece->start;
	ret->size_bytes = piece->size_bytes;
	ret->object = piece->object;
	switch (piece->kind) {
	case OWNER_MODULE:
	case OWNER_MODULE_INIT:
		snprintf(ret->text, sizeof(ret->text), "module %s",
			 module_name(owners, piece->object));
		break;
	case OWNER_BPF:
		if (piece->object.v && bpf_name(owners, piece->object, name, sizeof(name)) > 0)
			snprintf(ret->text, sizeof(ret->text), "BPF program %s", name);
		else
			snprintf(ret->text, sizeof(ret->text), "BPF program without a name");
		break;
	case OWNER_FTRACE:
		describe_ftrace(owners, piece->object, ret->text, sizeof(ret->text));
		break;
	default:
		snprintf(ret->text, sizeof(ret->text), "%s", owner_kind_name(piece->kind));
	}
}

/* Who asked for memory: a function of the kernel, a module, or what was there once. */
static const char *caller_name(const struct owners *owners, gva at, char *buf, size_t size)
{
	const struct piece *piece = piece_at(&owners->code, at);

	if (owners_is_kernel_text(owners, at))
		symbols_print(owners->kernel->symbols, at, buf, size);
	else if (piece && piece->object.v)
		snprintf(buf, size, "module %s", module_name(owners, piece->object));
	else
		snprintf(buf, size, "code at %#" PRIx64, at.v);
	return buf;
}

/* What else can be said of code that no one owns, or of an address that is no code. */
static void describe_none(struct owners *owners, gva at, struct owner *ret)
{
	const struct kernel *kernel = owners->kernel;
	enum module_area_kind kind;
	struct vmap_area area;
	char caller[96];

	for (size_t i = 0; i < owners->modules.list.n; i++) {
		const struct module_info *module = &owners->modules.list.v[i];

		if (!module_has(module, at, &kind))
			continue;
		ret->object = module->at;
		snprintf(ret->text, sizeof(ret->text), "no one (%s of %smodule %s)",
			 module_area_name(kind),
			 module->found_by & MODULE_BY_LIST ? "" : "the hidden ",
			 module_name(owners, module->at));
		return;
	}
	if (at.v >= kernel->text.v && at.v < kernel->end.v) {
		snprintf(ret->text, sizeof(ret->text), "no one (data of the kernel)");
	} else if (vmap_at(kernel, owners->view, at, &area, NULL) >= 0) {
		if (area.caller.v)
			snprintf(ret->text, sizeof(ret->text), "no one (vmalloc area of %s)",
				 caller_name(owners, area.caller, caller, sizeof(caller)));
		else
			snprintf(ret->text, sizeof(ret->text), "no one (vmalloc area)");
	} else {
		snprintf(ret->text, sizeof(ret->text), "no one");
	}
}

static struct module_symbols *symbols_of(struct owners *owners, gva at)
{
	const struct module_info *module = modules_find(&owners->modules, at);
	size_t i;

	if (!module)
		return NULL;
	i = (size_t)(module - owners->modules.list.v);
	if (!owners->symbols_tried[i]) {
		owners->symbols_tried[i] = true;
		/* Without symbols there are no names, and no finding less. */
		if (module_symbols_read(owners->kernel, owners->view, module,
					&owners->symbols[i], NULL) < 0)
			owners->symbols[i] = NULL;
	}
	return owners->symbols[i];
}

static bool is_code(char type)
{
	return type == 't' || type == 'T' || type == 'w' || type == 'W';
}

static void put_symbol(struct owner *ret, const char *name, uint64_t offset, const char *module)
{
	char tail[24] = "";

	if (offset)
		snprintf(tail, sizeof(tail), "+%#" PRIx64, offset);
	if (module)
		snprintf(ret->symbol, sizeof(ret->symbol), "%s%s [%s]", name, tail, module);
	else
		snprintf(ret->symbol, sizeof(ret->symbol), "%s%s", name, tail);
	ret->offset = offset;
	ret->has_symbol = true;
}

/*
 * What compilers put in front of a function for its callers' sake (struct padding, CFI type)
 * has names of its own, and is no function.
 */
static bool is_prefix(const char *name)
{
	return !strncmp(name, "__pfx_", 6) || !strncmp(name, "__cfi_", 6);
}

static void name_kernel(struct owners *owners, gva at, struct owner *ret)
{
	struct symbol symbol;

	if (symbols_at(owners->kernel->symbols, at, &symbol, NULL) < 0)
		return;
	put_symbol(ret, symbol.name, at.v - symbol.at.v, NULL);
	ret->is_start = at.v == symbol.at.v && is_code(symbol.type) && !is_prefix(symbol.name);
}

static void name_module(struct owners *owners, gva at, struct owner *ret)
{
	struct module_symbols *symbols = symbols_of(owners, ret->object);
	struct module_symbol symbol;

	if (!symbols || module_symbols_at(symbols, at, &symbol) < 0)
		return;
	put_symbol(ret, symbol.name, at.v - symbol.at.v, module_name(owners, ret->object));
	ret->is_start = at.v == symbol.at.v && symbol.is_code && !is_prefix(symbol.name);
}

static void name_symbol(struct owners *owners, gva at, struct owner *ret)
{
	char name[128];

	snprintf(ret->symbol, sizeof(ret->symbol), "%#" PRIx64, at.v);
	if (at.v >= owners->kernel->text.v && at.v < owners->kernel->end.v)
		name_kernel(owners, at, ret);
	else if (ret->kind == OWNER_BPF && ret->object.v &&
		 bpf_name(owners, ret->object, name, sizeof(name)) > 0)
		put_symbol(ret, name, at.v - ret->start.v, "bpf");
	else if (ret->object.v)
		name_module(owners, at, ret);
}

int owner_of(struct owners *owners, gva at, struct owner *ret, struct err *err)
{
	const struct piece *piece = piece_at(&owners->code, at);

	memset(ret, 0, sizeof(*ret));
	if (!piece) {
		owners_complete(owners);
		piece = piece_at(&owners->code, at);
		if (!piece)
			piece = piece_at(&owners->packs, at);
	}
	if (piece)
		owner_describe(owners, piece, ret);
	else
		describe_none(owners, at, ret);
	name_symbol(owners, at, ret);
	if (piece || !owners->error)
		return 0;
	if (err)
		*err = owners->why;
	return owners->error;
}

/* As name_kernel() and name_module() have it, for whom no name is needed. */
static bool is_kernel_function(const struct owners *owners, gva at)
{
	struct symbol symbol;

	return symbols_at(owners->kernel->symbols, at, &symbol, NULL) >= 0 &&
	       at.v == symbol.at.v && is_code(symbol.type) && !is_prefix(symbol.name);
}

static bool is_module_function(struct owners *owners, gva module, gva at)
{
	struct module_symbols *symbols = symbols_of(owners, module);
	struct module_symbol symbol;

	return symbols && module_symbols_at(symbols, at, &symbol) >= 0 &&
	       at.v == symbol.at.v && symbol.is_code && !is_prefix(symbol.name);
}

bool owner_is_function(struct owners *owners, gva at)
{
	const struct piece *piece;
	bool is_start = false;
	int r = 0;

	if (map_get(&owners->functions, at.v, NULL))
		return true;
	piece = piece_at(&owners->code, at);
	if (!piece)
		return false;
	if (piece->kind == OWNER_KERNEL)
		is_start = is_kernel_function(owners, at);
	else if (piece->kind == OWNER_MODULE || piece->kind == OWNER_MODULE_INIT)
		is_start = is_module_function(owners, piece->object, at);
	if (is_start)
		r = map_put(&owners->functions, at.v, 1);
	(void)r;	/* without memory it is looked up again */
	return is_start;
}

const char *owner_symbol(struct owners *owners, gva at, char *buf, size_t size)
{
	struct owner owner;

	if (owner_of(owners, at, &owner, NULL) < 0 && !owner.has_symbol)
		snprintf(buf, size, "%#" PRIx64, at.v);
	else
		snprintf(buf, size, "%s", owner.symbol);
	return buf;
}
