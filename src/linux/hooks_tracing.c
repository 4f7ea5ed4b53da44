/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "linux/hook.h"
#include "linux/tracing.h"

/* Whom the kernel's tracers call: tracing.h, as a source of hooks. */

struct source {
	struct hook_walk *walk;
	const char *type;
};

static void name_of(const struct hook_walk *walk, const struct callback *callback, char *buf,
		    size_t size)
{
	uint64_t n = 0;
	gva at = callback->at;
	bool all = false;

	if (!at.v && !strcmp(callback->kind, "ftrace"))
		all = ftrace_ops_first(walk->kernel, walk->view, callback->object, &at, &n,
				       NULL) >= 0 && !n;
	if (*callback->name)
		snprintf(buf, size, "%s", callback->name);
	else if (all)
		snprintf(buf, size, "all functions");
	else if (!at.v)
		snprintf(buf, size, "%#" PRIx64, callback->object.v);
	else if (walk->owners)
		owner_symbol(walk->owners, at, buf, size);
	else
		symbols_print(walk->kernel->symbols, at, buf, size);
	if (n > 1)
		snprintf(buf + strlen(buf), size - strlen(buf), " and %" PRIu64 " more", n - 1);
}

static int visit(const struct callback *callback, void *ctx, struct err *err)
{
	struct source *source = ctx;
	struct hook_object object = {
		.mechanism = callback->kind,
		.at = callback->object,
		/* What a tracepoint has without anybody's asking is the kernel's own. */
		.registered = strcmp(callback->kind, "tracepoint") != 0 ||
			      !strcmp(callback->what, "probe"),
	};
	char text[192];

	name_of(source->walk, callback, text, sizeof(text));
	object.text = text;
	return hook_pointer(source->walk, &object, source->type, callback->what, callback->slot,
			    callback->target, err);
}

static int walk_kprobes(struct hook_walk *walk, struct err *err)
{
	struct source source = { .walk = walk, .type = "kprobe" };
	uint64_t seen;
	int r = kprobe_callbacks(walk->kernel, walk->view, visit, &source, &seen, err);

	walk->objects += seen;
	return r;
}

static int walk_uprobes(struct hook_walk *walk, struct err *err)
{
	struct source source = { .walk = walk, .type = "uprobe_consumer" };
	uint64_t seen;
	int r = uprobe_callbacks(walk->kernel, walk->view, visit, &source, &seen, err);

	walk->objects += seen;
	return r;
}

static int walk_ftrace(struct hook_walk *walk, struct err *err)
{
	struct source source = { .walk = walk, .type = "ftrace_ops" };
	uint64_t seen;
	int r = ftrace_callbacks(walk->kernel, walk->view, visit, &source, &seen, err);

	walk->objects += seen;
	return r;
}

static int walk_tracepoints(struct hook_walk *walk, struct err *err)
{
	const struct modules *modules = walk->owners ? owners_modules(walk->owners) : NULL;
	struct source source = { .walk = walk, .type = "tracepoint" };
	uint64_t seen;
	int r = tracepoint_callbacks(walk->kernel, walk->view, modules, visit, &source, &seen, err);

	walk->objects += seen;
	return r;
}

const struct hook_source hooks_kprobes = { .id = "kprobes", .walk = walk_kprobes };
const struct hook_source hooks_uprobes = { .id = "uprobes", .walk = walk_uprobes };
const struct hook_source hooks_ftrace = { .id = "ftrace", .walk = walk_ftrace };
const struct hook_source hooks_tracepoints = { .id = "tracepoints", .walk = walk_tracepoints };
