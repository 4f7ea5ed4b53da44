/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpfload - load one BPF program of each kind that leaves code of its own in the kernel
 *
 *	bpfload [NAME=BTF-ID... | WHAT...]
 *	bpfload list
 *
 * Programs by the system call, filters of a socket and of seccomp (which have no name), and
 * for each NAME an fentry program on the function with that id in the kernel's BTF, which
 * makes a trampoline. Prints what was loaded, one a line, then stays in the background until
 * it is killed. WHAT is something more:
 *
 *	places	programs attached to a control group, a device and an event, one pinned, with a map
 *	write	a program that would write into the memory of processes
 *
 * "list" loads nothing: it prints what bpf(2) says that there is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* r0 = 0; exit: what every kind of program may do. */
static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static char log_text[16384];

static int load_code(uint32_t type, const char *name, const struct bpf_insn *code, size_t n,
		     uint32_t attach_type, uint32_t btf_id)
{
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uintptr_t)code,
		.insn_cnt = (uint32_t)n,
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

static int load(uint32_t type, const char *name, uint32_t attach_type, uint32_t btf_id)
{
	return load_code(type, name, nothing, sizeof(nothing) / sizeof(nothing[0]), attach_type,
			 btf_id);
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

/* --- where programs can be --- */

static int number_in(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -1;
	close(fd);
	return atoi(text);
}

/* r0 = 1; exit: what is asked may be done. */
static const struct bpf_insn allow[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static int place_cgroup(void)
{
	union bpf_attr attr = { .attach_type = BPF_CGROUP_INET_EGRESS };
	int fd = load_code(BPF_PROG_TYPE_CGROUP_SKB, "lab_egress", allow, 2, 0, 0);

	mkdir("/tmp/lab_cgroup", 0755);
	mount("none", "/tmp/lab_cgroup", "cgroup2", 0, NULL);
	mkdir("/tmp/lab_cgroup/lab", 0755);
	attr.target_fd = (uint32_t)open("/tmp/lab_cgroup/lab", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	attr.attach_bpf_fd = (uint32_t)fd;
	return fd < 0 ? fd : (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr));
}

/* ip link set lo xdpgeneric */
static int place_xdp(void)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		struct rtattr xdp, fd;
		int32_t fd_value;
		struct rtattr flags;
		uint32_t flags_value;
	} message = {
		.header = { .nlmsg_len = sizeof(message), .nlmsg_type = RTM_SETLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info = { .ifi_index = 1 },
		.xdp = { .rta_len = 20, .rta_type = IFLA_XDP | NLA_F_NESTED },
		.fd = { .rta_len = 8, .rta_type = IFLA_XDP_FD },
		.flags = { .rta_len = 8, .rta_type = IFLA_XDP_FLAGS },
		.flags_value = XDP_FLAGS_SKB_MODE,
	};
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	char answer[256];

	message.fd_value = load_code(BPF_PROG_TYPE_XDP, "lab_lo", pass, 2, 0, 0);
	if (send(sock, &message, sizeof(message), 0) < 0 ||
	    recv(sock, answer, sizeof(answer), 0) < 0)
		return -1;
	errno = -((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)answer))->error;
	close(message.fd_value);
	close(sock);
	return errno ? -1 : 0;
}

static int place_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .sample_period = 1,
	};
	int fd = load(BPF_PROG_TYPE_TRACEPOINT, "lab_event", 0, 0), event, id;

	mkdir("/tmp/lab_trace", 0755);
	mount("none", "/tmp/lab_trace", "tracefs", 0, NULL);
	id = number_in("/tmp/lab_trace/events/sched/sched_process_exec/id");
	if (id < 0 || fd < 0)
		return -1;
	attr.config = (uint64_t)id;
	event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
	return event < 0 ? event : ioctl(event, PERF_EVENT_IOC_SET_BPF, fd);
}

/* A program with a map, and no descriptor left of either. */
static int place_pin(void)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 3,
		.map_name = "lab_map",
	};
	int map_fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)), fd, r;
	const struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr pin = { .pathname = (uintptr_t) "/tmp/lab_bpf/pinned" };

	if (map_fd < 0)
		return map_fd;
	fd = load_code(BPF_PROG_TYPE_SOCKET_FILTER, "lab_pinned", code, 4, 0, 0);
	mkdir("/tmp/lab_bpf", 0755);
	mount("none", "/tmp/lab_bpf", "bpf", 0, NULL);
	pin.bpf_fd = (uint32_t)fd;
	r = fd < 0 ? fd : (int)syscall(SYS_bpf, BPF_OBJ_PIN, &pin, sizeof(pin));
	close(map_fd);
	close(fd);
	return r;
}

/* A program that would write four bytes, if it were ever attached. */
static int load_write(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_write_user },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load_code(BPF_PROG_TYPE_KPROBE, "lab_write", code, sizeof(code) / sizeof(code[0]),
			 0, 0);
}

static void load_what(const char *what)
{
	if (!strcmp(what, "write")) {
		say("program", "lab_write", load_write());
	} else if (!strcmp(what, "places")) {
		say("placed", "cgroup", place_cgroup());
		say("placed", "xdp", place_xdp());
		say("placed", "event", place_event());
		say("placed", "pin", place_pin());
	}
}

/* --- what bpf(2) says --- */

static void list_program(int fd, uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = {
		.info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info),
			  .info = (uintptr_t)&info },
	};

	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0)
		return;
	printf("program %u %u %u %u %u ", id, info.type, info.created_by_uid, info.jited_prog_len,
	       info.nr_map_ids);
	for (size_t i = 0; i < sizeof(info.tag); i++)
		printf("%02x", info.tag[i]);
	printf(" %s\n", info.name);
}

static void list_map(int fd, uint32_t id)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr attr = {
		.info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info),
			  .info = (uintptr_t)&info },
	};

	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) >= 0)
		printf("map %u %u %u %u %u %s\n", id, info.type, info.key_size, info.value_size,
		       info.max_entries, info.name);
}

static void list_link(int fd, uint32_t id)
{
	struct bpf_link_info info = { 0 };
	union bpf_attr attr = {
		.info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info),
			  .info = (uintptr_t)&info },
	};

	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) >= 0)
		printf("link %u %u %u\n", id, info.type, info.prog_id);
}

static void list_all(void)
{
	static const struct {
		int next, open;
		void (*list)(int fd, uint32_t id);
	} kinds[] = {
		{ BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, list_program },
		{ BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID, list_map },
		{ BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID, list_link },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t id = 0;

		for (;;) {
			union bpf_attr next = { .start_id = id }, by_id = { 0 };
			int fd;

			if (syscall(SYS_bpf, kinds[i].next, &next, sizeof(next)) < 0)
				break;
			id = by_id.prog_id = next.next_id;
			fd = (int)syscall(SYS_bpf, kinds[i].open, &by_id, sizeof(by_id));
			if (fd < 0)
				continue;
			kinds[i].list(fd, id);
			close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &all);
	if (argc == 2 && !strcmp(argv[1], "list")) {
		list_all();
		return 0;
	}
	load_kinds();
	for (int i = 1; i < argc; i++) {
		if (strchr(argv[i], '='))
			load_fentry(argv[i]);
		else
			load_what(argv[i]);
	}
	load_filters();
	fflush(stdout);
	if (daemon(0, 0) < 0)
		return 1;
	for (;;)
		pause();
}
