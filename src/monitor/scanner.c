/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/scanner.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "check/sweep.h"
#include "keeper/keeper.h"
#include "monitor/behaviour.h"
#include "monitor/need.h"
#include "monitor/protocol.h"
#include "monitor/sandbox.h"
#include "monitor/sealed.h"
#include "monitor/sentinel.h"
#include "reference/profile.h"
#include "ram/handover.h"
#include "ram/window.h"
#include "report/encode.h"
#include "report/report.h"
#include "report/text.h"
#include "report/verdict.h"

/* A guest's files come at once, and what is asked for one after the other. */
#define FDS_MAX_AT_A_TIME (CHANNEL_FDS_MAX + AGENT_BUILDS_MAX + 16)

#define TRIM_SWEEPS 64u

/* An idle guest without a tick wakes up within four seconds (watchdog_thresh). */
#define STILL_NS 5000000000ull

/* Some ticks of a guest. */
#define SETTLE_US 20000u

struct scanner {
	struct channel channel;
	char *name, *uuid, *target, *hypervisor;
	struct identity identity;		/* of these */
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct check_sources sources;
	struct reference_source source;
	struct sealed vmlinux;			/* until it is released */
	int vmlinux_fd;				/* … of it; -1: none */
	struct sealed profile_data;		/* until it ends: the kernel is of it */
	struct profile profile;
	unsigned has;				/* SANDBOX_* */
	bool swept, recalled, quit;
	uint32_t sweeps;
	struct behaviour *behaviour;		/* NULL: it was never looked at */
	struct sentinel *sentinel;		/* … */
	bool still;				/* … as the last look for events saw it */
};

/* --- what it says --- */

static int say_failure(struct scanner *scanner, int code, const struct err *why, struct err *err)
{
	uint8_t room[512];
	struct writer w = writer_of(room, sizeof(room));

	write_u32(&w, (uint32_t)code);
	write_text(&w, why->code ? why->text : NULL);
	return channel_send_written(&scanner->channel, MSG_FAILED, &w, NULL, 0, -1, err);
}

/* A remark for a person: where it gets lost, nothing else does. */
static void say_remark(struct scanner *scanner, const char *what, const char *why)
{
	uint8_t room[1024];
	struct writer w = writer_of(room, sizeof(room));
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", what, why);
	write_text(&w, text);
	if (channel_send_written(&scanner->channel, MSG_SAID, &w, NULL, 0, -1, NULL) < 0)
		return;
}

static int say_ready(struct scanner *scanner, struct err *err)
{
	const struct kernel *kernel = scanner->kernel;
	json_t *json = report_kernel_json(kernel);
	cleanup(freep) char *text = json_dump_text(json, 0);
	uint8_t room[8192];
	struct writer w = writer_of(room, sizeof(room));

	json_decref(json);
	write_text(&w, kernel->release);
	write_text(&w, kernel->build_id);
	write_u64(&w, kernel->text.v);
	write_u64(&w, kernel->boot.canary);
	write_u64(&w, kernel->boot.first_task.v);
	write_u64(&w, kernel->boot.first_task_ns);
	write_u32(&w, scanner->has);
	write_text(&w, text);
	return channel_send_written(&scanner->channel, MSG_READY, &w, NULL, 0, -1, err);
}

/* --- OPEN --- */

static int copy_identity(struct scanner *scanner, struct bytes *b)
{
	const char *name = bytes_text(b), *uuid = bytes_text(b), *target = bytes_text(b),
		   *hypervisor = bytes_text(b);

	if (!bytes_at_end(b) || !target || !hypervisor || scanner->target)
		return -EPROTO;
	scanner->name = name ? strdup(name) : NULL;
	scanner->uuid = uuid ? strdup(uuid) : NULL;
	scanner->target = strdup(target);
	scanner->hypervisor = strdup(hypervisor);
	if ((name && !scanner->name) || (uuid && !scanner->uuid) || !scanner->target ||
	    !scanner->hypervisor)
		return -ENOMEM;
	scanner->identity = (struct identity){
		.name = scanner->name, .uuid = scanner->uuid, .target = scanner->target,
		.hypervisor = scanner->hypervisor,
	};
	return 0;
}

