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
#include "ram/image.h"
#include "ram/proc.h"
#include "ram/qemu.h"

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

int guests_find(struct guests *guests, struct err *err)
{
	cleanup(guests_free) struct guests found = { 0 };
	cleanup(dir_close) DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (!dir)
		return err_set(err, -errno, "/proc: %s", strerror(errno));
	while ((entry = readdir(dir))) {
		pid_t pid = parse_pid(entry->d_name);
		struct err why = { 0 };
		struct guest guest, *add;
		int r = pid ? identify(pid, &guest, &why) : -ESRCH;

		/* Another architecture, or a command line that cannot be read. */
		if (r == -ENOTSUP || r == -EBADMSG || r == -ELOOP)
			r = list_unfit(pid, &why, &guest);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			continue;
		add = vec_add(&found.list);
		if (!add) {
			guest_free(&guest);
			return -ENOMEM;
		}
		*add = guest;
	}
	if (found.list.n)
		qsort(found.list.v, found.list.n, sizeof(*found.list.v), by_pid);
	*guests = found;
	found = (struct guests){ 0 };
	return 0;
}

/* Where the memory goes, and whether it is for us to look into an image. */
struct opening {
	struct ram **ram;
	bool unread;
};

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

/* The one guest of that name or UUID. 0, -ENOENT, -ENOTUNIQ, or an error of guests_find(). */
static int find_name(const char *name, pid_t *pid, struct err *err)
{
	cleanup(guests_free) struct guests guests = { 0 };
	char targets[128] = "";
	unsigned n = 0;
	int r = guests_find(&guests, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < guests.list.n; i++) {
		if (!has_name(&guests.list.v[i], name))
			continue;
		append_target(targets, sizeof(targets), &guests.list.v[i]);
		*pid = guests.list.v[i].pid;
		n++;
	}
	if (n == 1)
		return 0;
	if (n > 1)
		return err_set(err, -ENOTUNIQ, "'%.64s' is the name of %u guests, say which: %s",
			       name, n, targets);
	if (parse_pid(name))
		return err_set(err, -ENOENT, "no guest is called '%s'; for a process, write "
			       "qemu:%s", name, name);
	return err_set(err, -ENOENT, "no guest is called '%.64s': 'hvsm list' shows those there "
		       "are%s", name, geteuid() ? " (run as root to see all)" : "");
}

static int resolve_name(const char *name, struct guest *guest, struct opening *to, struct err *err)
{
	pid_t pid;
	int r = find_name(name, &pid, err);

	return r < 0 ? r : resolve_pid(pid, guest, to, err);
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
	pid_t pid;
	int r = find_name(word, &pid, err);

	if (r == -ENOENT && file)
		return resolve_path(word, guest, to, err);
	if (r == 0 && file)
		return err_set(err, -ENOTUNIQ, "'%.64s' is the name of a guest and of a file, say "
			       "which: qemu:%d or ./%.64s", word, (int)pid, word);
	return r < 0 ? r : resolve_pid(pid, guest, to, err);
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
	(void)guest;
	(void)to;
	return err_set(err, -ENOTSUP, "guests of Xen (xen:%.64s) are not supported by this build",
		       name);
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
