/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/process.h"
#include "linux/object.h"
#include "linux/peek.h"
#include "linux/socket.h"
#include "linux/task_exec.h"
#include "linux/vma.h"

/*
 * A shell that takes its commands from a network connection: a reverse or a bind shell. What
 * inetd and systemd (Accept=yes) start, and CGI programs, have such a descriptor as well, but
 * were told what to run; a remote login has a terminal, pipes or UNIX sockets.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 4)
#define STANDARD_FDS	3u
#define MODE_FORMAT	0170000u	/* S_IFMT */
#define MODE_SOCKET	0140000u
#define INLINE_MAX	4u		/* "-c", "-ne", "-wle"; "-Wignore" is another */
#define FAMILY_INET	2u
#define FAMILY_INET6	10u

static const char *const shells[] = {
	"sh", "bash", "dash", "ash", "zsh", "zsh5", "ksh*", "mksh", "lksh", "pdksh", "fish", "csh",
	"tcsh", "bsd-csh", "rbash", "yash", "busybox", "toybox", "pwsh", NULL
};
static const char *const interpreters[] = {
	"python*", "perl*", "php*", "ruby*", "lua*", "node", "nodejs", "tclsh*", "expect", "gawk",
	"mawk", "awk", NULL
};
static const char *const multi_call[] = { "busybox", "toybox", NULL };

struct shell_fields {
	struct field files, fdt, max_fds, fd, inode, private, mode, sk;
	struct field family, state, local4, remote4, local6, remote6, port, remote_port;
};

static const struct member shell_members[] = {
	MEMBER(struct shell_fields, files, "task_struct.files"),
	MEMBER(struct shell_fields, fdt, "files_struct.fdt"),
	MEMBER(struct shell_fields, max_fds, "fdtable.max_fds"),
	MEMBER(struct shell_fields, fd, "fdtable.fd"),
	MEMBER(struct shell_fields, inode, "file.f_inode"),
	MEMBER(struct shell_fields, private, "file.private_data"),
	MEMBER(struct shell_fields, mode, "inode.i_mode"),
	MEMBER(struct shell_fields, sk, "socket.sk"),
	MEMBER(struct shell_fields, family, "sock.__sk_common.skc_family"),
	MEMBER(struct shell_fields, state, "sock.__sk_common.skc_state"),
	MEMBER(struct shell_fields, local4, "sock.__sk_common.skc_rcv_saddr"),
	MEMBER(struct shell_fields, remote4, "sock.__sk_common.skc_daddr"),
	MEMBER_OPTIONAL(struct shell_fields, local6, "sock.__sk_common.skc_v6_rcv_saddr"),
	MEMBER_OPTIONAL(struct shell_fields, remote6, "sock.__sk_common.skc_v6_daddr"),
	MEMBER(struct shell_fields, port, "sock.__sk_common.skc_num"),
	MEMBER(struct shell_fields, remote_port, "sock.__sk_common.skc_dport"),
};
LAYOUT(shell_layout, struct shell_fields, shell_members);

struct shell_counts {
	uint64_t processes, sockets, connected, told;
};

struct shell_look {
	struct process_walk *walk;
	const struct task *task;
	const struct shell_fields *f;
	gva sk[STANDARD_FDS];	/* a connected INET socket behind a standard descriptor, or 0 */
	struct shell_counts *counts;
};

/* --- sockets --- */

static int read_socket(struct shell_look *look, gva file, gva *ret, struct err *err)
{
	struct peek peek = peek_at(look->walk->view, err);
	const struct shell_fields *f = look->f;
	gva inode = peek_object(&peek, file, &f->inode), socket, sk;
	uint32_t family, state;

	*ret = gva_of(0);
	if (!inode.v || (peek_u32(&peek, inode, &f->mode) & MODE_FORMAT) != MODE_SOCKET)
		return peek.first;
	look->counts->sockets++;
	socket = peek_object(&peek, file, &f->private);
	sk = socket.v ? peek_object(&peek, socket, &f->sk) : socket;
	if (!sk.v)
		return peek.first;
	family = peek_u32(&peek, sk, &f->family);
	state = peek_u32(&peek, sk, &f->state);
	if ((family == FAMILY_INET || family == FAMILY_INET6) && state != STATE_LISTEN &&
	    state != STATE_CLOSE)
		*ret = sk;
	return peek.first;
}