static int take_ram(struct scanner *scanner, struct message *message, struct err *err)
{
	const struct memory_elsewhere starter = need_memory(&scanner->channel);
	struct sealed text;
	int r = sealed_map(message->fds[0], HANDOVER_BYTES_MAX, &text, err);

	if (r < 0)
		return r;
	r = handover_take(text.data, text.size, message->fds + 1, message->fds_n - 1,
			  &starter, &scanner->ram, err);
	sealed_unmap(&text);
	if (r < 0)
		return r;
	for (size_t i = 1; i < message->fds_n; i++)
		message->fds[i] = -1;
	return 0;
}

int scanner_on_open(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct scanner *scanner = ctx;
	struct err why = {0};
	int r = copy_identity(scanner, &message->body);

	(void)channel;
	if (r == -EPROTO)
		return err_set(err, r, "no guest to open");
	if (r >= 0)
		r = take_ram(scanner, message, &why);
	if (r >= 0)
		r = view_open(scanner->ram, VIEW_FUEL_ATTACH, &scanner->view);
	if (r >= 0)
		r = kernel_open(scanner->view, &scanner->kernel, &why);
	return r < 0 ? say_failure(scanner, r, &why, err) : say_ready(scanner, err);
}

/* --- GRANT --- */

static void read_text(struct bytes *b, char *ret, size_t size)
{
	const char *text = bytes_text(b);

	snprintf(ret, size, "%s", text ? text : "");
}

static void release_vmlinux(void *ctx)
{
	struct scanner *scanner = ctx;

	sealed_unmap(&scanner->vmlinux);
	fd_close(&scanner->vmlinux_fd);
}

/* Private, but of what nobody writes to all who have it share one copy. */
static int map_vmlinux(void *ctx, uint64_t from, size_t n, void *at)
{
	const struct scanner *scanner = ctx;

	if (from > scanner->vmlinux.size || n > scanner->vmlinux.size - from)
		return -EINVAL;
	return mmap(at, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, scanner->vmlinux_fd,
		    (off_t)from) == MAP_FAILED ? -errno : 0;
}

static int module_elsewhere(void *ctx, const char *name, const char *build_id, struct blob *ret,
			    struct err *err)
{
	struct scanner *scanner = ctx;
	struct reference_elsewhere elsewhere = need_reference(&scanner->channel);

	return elsewhere.module(elsewhere.ctx, name, build_id, ret, err);
}

/* @fd becomes -1 where it is kept. */
static int take_reference(struct scanner *scanner, int *fd, bool modules, struct err *err)
{
	const struct reference_elsewhere elsewhere = {
		.module = module_elsewhere, .release = release_vmlinux, .map = map_vmlinux,
		.ctx = scanner,
	};
	struct blob vmlinux;
	int r = sealed_map(*fd, VMLINUX_MAX, &scanner->vmlinux, err);

	if (r < 0)
		return r;
	scanner->vmlinux_fd = take_fd(fd);
	/* Nobody writes to it: so says reference_vmlinux(). */
	vmlinux = (struct blob){ (uint8_t *)(uintptr_t)scanner->vmlinux.data,
				 scanner->vmlinux.size };
	return reference_ask(&scanner->source, &vmlinux, modules, &elsewhere,
			     &scanner->sources.reference, err);
}

/* Where it cannot be used, what it would have is worked out here. */
static int take_profile(struct scanner *scanner, int fd, struct err *err)
{
	struct profile *profile = &scanner->profile;
	int r;

	if (scanner->swept)	/* who knows what was looked up in the guest's own */
		return 0;
	r = sealed_map(fd, PROFILE_MAX, &scanner->profile_data, err);
	if (r >= 0)
		r = profile_read(scanner->profile_data.data, scanner->profile_data.size, profile,
				 err);
	/* What was made of the guest's memory may be made of its symbols, too. */
	if (r >= 0)
		view_refresh(scanner->view);
	if (r >= 0)
		r = profile_adopt(profile, scanner->kernel);
	if (r >= 0)
		reference_set_profile(scanner->sources.reference, profile);
	else if (r != -ENOMEM && r != -EPROTO)
		say_remark(scanner, "the profile is not used", err->text);
	return r == -ENOMEM || r == -EPROTO ? r : 0;
}

static int take_agents(struct scanner *scanner, struct bytes *b, uint32_t n, const int *fds,
		       struct err *err)
{
	cleanup(builds_free) struct builds builds = {0};
	int r = 0;

