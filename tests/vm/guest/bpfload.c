/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpfload - load one BPF program of each kind that leaves code of its own in the kernel
 *
 *	bpfload [NAME=BTF-ID...]
 *
 * Programs by the system call, filters of a socket and of seccomp (which have no name), and
 * for each NAME an fentry program on the function with that id in the kernel's BTF, which
 * makes a trampoline. Prints what was loaded, one a line, then stays in the background until
 * it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* r0 = 0; exit: what every kind of program may do. */
static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static char log_text[16384];

static int load(uint32_t type, const char *name, uint32_t attach_type, uint32_t btf_id)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uintptr_t)nothing,
		.insn_cnt = sizeof(nothing) / sizeof(nothing[0]),
		.license = (uintptr_t) "GPL",
		.expected_attach_type = attach_type,
		.attach_btf_id = btf_id,
		.log_buf = (uintptr_t)log_text,
		.log_size = sizeof(log_text),
		.log_level = 1,
	};

	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", name);
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int attach(int fd, const char *tracepoint)
{
	union bpf_attr attr = {
		.raw_tracepoint = { .name = (uintptr_t)tracepoint, .prog_fd = (uint32_t)fd },
	};

	return (int)syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
}

static void say(const char *what, const char *name, int r)
{
	if (r < 0)
		printf("failed %s %s: %s\n", what, name, strerror(errno));
	else
		printf("%s %s\n", what, name);
}

static void load_kinds(void)
{
	static const struct {
		uint32_t type;
		const char *name;
	} kinds[] = {
		{ BPF_PROG_TYPE_SOCKET_FILTER, "lab_socket" },
		{ BPF_PROG_TYPE_KPROBE, "lab_kprobe" },
		{ BPF_PROG_TYPE_SCHED_CLS, "lab_cls" },
		{ BPF_PROG_TYPE_TRACEPOINT, "lab_tp" },
		{ BPF_PROG_TYPE_XDP, "lab_xdp" },
		{ BPF_PROG_TYPE_CGROUP_SKB, "lab_cgroup" },
		{ BPF_PROG_TYPE_RAW_TRACEPOINT, "lab_raw" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = load(kinds[i].type, kinds[i].name, 0, 0);

		say("program", kinds[i].name, fd);
		if (fd >= 0 && kinds[i].type == BPF_PROG_TYPE_RAW_TRACEPOINT)
			say("attached", "sys_enter", attach(fd, "sys_enter"));
	}
}

static void load_fentry(const char *argument)
{
	const char *id = strchr(argument, '=');
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%.*s", id ? (int)(id - argument) : 0, argument);
	fd = id ? load(BPF_PROG_TYPE_TRACING, "lab_fentry", BPF_TRACE_FENTRY,
		       (uint32_t)strtoul(id + 1, NULL, 10)) : -1;
	say("fentry", name, fd < 0 ? fd : attach(fd, NULL));
}

/* Long enough to be worth compiling; says yes to everything. */
static void load_filters(void)
{
	struct sock_filter code[64];
	struct sock_fprog program = { .len = 64, .filter = code };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < 63; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	code[63] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffff);
	say("filter", "socket", setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program,
					   sizeof(program)));
	code[63] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	say("filter", "seccomp",
	    (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &all);
	load_kinds();
	for (int i = 1; i < argc; i++)
		load_fentry(argv[i]);
	load_filters();
	fflush(stdout);
	if (daemon(0, 0) < 0)
		return 1;
	for (;;)
		pause();
}