/* The three slots alone: the table itself may be large. */
static int read_standard(struct shell_look *look, struct err *err)
{
	struct peek peek = peek_at(look->walk->view, err);
	const struct shell_fields *f = look->f;
	uint64_t slots[STANDARD_FDS] = { 0 };
	gva files = peek_object(&peek, look->task->live, &f->files), fdt, array;
	size_t n;
	int r;

	if (!files.v)
		return peek.first;
	fdt = peek_object(&peek, files, &f->fdt);
	if (!fdt.v)
		return peek.first;
	n = peek_u32(&peek, fdt, &f->max_fds);
	array = peek_object(&peek, fdt, &f->fd);
	if (!array.v || !n)
		return peek.first;
	n = n > STANDARD_FDS ? STANDARD_FDS : n;
	r = view_read(look->walk->view, array, slots, n * sizeof(slots[0]), err);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (slots[i] && gva_is_kernel(gva_of(slots[i])))
			r = read_socket(look, gva_of(slots[i]), &look->sk[i], err);
	return r;
}

static void print_socket(struct shell_look *look, gva sk, char *buf, size_t size)
{
	struct peek peek = peek_at(look->walk->view, NULL);
	const struct shell_fields *f = look->f;
	struct socket socket = { .family = (uint16_t)peek_u32(&peek, sk, &f->family) };
	bool six = socket.family == FAMILY_INET6 && f->local6.there && f->remote6.there;
	size_t bytes = six ? 16 : 4;
	char local[64], remote[64];
	uint32_t port;

	socket.kind = SOCKET_TCP;
	if (view_read(look->walk->view, field_at(sk, six ? &f->local6 : &f->local4),
		      socket.local.ip, bytes, NULL) < 0 ||
	    view_read(look->walk->view, field_at(sk, six ? &f->remote6 : &f->remote4),
		      socket.remote.ip, bytes, NULL) < 0) {
		snprintf(buf, size, "a connection that could not be read");
		return;
	}
	port = peek_u32(&peek, sk, &f->remote_port);
	socket.local.port = (uint16_t)peek_u32(&peek, sk, &f->port);
	socket.remote.port = (uint16_t)(port >> 8 | port << 8);
	socket_print(&socket, &socket.local, local, sizeof(local));
	socket_print(&socket, &socket.remote, remote, sizeof(remote));
	snprintf(buf, size, "%s connected with %s", local, remote);
}

/* --- what it was told to run --- */

/* The next argument behind @arg, or NULL. */
static const char *next_arg(const struct task_args *args, const char *arg)
{
	size_t at = (size_t)(arg - args->text);

	at += strnlen(arg, args->bytes - at) + 1;
	return at < args->bytes ? args->text + at : NULL;
}

/* Does the argument have a value of its own behind it? */
static bool takes_value(const char *arg)
{
	return !strcmp(arg, "--rcfile") || !strcmp(arg, "--init-file") || !strcmp(arg, "-o") ||
	       !strcmp(arg, "+o") || !strcmp(arg, "-O") || !strcmp(arg, "+O");
}

/* A shell with no script and no command takes both from its input; so with -i and -s. */
static bool reads_commands(const struct task_args *args, bool applet)
{
	const char *arg = args->bytes ? args->text : NULL;
	bool command = false;

	if (arg && applet && !strcmp(arg, "busybox"))
		arg = next_arg(args, arg);
	for (arg = arg ? next_arg(args, arg) : NULL; arg; arg = next_arg(args, arg)) {
		if (arg[0] != '-' && arg[0] != '+')
			return false;
		if (takes_value(arg)) {
			arg = next_arg(args, arg);
			if (!arg)
				break;
			continue;
		}
		if (arg[0] == '-' && arg[1] != '-' && strpbrk(arg, "is"))
			return true;
		command |= arg[0] == '-' && arg[1] != '-' && strchr(arg, 'c');
		if (command)
			return false;
	}
	return true;
}