	for (uint32_t i = 0; i < n && r >= 0; i++) {
		const char *path = bytes_text(b);
		struct sealed file;
		struct blob blob;
		struct build *build = NULL, **slot;

		if (!path)
			return -EPROTO;
		r = sealed_map(fds[i], AGENT_FILE_MAX, &file, err);
		if (r < 0)
			return r;
		blob = (struct blob){ malloc(file.size + 1), file.size };
		if (blob.data && file.size)
			memcpy(blob.data, file.data, file.size);
		sealed_unmap(&file);
		r = blob.data ? build_read(&blob, path, &build, err) : -ENOMEM;
		slot = r >= 0 ? vec_add(&builds.all) : NULL;
		if (slot)
			*slot = build;
		else if (r >= 0) {
			build_free(&build);
			r = -ENOMEM;
		}
	}
	return r >= 0 && n ? keeper_open(&builds, &scanner->sources.keeper, err) : r;
}

/*
 * What earlier sweeps knew of the agent. Asked for within a sweep, as everything is: only then
 * is an answer what comes next.
 */
static void recall(struct scanner *scanner)
{
	const struct check_sources *sources = &scanner->sources;
	cleanup(blob_free) struct blob blob = {0};
	struct err err = {0};
	int r;

	if (!sources->baseline || !sources->keeper || scanner->recalled)
		return;
	scanner->recalled = true;
	r = baseline_noted(sources->baseline, BASELINE_AGENT_ITEM, &blob, &err);
	if (r >= 0)
		r = keeper_recall(sources->keeper, blob.data, blob.size, &err);
	if (r < 0 && r != -ENOENT)
		say_remark(scanner, "what was known of the agent is not used", err.text);
}

int scanner_on_grant(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct scanner *scanner = ctx;
	struct bytes *b = &message->body;
	uint32_t flags = bytes_u32(b), agents;
	bool reference = flags & GRANT_REFERENCE, profile = flags & GRANT_PROFILE;
	const struct baseline_elsewhere baseline = need_baseline(channel);
	const struct trust_elsewhere trust = need_trust(channel);
	struct err why = {0};
	int r = 0;

	read_text(b, scanner->source.source, sizeof(scanner->source.source));
	read_text(b, scanner->source.path, sizeof(scanner->source.path));
	read_text(b, scanner->source.package, sizeof(scanner->source.package));
	read_text(b, scanner->source.version, sizeof(scanner->source.version));
	read_text(b, scanner->source.sha256, sizeof(scanner->source.sha256));
	read_text(b, scanner->source.signature, sizeof(scanner->source.signature));
	agents = bytes_u32(b);
	if (!bytes_ok(b) || agents + reference + profile != message->fds_n ||
	    (profile && !reference) || scanner->sources.reference || scanner->sources.keeper ||
	    !scanner->kernel)
		return err_set(err, -EPROTO, "nothing to compare with");
	if (reference)
		r = take_reference(scanner, &message->fds[0], flags & GRANT_MODULES, &why);
	if (r >= 0 && profile)
		r = take_profile(scanner, message->fds[1], &why);
	if (r >= 0)
		r = take_agents(scanner, b, agents, message->fds + reference + profile, &why);
	if (r >= 0 && flags & GRANT_BASELINE)
		r = baseline_ask(&baseline, &scanner->sources.baseline, &why);
	if (r >= 0 && flags & GRANT_TRUST)
		r = trust_ask(&trust, &scanner->sources.trust, &why);
	if (r == -EPROTO)
		return r;
	if (r < 0)
		return say_failure(scanner, r, &why, err);
	return 0;
}

/* --- PREPARE --- */

static int make_profile(const struct message *message, struct err *err)
{
	cleanup(blob_free) struct blob profile = {0};
	struct sealed vmlinux;
	struct blob blob;
	int r = sealed_map(message->fds[0], VMLINUX_MAX, &vmlinux, err);

	if (r < 0)
		return r;
	blob = (struct blob){ (uint8_t *)(uintptr_t)vmlinux.data, vmlinux.size };
	r = profile_make(&blob, &profile, err);
	sealed_unmap(&vmlinux);
	return r < 0 ? r : sealed_make("hvsm-profile", profile.data, profile.size, err);
}

int scanner_on_prepare(struct channel *channel, struct message *message, void *ctx,
		       struct err *err)
{
	struct scanner *scanner = ctx;
	cleanup(fd_close) int fd = -1;
	struct err why = {0};

