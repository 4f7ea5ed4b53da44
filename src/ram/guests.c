/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/guests.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/image.h"
#include "ram/proc.h"
#include "ram/qemu.h"
#include "ram/xen_guests.h"

void guest_free(struct guest *guest)
{
	free(guest->name);
	free(guest->uuid);
	free(guest->target);
	free(guest->hypervisor);
	free(guest->machine);
	free(guest->accel);
	free(guest->qmp);
	*guest = (struct guest){ 0 };
}

void guests_free(struct guests *guests)
{
	for (size_t i = 0; i < guests->list.n; i++)
		guest_free(&guests->list.v[i]);
	vec_free(&guests->list);
}

static printf_like(1, 2) char *print(const char *fmt, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	return n < 0 ? NULL : text;
}

/* A decimal number above 0 and nothing else; 0: it is not. */
static pid_t parse_pid(const char *text)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return 0;
	errno = 0;
	v = strtoul(text, &end, 10);
	return errno || *end || v > INT_MAX ? 0 : (pid_t)v;
}

/* What does it run on? Its descriptors tell better than its command line, where we may look. */
static const char *accel_of(const struct proc *proc, const struct qemu_args *args)
{
	int kvm = proc_has_fd(proc, "anon_inode:kvm-vm");

	if (kvm == 1)
		return "kvm";
	if (kvm < 0 && args->accel)
		return args->accel;
	/* "kvm:tcg" and no virtual machine of KVM: the second it was. */
	return !args->accel || !strcmp(args->accel, "kvm") ? "tcg" : args->accel;
}

/* Could it be attached? Opening its memory tells; that leaves no trace in it. */
static void try_access(const struct proc *proc, const struct qemu_args *args, struct guest *guest)
{
	int fd;

	if (qemu_supported(args, &guest->why_not) < 0)
		return;
	fd = proc_openat(proc, "mem", O_RDONLY, &guest->why_not);
	fd_close(&fd);
}

static int describe(const struct proc *proc, const struct qemu_args *args, struct guest *ret)
{
	struct guest guest = {
		.pid = proc->pid, .memory_bytes = qemu_args_ram_bytes(args),
		.vcpus = args->vcpus, .stopped = args->stopped,
	};
	const char *accel = accel_of(proc, args);

	guest.name = args->name && *args->name ? strdup(args->name)
					       : print("qemu-%d", (int)proc->pid);
	guest.target = print("qemu:%d", (int)proc->pid);
	guest.hypervisor = print("QEMU (%s)", accel);
	guest.accel = strdup(accel);
	guest.machine = strdup(args->machine ? args->machine : "pc");
	if (args->uuid)
		guest.uuid = strdup(args->uuid);
	if (args->monitors.list.n)
		guest.qmp = strdup(args->monitors.list.v[0]);
	if (!guest.name || !guest.target || !guest.hypervisor || !guest.accel || !guest.machine ||
	    (args->uuid && !guest.uuid) || (args->monitors.list.n && !guest.qmp)) {
		guest_free(&guest);
		return -ENOMEM;
	}
	try_access(proc, args, &guest);
	*ret = guest;
	return 0;
}

/* Who is process @pid? 0, -ESRCH (not a guest), or another errno. */
static int identify(pid_t pid, struct guest *guest, struct err *err)
{
	struct qemu_args args;
	struct proc proc;
	int r = proc_init(&proc, pid, err);

	if (r < 0)
		return r;
	r = qemu_describe(&proc, &args, err);
	if (r == 0) {
		/* libvirt starts one without a machine to ask what QEMU can do. */
		if (args.machine && !strcmp(args.machine, "none"))
			r = err_set(err, -ESRCH, "process %d: QEMU without a guest", (int)pid);
		else
			r = describe(&proc, &args, guest);
		qemu_args_free(&args);
	}
	proc_deinit(&proc);
	return r;
}

/*
 * The device model of a domain of Xen, which libxl starts: the domain is a guest, and found by
 * itself. It may be a QEMU for 32 bits, whatever the domain is.
 */
static bool is_device_model(pid_t pid)
{
	cleanup(proc_deinit) struct proc proc = PROC_NONE;
	cleanup(freep) char *cmdline = NULL;
	size_t len = 0;

	if (proc_init(&proc, pid, NULL) < 0 ||
	    proc_read(&proc, "cmdline", QEMU_CMDLINE_MAX, &cmdline, &len, NULL) < 0)
		return false;
	/* It ends with a NUL, and proc_read() adds one. */
	for (size_t at = 0; at < len; at += strlen(cmdline + at) + 1)
		if (!strcmp(cmdline + at, "-xen-domid"))
			return true;
	return false;
}

