// SPDX-License-Identifier: GPL-2.0
/*
 * Change a few bytes of code or of constants, in each of the ways that rootkits know; unloading
 * puts back what was there. What is changed is chosen so that nobody runs it, or so that it
 * goes on doing what it did.
 */
#include <linux/ftrace.h>
#include <linux/jump_label.h>
#include <linux/static_call_types.h>
#include <linux/version.h>
#include "lab.h"

static char *mode = "";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "what to change: see modes[]");

static char *symbol = "kernel_restart";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "in which function or variable, where the mode asks for one");

static unsigned long offset;
module_param(offset, ulong, 0444);
MODULE_PARM_DESC(offset, "from that symbol on, where the mode asks for it");

static unsigned long address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "read: the first byte that was changed");

LAB_STUB();

struct edit {
	u8 *at;
	size_t len;
	u8 new[8], old[8];
};

static struct edit edit;
static const char *(*name_of)(unsigned long, unsigned long *, unsigned long *, char **, char *);
static u8 *text, *text_end;

static int set_branch(u8 *at, u8 opcode, unsigned long to)
{
	s32 rel = (s32)(to - ((unsigned long)at + 5));

	edit.at = at;
	edit.len = 5;
	edit.new[0] = opcode;
	memcpy(edit.new + 1, &rel, sizeof(rel));
	return 0;
}

static int set_bytes(void *at, const void *bytes, size_t len)
{
	edit.at = at;
	edit.len = len;
	memcpy(edit.new, bytes, len);
	return 0;
}

static int set_pointer(unsigned long *at)
{
	unsigned long stub = (unsigned long)lab_stub;

	lab_target = *at;
	return set_bytes(at, &stub, sizeof(stub));
}

/* Does the symbol that @at lies in begin like this? */
static bool is_named(unsigned long at, const char *prefix)
{
	char name[KSYM_NAME_LEN];
	unsigned long size, in;
	char *module;
	const char *found = name_of(at, &size, &in, &module, name);

	return found && !strncmp(found, prefix, strlen(prefix));
}

static bool is_function(unsigned long at)
{
	char name[KSYM_NAME_LEN];
	unsigned long size, in;
	char *module;

	return at >= (unsigned long)text && at < (unsigned long)text_end &&
	       name_of(at, &size, &in, &module, name) && !in;
}

/* 5.10 chooses by the processor's maker. */
static bool is_nop(const u8 *at)
{
	return !memcmp(at, "\x0f\x1f\x44\x00\x00", 5) || !memcmp(at, "\x66\x66\x66\x66\x90", 5);
}

/* Where the function calls __fentry__, or would if it were traced: behind endbr64. */
static u8 *ftrace_site(u8 *code)
{
	for (int at = 0; code && at <= 4; at += 4)
		if (is_nop(code + at))
			return code + at;
	return NULL;
}

static unsigned long size_of(u8 *code)
{
	char name[KSYM_NAME_LEN];
	unsigned long size, in;
	char *module;

	return name_of((unsigned long)code, &size, &in, &module, name) ? size : 0;
}

static int ftrace_call_mode(void)
{
	u8 *site = ftrace_site(lab_symbol(symbol));

	return site ? set_branch(site, 0xe8, (unsigned long)lab_stub) : -ENOENT;
}

static int ftrace_jump_mode(void)
{
	u8 *site = ftrace_site(lab_symbol(symbol));

	return site ? set_branch(site, 0xe9, (unsigned long)lab_stub) : -ENOENT;
}

struct ftrace_regs;	/* up to 5.10 there is none */

static void notrace no_tracer(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op,
			      struct ftrace_regs *regs)
{
}

static struct ftrace_ops tracer;
static void (*free_filter)(struct ftrace_ops *user);

/* Somebody traces a function, and the call is taken out behind ftrace's back. */
static int ftrace_nop_mode(void)
{
	u8 *site = ftrace_site(lab_symbol(symbol));
	u8 nop[5];
	int r;

	if (!site)
		return -ENOENT;
	free_filter = lab_symbol("ftrace_free_filter");
	if (!free_filter)
		return -ENOENT;
	memcpy(nop, site, sizeof(nop));
	tracer.func = (void *)no_tracer;
	r = ftrace_set_filter_ip(&tracer, (unsigned long)site, 0, 0);
	if (r >= 0)
		r = register_ftrace_function(&tracer);
	return r < 0 ? r : set_bytes(site, nop, sizeof(nop));
}

/* ftrace's own trampoline calls its tracers from one place. */
static int ftrace_caller_mode(void)
{
	u8 *site = lab_symbol("ftrace_call");

	return site ? set_branch(site, 0xe8, (unsigned long)lab_stub) : -ENOENT;
}