	if (scanner->ram)
		return err_set(err, -EPROTO, "there is a guest");
	fd = make_profile(message, &why);
	if (fd < 0)
		return say_failure(scanner, fd, &why, err);
	return channel_send(channel, MSG_PREPARED, NULL, 0, &fd, 1, -1, err);
}

/* --- SWEEP --- */

/* Checks that are wanted: by their ids, in the message. None: all. */
struct wanted {
	uint32_t n;
	struct bytes ids;
};

static bool is_wanted(const struct check *check, void *ctx)
{
	const struct wanted *wanted = ctx;
	struct bytes b = wanted->ids;

	for (uint32_t i = 0; i < wanted->n && bytes_ok(&b); i++) {
		const char *id = bytes_text(&b);

		if (id && !strcmp(id, check->id))
			return true;
	}
	return !wanted->n;
}

static void take_traps(struct bytes *b, struct trap *traps)
{
	uint32_t n = bytes_u32(b);

	for (uint32_t i = 0; i < n && i < TRAPS; i++) {
		struct trap *trap = &traps[bytes_u8(b)];

		trap->flags = bytes_u8(b);
		trap->cs = bytes_u16(b);
		trap->at = bytes_u64(b);
	}
}

static int take_registers(struct scanner *scanner, int fd, struct err *err)
{
	cleanup(freep) struct registers *cpus = NULL;
	struct sealed text;
	struct bytes b;
	uint32_t n;
	int r = sealed_map(fd, (size_t)CPUS_MAX * REGISTERS_BYTES_MAX, &text, err);

	if (r < 0)
		return r;
	b = bytes_of(text.data, text.size);
	n = bytes_u32(&b);
	cpus = n <= CPUS_MAX ? calloc((size_t)n + 1, sizeof(*cpus)) : NULL;
	for (uint32_t i = 0; cpus && i < n; i++) {
		struct registers *cpu = &cpus[i];

		cpu->have = bytes_u32(&b);
		cpu->cr0 = bytes_u64(&b);
		cpu->cr3 = bytes_u64(&b);
		cpu->cr4 = bytes_u64(&b);
		cpu->idt = bytes_u64(&b);
		cpu->gdt = bytes_u64(&b);
		cpu->tr = bytes_u64(&b);
		cpu->idt_limit = bytes_u32(&b);
		cpu->gdt_limit = bytes_u32(&b);
		cpu->rip = bytes_u64(&b);
		cpu->cs = bytes_u16(&b);
		cpu->efer = bytes_u64(&b);
		cpu->lstar = bytes_u64(&b);
		cpu->sysenter = bytes_u64(&b);
		cpu->event = bytes_u64(&b);
		cpu->failsafe = bytes_u64(&b);
		cpu->syscall = bytes_u64(&b);
		take_traps(&b, cpu->traps);
	}
	r = !cpus ? -ENOMEM : bytes_at_end(&b) ? 0 : -EPROTO;
	sealed_unmap(&text);
	return r < 0 ? r : ram_set_registers(scanner->ram, cpus, n, err);
}

/*
 * What the next ones need to know. It says which agent was followed and how far, so it is kept
 * of a guest that is compromised as well: only a log that grew is ever noted.
 */
static void remember(struct scanner *scanner)
{
	const struct check_sources *sources = &scanner->sources;
	cleanup(blob_free) struct blob blob = {0};
	struct err err = {0};
	int r;

	if (!sources->baseline || !sources->keeper)
		return;
	r = keeper_remember(sources->keeper, &blob, &err);
	if (r >= 0 && blob.size)
		r = baseline_note(sources->baseline, BASELINE_AGENT_ITEM, blob.data, blob.size,
				  &err);
	if (r < 0)
		say_remark(scanner, "what is known of the agent could not be recorded",
			   err.code ? err.text : strerror(-r));
}

static int write_report(const struct scanner *scanner, const struct sweep *swept, uint32_t flags,
			FILE *to, struct err *err)
{
	const struct check_sources *sources = &scanner->sources;
	const struct report report = {
		.guest = &scanner->identity, .kernel = scanner->kernel, .sweep = swept,
		.reference = sources->reference ? &scanner->source : NULL,
		.agent = sources->keeper ? keeper_agent(sources->keeper) : NULL,
	};

	if (flags & SWEEP_JSON)
		return encode_print(report_json(&report), to, err);
	text_report(&report, flags & SWEEP_COLOUR, to);
	return 0;
}