/* An interpreter without a script, or with its program among the arguments. */
static bool runs_inline(const struct task_args *args)
{
	const char *arg = args->bytes ? next_arg(args, args->text) : NULL;

	if (!arg || !strcmp(arg, "-"))
		return true;
	for (; arg && arg[0] == '-'; arg = next_arg(args, arg))
		if (arg[1] != '-' && strlen(arg) <= INLINE_MAX && strpbrk(arg + 1, "cer"))
			return true;
	return !arg;
}

static const char *applet_of(const struct task *task, const struct task_args *args)
{
	const char *slash = strrchr(args->text, '/');
	const char *name = slash ? slash + 1 : args->text;

	if (*name == '-')
		name++;
	return args->bytes && !name_matches(name, multi_call) ? name : task->comm;
}

/* --- */

static void report(struct shell_look *look, enum severity severity, const char *title)
{
	static const char *const names[STANDARD_FDS] = {
		"standard input", "standard output", "standard error"
	};
	struct finding *finding = process_finding(look->walk, severity, look->task, "connection");
	char text[160];

	finding_title(finding, "%s", title);
	for (unsigned i = 0; i < STANDARD_FDS; i++) {
		if (!look->sk[i].v)
			continue;
		print_socket(look, look->sk[i], text, sizeof(text));
		finding_evidence(finding, names[i], look->sk[i], NULL, "no network connection",
				 text);
	}
}

static int judge(struct shell_look *look, struct err *err)
{
	const struct program *program;
	struct vma_space space;
	struct task_args args;
	const char *name;
	bool applet;
	int r;

	r = vma_space(look->walk->kernel, look->walk->view, look->task->mm, &space, err);
	if (r < 0 || !space.exe.v)
		return r;
	r = programs_get(&look->walk->programs, space.exe, &program, err);
	if (r >= 0)
		r = task_args(look->walk->kernel, look->walk->view, look->task, &args, err);
	if (r < 0)
		return r;
	args.text[sizeof(args.text) - 1] = '\0';
	applet = name_matches(program->name, multi_call);
	name = applet ? applet_of(look->task, &args) : program->name;
	if (name_matches(name, shells) && reads_commands(&args, applet))
		report(look, SEVERITY_HIGH, "Shell takes its commands from a network connection");
	else if (name_matches(name, interpreters) && runs_inline(&args))
		report(look, SEVERITY_MEDIUM,
		       "Interpreter without a script has a network connection as its standard "
		       "descriptor");
	else if (look->sk[0].v && look->sk[0].v == look->sk[1].v &&
		 look->sk[0].v == look->sk[2].v &&
		 (program->memory || program->place == PLACE_TEMP))
		report(look, SEVERITY_MEDIUM,
		       "Program that was not installed has a network connection as all its "
		       "standard descriptors");
	else
		look->counts->told++;
	return 0;
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct shell_look look = { .walk = walk, .task = task, .counts = ctx };
	int r;

	if (!task->mm.v || task->kernel_thread)
		return 0;
	r = types_layout(walk->kernel->types, &shell_layout, (const void **)&look.f, err);
	if (r >= 0)
		r = read_standard(&look, err);
	if (r < 0)
		return r;
	look.counts->processes++;
	if (!look.sk[0].v && !look.sk[1].v)
		return 0;
	look.counts->connected++;
	return judge(&look, err);
}

static int process_shell_run(struct check_run *run, struct err *err)
{
	struct shell_counts counts = { 0 };
	int r = process_each(run, visit_process, &counts, err);

	check_covered(run, "processes", counts.processes);
	check_covered(run, "sockets as standard descriptors", counts.sockets);
	check_covered(run, "network connections", counts.connected);
	check_covered(run, "services that were told what to do", counts.told);
	return r;
}

CHECK(process_shell,
	.id = "process-shell",
	.group = GROUP_PROCESSES,
	.title = "Shell or interpreter is connected to the network",
	.proves = "No shell that reads its commands, and no interpreter that was given no script, "
		  "has a network connection as its standard input or output; nor has a program "
		  "of a temporary directory or of memory one as all three (docs/processes.md).",
	.techniques = TECHNIQUES("T1059.004", "T1059", "T1571"),
	.fuel_max = FUEL_MAX,
	.run = process_shell_run);