/* One that is QEMU but not for us is listed all the same, with the reason. */
static int list_unfit(pid_t pid, const struct err *why, struct guest *ret)
{
	struct guest guest = { .pid = pid, .why_not = *why };

	guest.name = print("qemu-%d", (int)pid);
	guest.target = print("qemu:%d", (int)pid);
	guest.hypervisor = print("QEMU");
	if (!guest.name || !guest.target || !guest.hypervisor) {
		guest_free(&guest);
		return -ENOMEM;
	}
	*ret = guest;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct guest *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* It says nothing of a guest: we are short of something. */
static bool is_our_lack(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

/*
 * Surely not QEMU? One system call tells of most processes, of which a host may have thousands. A
 * thread of the kernel has no executable; what cannot be seen is asked for in other ways.
 */
static bool is_other(int proc, pid_t pid)
{
	char path[32], exe[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/exe", (int)pid);
	n = readlinkat(proc, path, exe, sizeof(exe) - 1);
	if (n < 0)
		return errno == ENOENT || errno == ESRCH;
	exe[n] = '\0';
	return qemu_binary(exe) == QEMU_BINARY_NONE;
}

/* As identify(); what is known of a process by @judged (NULL: nothing) is not asked again. */
static int judge(int proc, pid_t pid, struct judged *judged, struct guest *guest, struct err *err)
{
	if (judged && judged_skip(judged, pid))
		return -ESRCH;
	if (!is_other(proc, pid))
		return identify(pid, guest, err);
	if (judged)
		judged_other(judged, pid);
	return -ESRCH;
}

static int find_qemu(struct judged *judged, struct guests *found, struct err *err)
{
	cleanup(dir_close) DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (!dir)
		return err_set(err, -errno, "/proc: %s", strerror(errno));
	if (judged)
		judged_begin(judged);
	while ((entry = readdir(dir))) {
		pid_t pid = parse_pid(entry->d_name);
		struct err why = { 0 };
		struct guest guest, *add;
		int r = pid ? judge(dirfd(dir), pid, judged, &guest, &why) : -ESRCH;

		/* Another architecture, or a command line that cannot be read. */
		if ((r == -ENOTSUP || r == -EBADMSG || r == -ELOOP) && !is_device_model(pid))
			r = list_unfit(pid, &why, &guest);
		if (is_our_lack(r))
			return why.code ? err_set(err, r, "%s", why.text) : r;
		if (r < 0)
			continue;
		if (guest.why_not.code && is_device_model(pid)) {
			guest_free(&guest);
			continue;
		}
		add = vec_add(&found->list);
		if (!add) {
			guest_free(&guest);
			return -ENOMEM;
		}
		*add = guest;
	}
	if (found->list.n)
		qsort(found->list.v, found->list.n, sizeof(*found->list.v), by_pid);
	return 0;
}

int guests_find(struct guests *guests, struct err *err)
{
	return guests_find_again(NULL, guests, err);
}

int guests_find_again(struct judged *judged, struct guests *guests, struct err *err)
{
	cleanup(guests_free) struct guests found = { 0 };
	int r = find_qemu(judged, &found, err);

	if (r < 0)
		return r;
	/* A host may run guests of both; what is wrong with one kind hides none of the other. */
	r = xen_guests_find(&found, &found.xen);
	if (r == -ENOMEM)
		return r;
	*guests = found;
	found = (struct guests){ 0 };
	return 0;
}

/* Where the memory goes, and whether it is for us to look into an image. */
struct opening {
	struct ram **ram;
	bool unread;
};

static int resolve(const char *target, struct guest *guest, struct opening *to, struct err *err);

static int resolve_pid(pid_t pid, struct guest *guest, struct opening *to, struct err *err)
{
	int r = identify(pid, guest, err);

	if (r < 0)
		return r;
	r = qemu_open(pid, to->ram, err);
	if (r < 0)
		guest_free(guest);
	return r;
}

static int resolve_qmp(const char *path, struct guest *guest, struct opening *to, struct err *err)
{
	pid_t pid;
	int r = qemu_open_qmp(path, to->ram, &pid, err);

	if (r < 0)
		return r;
	r = identify(pid, guest, err);
	if (r < 0)
		ram_close(to->ram);
	return r;
}

static int resolve_image(const char *path, struct guest *ret, struct opening *to, struct err *err)
{
	const char *base = strrchr(path, '/');
	struct guest guest = { 0 };
	int r = to->unread ? image_open_unread(path, to->ram, err) :
			     image_open(path, to->ram, err);

	if (r < 0)
		return r;
	guest.name = strdup(base ? base + 1 : path);
	guest.target = print("image:%s", path);
	guest.hypervisor = print("memory image");
	guest.memory_bytes = ram_bytes(*to->ram);
	if (!guest.name || !guest.target || !guest.hypervisor) {
		guest_free(&guest);
		ram_close(to->ram);
		return -ENOMEM;
	}
	*ret = guest;
	return 0;
}

static bool has_name(const struct guest *guest, const char *name)
{
	return !strcmp(guest->name, name) || (guest->uuid && !strcasecmp(guest->uuid, name));
}

/* Append to a list of targets that may be cut. */
static void append_target(char *list, size_t size, const struct guest *guest)
{
	size_t n = strlen(list);

	snprintf(list + n, size - n, "%s%s", n ? " " : "", guest->target);
}

/*
 * The one guest of that name or UUID: its target, to be freed. 0, -ENOENT, -ENOTUNIQ, or an
 * error of guests_find().
 */
static int find_name(const char *name, char **target, struct err *err)
{
	cleanup(guests_free) struct guests guests = { 0 };
	cleanup(freep) char *found = NULL;
	char targets[128] = "";
	unsigned n = 0;
	int r = guests_find(&guests, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < guests.list.n; i++) {
		if (!has_name(&guests.list.v[i], name))
			continue;
		append_target(targets, sizeof(targets), &guests.list.v[i]);
		if (!n++)
			found = take_ptr(&guests.list.v[i].target);
	}
	if (n == 1) {
		*target = take_ptr(&found);
		return 0;
	}
	if (n > 1)
		return err_set(err, -ENOTUNIQ, "'%.64s' is the name of %u guests, say which: %s",
			       name, n, targets);
	if (parse_pid(name))
		return err_set(err, -ENOENT, "no guest is called '%s'; for a process, write "
			       "qemu:%s", name, name);
	if (guests.xen.code)
		return err_set(err, -ENOENT, "no guest of QEMU is called '%.40s', and guests of "
			       "Xen cannot be looked for: %.110s", name, guests.xen.text);
	return err_set(err, -ENOENT, "no guest is called '%.64s': 'hvsm list' shows those there "
		       "are%s", name, geteuid() ? " (run as root to see all)" : "");
}

static int resolve_name(const char *name, struct guest *guest, struct opening *to, struct err *err)
{
	cleanup(freep) char *target = NULL;
	int r = find_name(name, &target, err);

	/* One with a prefix, so this does not come back here. */
	return r < 0 ? r : resolve(target, guest, to, err);
}

static int resolve_path(const char *path, struct guest *guest, struct opening *to, struct err *err)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		return resolve_qmp(path, guest, to, err);
	return resolve_image(path, guest, to, err);
}

/* A word without a prefix or a slash: a guest, or a file in this directory, but not both. */
static int resolve_word(const char *word, struct guest *guest, struct opening *to, struct err *err)
{
	bool file = access(word, F_OK) == 0;
	cleanup(freep) char *target = NULL;
	int r = find_name(word, &target, err);

	if (r == -ENOENT && file)
		return resolve_path(word, guest, to, err);
	if (r == 0 && file)
		return err_set(err, -ENOTUNIQ, "'%.64s' is the name of a guest and of a file, say "
			       "which: %s or ./%.64s", word, target, word);
	return r < 0 ? r : resolve(target, guest, to, err);
}

static int resolve_qemu(const char *text, struct guest *guest, struct opening *to, struct err *err)
{
	pid_t pid = parse_pid(text);

	if (!pid)
		return err_set(err, -EINVAL, "'%.64s' is not a process id: qemu:PID takes a number",
			       text);
	return resolve_pid(pid, guest, to, err);
}

static int resolve_xen(const char *name, struct guest *guest, struct opening *to, struct err *err)
{
	return xen_guests_resolve(name, guest, to->ram, err);
}

static int resolve(const char *target, struct guest *guest, struct opening *to, struct err *err)
{
	static const struct {
		const char *prefix;
		int (*resolve)(const char *rest, struct guest *guest, struct opening *to,
			       struct err *err);
	} kinds[] = {
		{ "qemu:", resolve_qemu },
		{ "qmp:", resolve_qmp },
		{ "libvirt:", resolve_name },
		{ "image:", resolve_image },
		{ "xen:", resolve_xen },
	};
	if (!*target)
		return err_set(err, -EINVAL, "no target given");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(target, kinds[i].prefix, n) != 0)
			continue;
		if (!target[n])
			return err_set(err, -EINVAL, "nothing behind '%s'", target);
		return kinds[i].resolve(target + n, guest, to, err);
	}
	if (strchr(target, '/'))
		return resolve_path(target, guest, to, err);
	return resolve_word(target, guest, to, err);
}

int guests_resolve(const char *target, struct guest *guest, struct ram **ram, struct err *err)
{
	struct opening to = { .ram = ram };

	return resolve(target, guest, &to, err);
}

int guests_resolve_unread(const char *target, struct guest *guest, struct ram **ram,
			  struct err *err)
{
	struct opening to = { .ram = ram, .unread = true };

	return resolve(target, guest, &to, err);
}