static int prologue_mode(void)
{
	u8 *site = ftrace_site(lab_symbol(symbol));

	return site ? set_branch(site + 5, 0xe9, (unsigned long)lab_stub) : -ENOENT;
}

static int int3_mode(void)
{
	u8 *site = ftrace_site(lab_symbol(symbol));

	return site ? set_bytes(site + 5, "\xcc", 1) : -ENOENT;
}

static int byte_mode(void)
{
	u8 *at = lab_symbol(symbol), changed;

	if (!at)
		return -ENOENT;
	changed = at[offset] ^ 1;
	return set_bytes(at + offset, &changed, 1);
}

/* The first call of a function by the one that was asked for, which surely is one. */
static u8 *first_call(void)
{
	u8 *code = lab_symbol(symbol);
	unsigned long size = code ? size_of(code) : 0;

	for (u8 *at = code; at && at + 10 < code + size; at++)
		if (*at == 0xe8 && is_function(lab_branch_target(at + 1)) &&
		    !is_named(lab_branch_target(at + 1), "__x86_"))
			return at;
	return NULL;
}

/* It leads to another function of the kernel, so that no range of addresses tells. */
static int call_mode(void)
{
	u8 *at = first_call(), *to = lab_symbol("kernel_halt");

	return at && to ? set_branch(at, 0xe8, (unsigned long)to) : -ENOENT;
}

/* Behind it an instruction begins. */
static int middle_mode(void)
{
	u8 *at = first_call();

	return at ? set_branch(at + 5, 0xe9, (unsigned long)lab_stub) : -ENOENT;
}

/* A return goes on elsewhere: "ret; int3…" and "jmp thunk" are both five bytes. */
static int return_mode(void)
{
	u8 *code = lab_symbol(symbol);
	unsigned long size = code ? size_of(code) : 0;

	for (u8 *at = code; at && at + 5 <= code + size; at++)
		if (!memcmp(at, "\xc3\xcc\xcc\xcc\xcc", 5) ||
		    (*at == 0xe9 && is_named(lab_branch_target(at + 1), "__x86_return_thunk")))
			return set_branch(at, 0xe9, (unsigned long)lab_stub);
	return -ENOENT;
}

/* The first operation that somebody calls from kernel text: which, and from where. */
static unsigned long *pv_operation(u8 **site)
{
	unsigned long *ops = lab_symbol("pv_ops");
	unsigned long n = ops ? size_of((u8 *)ops) / sizeof(*ops) : 0;

	for (u8 *at = text; at + 5 < text_end; at++) {
		unsigned long to = *at == 0xe8 ? lab_branch_target(at + 1) : 0;

		for (unsigned long i = 0; to && i < n; i++) {
			if (ops[i] != to || !is_function(to))
				continue;
			*site = at;
			return &ops[i];
		}
	}
	pr_err("patch_code: no call of an operation of pv_ops\n");
	return NULL;
}

static int pv_ops_mode(void)
{
	u8 *site;
	unsigned long *op = pv_operation(&site);

	return op ? set_pointer(op) : -ENOENT;
}

static int pv_call_mode(void)
{
	u8 *site;
	unsigned long *op = pv_operation(&site);

	if (!op)
		return -ENOENT;
	lab_target = *op;
	return set_branch(site, 0xe8, (unsigned long)lab_stub);
}

/* The site of a tracepoint that nobody uses: the code around it does not run. */
static struct static_call_site *tracepoint_call(u8 **site, u8 **key)
{
	struct static_call_site *at = lab_symbol("__start_static_call_sites");
	struct static_call_site *end = lab_symbol("__stop_static_call_sites");

	for (; at && at < end; at++) {
		*site = (u8 *)&at->addr + at->addr;
		*key = (u8 *)(((unsigned long)&at->key + at->key) & ~3UL);
		if (*site >= text && *site < text_end && !(at->key & 1) &&
		    is_named((unsigned long)*key, "__SCK__tp_func_"))
			return at;
	}
	pr_err("patch_code: no static call of a tracepoint\n");
	return NULL;
}

static int static_call_mode(void)
{
	u8 *site, *key;

	return tracepoint_call(&site, &key) ? set_branch(site, 0xe8, (unsigned long)lab_stub) : -ENOENT;
}

static int static_key_mode(void)
{
	u8 *site, *key;

	return tracepoint_call(&site, &key) ? set_pointer((unsigned long *)key) : -ENOENT;
}

static int static_trampoline_mode(void)
{
	u8 *code = lab_symbol(symbol);

	return code ? set_branch(code, 0xe9, (unsigned long)lab_stub) : -ENOENT;
}