static int say_report(struct scanner *scanner, const struct sweep *swept, uint32_t outside,
		      uint32_t flags, struct err *why, struct err *err)
{
	cleanup(freep) char *text = NULL;
	cleanup(fd_close) int fd = -1;
	uint8_t room[16];
	struct writer w = writer_of(room, sizeof(room));
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	int r = to ? write_report(scanner, swept, flags, to, why) : -ENOMEM;

	if (to && fclose(to) != 0)
		r = -ENOMEM;
	if (r >= 0)
		r = fd = sealed_make("hvsm-report", text, n, why);
	if (r < 0)
		return say_failure(scanner, r, why, err);
	write_u32(&w, verdict_of(swept));
	write_u32(&w, swept->steady);
	write_u32(&w, outside);
	write_u32(&w, flags);
	return channel_send_written(&scanner->channel, MSG_REPORT, &w, &fd, 1, -1, err);
}

/*
 * What was read is of no use to the next sweep. What only the first run of a check needed is much,
 * and that is in one of the first sweeps; what one sweep of many needs is not kept for ever. To
 * look for that each time is too dear.
 */
static void rest(struct scanner *scanner)
{
	uint32_t n = ++scanner->sweeps;

	view_refresh(scanner->view);
	if (!(n & (n - 1)) || n % TRIM_SWEEPS == 0)
		malloc_trim(0);
}

int scanner_on_sweep(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct scanner *scanner = ctx;
	cleanup(sweep_free) struct sweep *swept = NULL;
	uint32_t flags = bytes_u32(&message->body), n = bytes_u32(&message->body);
	struct wanted wanted = { .n = n, .ids = message->body };
	const struct sweep_options options = {
		.wanted = is_wanted, .ctx = &wanted, .sources = scanner->sources,
	};
	struct err why = {0};
	uint64_t outside, in_room;
	int r = 0;

	(void)channel;
	if (!scanner->kernel)
		return err_set(err, -EPROTO, "there is no guest");
	outside = scanner->ram->outside;
	in_room = scanner->ram->in_room;
	if (message->fds_n)
		r = take_registers(scanner, message->fds[0], &why);
	else if (ram_is_live(scanner->ram))
		r = ram_set_registers(scanner->ram, NULL, 0, &why);	/* not those of before */
	if (scanner->swept) {
		view_set_kernel(scanner->view, scanner->kernel->space);
		view_refresh(scanner->view);
		view_refuel(scanner->view, VIEW_FUEL_SWEEP);
	}
	recall(scanner);
	if (r >= 0)
		r = sweep_run(scanner->kernel, scanner->view, &options, &swept, &why);
	if (r < 0)
		return say_failure(scanner, r, &why, err);
	scanner->swept = true;
	if (swept->steady)
		remember(scanner);
	outside = scanner->ram->outside != outside ? OUTSIDE_SOME : 0;
	if (scanner->ram->in_room != in_room)
		outside = OUTSIDE_IN_ROOM;
	r = say_report(scanner, swept, (uint32_t)outside, flags, &why, err);
	rest(scanner);
	return r;
}

/* --- LOOK --- */

struct told {
	const struct scanner *scanner;
	FILE *to;
	uint32_t n;
	bool no_memory;
};

static void tell_event(const struct event *event, void *ctx)
{
	struct told *told = ctx;

	told->no_memory |= encode_print(event_json(event,
						   identity_json(&told->scanner->identity)),
					told->to, NULL) < 0;
	told->n++;
}

static int say_events(struct scanner *scanner, const char *text, size_t size, uint32_t n,
		      uint32_t changed, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	uint8_t room[8];
	struct writer w = writer_of(room, sizeof(room));

	if (n) {
		fd = sealed_make("hvsm-events", text, size, err);
		if (fd < 0)
			return say_failure(scanner, fd, err, err);
	}
	write_u32(&w, n);
	write_u32(&w, changed);
	return channel_send_written(&scanner->channel, MSG_EVENTS, &w, &fd, fd >= 0, -1, err);
}

/* A guest that stands still changes nothing. */
static uint32_t look_for_changes(struct scanner *scanner, uint32_t time_us)
{
	if (!time_us || scanner->still)
		return 0;
	return sentinel_look(scanner->sentinel, scanner->kernel, scanner->view,
			     time_us * 1000ull);
}

/*
 * What was found last time is told, too, where the guest's clock says meanwhile that it holds.
 *
 * Return: 1: not all is told yet; 0; a negative errno.
 */