/* A branch that its key says is not taken; behind it a tracepoint that has no users. */
static int jump_label_mode(void)
{
	struct jump_entry *at = lab_symbol("__start___jump_table");
	struct jump_entry *end = lab_symbol("__stop___jump_table");

	for (; at && at < end; at++) {
		u8 *code = (u8 *)jump_entry_code(at);

		if (code >= text && code < text_end && is_nop(code) &&
		    is_named((unsigned long)jump_entry_key(at), "__tracepoint_"))
			return set_branch(code, 0xe9, jump_entry_target(at));
	}
	return -ENOENT;
}

/* No lfence, as if the processor had none: what one does against Spectre is gone there. */
static int alternative_mode(void)
{
	u8 *code = lab_symbol(symbol);

	for (u8 *at = code; at && at < code + 64; at++)
		if (!memcmp(at, "\x0f\xae\xe8", 3))
			return set_bytes(at, "\x0f\x1f\x00", 3);
	return -ENOENT;
}

/* The first function pointer in a constant structure. */
static int pointer_mode(void)
{
	unsigned long *at = lab_symbol(symbol);

	for (unsigned long n = at ? size_of((u8 *)at) / sizeof(*at) : 0; n; n--, at++)
		if (is_function(*at))
			return set_pointer(at);
	return -ENOENT;
}

/* Behind the code of the module that has the symbol, in the last page of it. */
static int slack_mode(void)
{
	static const u8 nothing[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3 };
	struct module *(*module_of)(unsigned long) = lab_symbol("__module_text_address");
	unsigned long at = lab_lookup(symbol);
	struct module *module = module_of && at ? module_of(at) : NULL;
	u8 *end;

	if (!module)
		return -ENOENT;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	end = (u8 *)module->mem[MOD_TEXT].base + module->mem[MOD_TEXT].size;
#else
	end = (u8 *)module->core_layout.base + module->core_layout.text_size;
#endif
	end = (u8 *)PAGE_ALIGN((unsigned long)end);
	return set_bytes(end - 16, nothing, sizeof(nothing));
}

static const struct {
	const char *name;
	int (*prepare)(void);
} modes[] = {
	{ "prologue", prologue_mode },			/* jmp at a function's first instruction */
	{ "middle", middle_mode },			/* … in the middle of it */
	{ "int3", int3_mode },				/* a breakpoint that no kprobe set */
	{ "call", call_mode },				/* a call of another function of the kernel */
	{ "return", return_mode },			/* a return that goes elsewhere */
	{ "ftrace_call", ftrace_call_mode },		/* at the ftrace site: call of own code */
	{ "ftrace_jump", ftrace_jump_mode },		/* … jmp to own code */
	{ "ftrace_nop", ftrace_nop_mode },		/* … nothing, where somebody traces */
	{ "ftrace_caller", ftrace_caller_mode },	/* in ftrace's own trampoline */
	{ "pv_ops", pv_ops_mode },			/* the pointer of a paravirt operation */
	{ "pv_call", pv_call_mode },			/* a patched call of one */
	{ "static_call", static_call_mode },		/* the call itself */
	{ "static_key", static_key_mode },		/* the key's function, not the calls */
	{ "static_trampoline", static_trampoline_mode },	/* symbol: __SCT__… */
	{ "jump_label", jump_label_mode },		/* against its key */
	{ "alternative", alternative_mode },		/* the other one, at one place */
	{ "pointer", pointer_mode },			/* symbol: of constant data */
	{ "byte", byte_mode },				/* symbol, offset: one bit */
	{ "slack", slack_mode },			/* symbol: of the module that gets code */
};

static int __init patch_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	text = lab_symbol("_stext");
	text_end = lab_symbol("_etext");
	name_of = lab_symbol("kallsyms_lookup");
	if (!text || !text_end || !name_of)
		return -ENOENT;
	r = -EINVAL;
	for (int i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(modes[i].name, mode))
			r = modes[i].prepare();
	if (r) {
		pr_err("patch_code: mode '%s' cannot be done here: %d\n", mode, r);
		return r;
	}
	memcpy(edit.old, edit.at, edit.len);
	address = (unsigned long)edit.at;
	pr_info("patch_code: %s at %pS: %*ph becomes %*ph\n", mode, edit.at, (int)edit.len, edit.old,
		(int)edit.len, edit.new);
	return lab_poke(edit.at, edit.new, edit.len);
}

static void __exit patch_exit(void)
{
	if (lab_poke(edit.at, edit.old, edit.len))
		pr_err("patch_code: the bytes stay changed\n");
	if (tracer.func) {
		unregister_ftrace_function(&tracer);
		free_filter(&tracer);
	}
	lab_drain();
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: code and constants patched");