static int look_for_events(struct scanner *scanner, struct told *told, uint32_t watch_us,
			   uint32_t *changed, struct err *err)
{
	int r = behaviour_look(scanner->behaviour, scanner->kernel, scanner->view, tell_event, told,
			       err);

	scanner->still = behaviour_still_ns(scanner->behaviour) >= STILL_NS;
	if (r >= 0)
		*changed = look_for_changes(scanner, watch_us);
	/* Its clock confirms it soon, if it runs: why tell it a period later? */
	if (r != 1)
		return r;
	usleep(SETTLE_US);
	return behaviour_settle(scanner->behaviour, scanner->kernel, scanner->view, tell_event,
				told, err);
}

int scanner_on_look(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct scanner *scanner = ctx;
	struct told told = { .scanner = scanner };
	cleanup(freep) char *text = NULL;
	bool events = bytes_u8(&message->body);
	uint32_t watch_us = bytes_u32(&message->body), changed = 0;
	struct err why = {0};
	size_t size = 0;
	int r = 0;

	(void)channel;
	if (!scanner->kernel)
		return err_set(err, -EPROTO, "there is no guest");
	if (!scanner->behaviour)
		r = behaviour_open(EVENTS_ALL, &scanner->behaviour);
	if (r >= 0 && !scanner->sentinel)
		r = sentinel_open(&scanner->sentinel);
	if (r < 0)
		return say_failure(scanner, r, &why, err);
	view_set_kernel(scanner->view, scanner->kernel->space);
	scanner->swept = true;
	if (!events) {
		changed = look_for_changes(scanner, watch_us);
		return say_events(scanner, NULL, 0, 0, changed, err);
	}
	told.to = open_memstream(&text, &size);
	r = told.to ? look_for_events(scanner, &told, watch_us, &changed, &why) : -ENOMEM;
	if (told.to && (fclose(told.to) != 0 || told.no_memory))
		r = -ENOMEM;
	return r < 0 ? say_failure(scanner, r, &why, err) :
		       say_events(scanner, text, size, told.n, changed, err);
}

/* --- its life --- */

int scanner_on_quit(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct scanner *scanner = ctx;

	(void)channel;
	(void)message;
	(void)err;
	scanner->quit = true;
	return 0;
}

static void scanner_free(struct scanner *scanner)
{
	behaviour_close(&scanner->behaviour);
	sentinel_close(&scanner->sentinel);
	reference_close(&scanner->sources.reference);
	baseline_close(&scanner->sources.baseline);
	keeper_close(&scanner->sources.keeper);
	trust_close(&scanner->sources.trust);
	kernel_close(&scanner->kernel);
	profile_free(&scanner->profile);
	sealed_unmap(&scanner->profile_data);
	view_close(&scanner->view);
	ram_close(&scanner->ram);
	free(scanner->name);
	free(scanner->uuid);
	free(scanner->target);
	free(scanner->hypervisor);
	channel_close(&scanner->channel);
}

int scanner_main(uint32_t cpu_s)
{
	const struct sandbox_limits limits = {
		.memory_bytes = SCANNER_BYTES_MAX, .file_bytes = REPORT_BYTES_MAX,
		.fds = FDS_MAX_AT_A_TIME, .cpu_s = cpu_s,
	};
	struct scanner scanner = { .vmlinux_fd = -1 };
	struct sandbox sandbox;
	struct err err = {0};
	int r;

	channel_init(&scanner.channel, CHANNEL_FD, ROLE_SCANNER, ROLE_STARTER, protocol_rules,
		     protocol_rules_n);
	windows_catch();
	r = sandbox_prepare(&sandbox, CHANNEL_FD, MSG_FORBIDDEN, &err);
	if (r >= 0)
		r = sandbox_enter(&sandbox, &limits, &err);
	if (r < 0)
		return say_failure(&scanner, r, &err, NULL) < 0 ? 2 : 1;
	scanner.has = sandbox.has;
	while (r >= 0 && !scanner.quit)
		r = channel_dispatch(&scanner.channel, &scanner, -1, &err);
	/* Of no use to a starter that is gone, or that speaks another language. */
	if (r < 0 && !scanner.channel.dead && say_failure(&scanner, r, &err, NULL) < 0)
		scanner.quit = false;
	scanner_free(&scanner);
	return scanner.quit || r == -EPIPE ? 0 : 1;
}
