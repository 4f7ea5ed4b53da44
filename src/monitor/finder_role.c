/* SPDX-License-Identifier: Apache-2.0 */

/* The process that finds one reference: what it may, and what it does. */

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"
#include "monitor/finder.h"
#include "monitor/finder_calls.h"
#include "monitor/landlock.h"
#include "monitor/sandbox.h"
#include "monitor/sealed.h"
#include "reference/parcel.h"

/* What watches comes first. */
#define NICE 5

/* A package of a kernel and all its modules takes some seconds. */
#define CPU_S 300

struct finding {
	struct channel channel;
	struct finder_wanted wanted;
	const char **paths;
	char kernel[32];	/* path of the file that QEMU booted, for this process; "": none */
	struct reference *reference;
	char remarks[FINDER_REMARKS][FINDER_REMARK_BYTES];
};

/* --- rights --- */

/* The packages that somebody named may be anyone's, to be read. */
static int drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t kept = 1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept } };

	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
	if (syscall(SYS_capset, &header, data) < 0)
		return err_set(err, -errno, "capabilities: %s", strerror(errno));
	return 0;
}

static int limit(struct err *err)
{
	const struct { __rlimit_resource_t what; rlim_t most; } all[] = {
		{ RLIMIT_CPU, CPU_S }, { RLIMIT_NPROC, 0 }, { RLIMIT_CORE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (setrlimit(all[i].what, &(struct rlimit){ all[i].most, all[i].most }) < 0)
			return err_set(err, -errno, "limits: %s", strerror(errno));
	return 0;
}

static int give_up_rights(struct err *err)
{
	bool is_root = geteuid() == 0;
	int r = sandbox_silence(err);

	if (r < 0)
		return r;
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
		return err_set(err, -errno, "priority: %s", strerror(errno));
	/* Where it may not there is nothing more to be had from a network. */
	if (is_root)
		(void)!unshare(CLONE_NEWNET | CLONE_NEWIPC);
	r = limit(err);
	if (r >= 0 && is_root)
		r = drop_capabilities(err);
	if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_set(err, -errno, "no new privileges: %s", strerror(errno));
	return r;
}

/*
 * Who is root without capabilities still owns root's files, and a tenant's kernel is read here. Of
 * all that it could write the store is left.
 */
static int keep_to_store(const char *store, struct err *err)
{
	const struct landlock_place place = { store, true };
	int r = landlock_deny(true, &place, 1, err);

	return r == -EOPNOTSUPP ? 0 : r;
}

/* --- to find --- */

static void remark(struct finding *finding, size_t which, const char *what,
		   const struct err *why, int code)
{
	snprintf(finding->remarks[which], sizeof(finding->remarks[which]), "%s: %.224s", what,
		 why->code ? why->text : strerror(-code));
}

/* What was named and is not there is told, and the others are asked all the same. */
static size_t drop_absent(struct finding *finding)
{
	const char **paths = finding->paths;
	size_t n = 0;

	for (size_t i = 0; i < finding->wanted.paths_n; i++) {
		if (access(paths[i], R_OK) == 0)
			paths[n++] = paths[i];
		else
			snprintf(finding->remarks[0], sizeof(finding->remarks[0]),
				 "a reference of the configuration is not used: %.200s: %s",
				 paths[i], strerror(errno));
	}
	return n;
}

/*
 * What was named may be for other guests: where it has not this one's kernel, the store and the
 * file that QEMU booted are asked.
 */
static void find(struct finding *finding)
{
	const struct finder_wanted *wanted = &finding->wanted;
	struct reference_options options = {
		.paths = wanted->paths, .paths_n = drop_absent(finding), .store = wanted->store,
	};
	struct kernel kernel = { 0 };
	struct err err = { 0 };
	int r = -ENOENT;

	strcpy(kernel.build_id, wanted->build_id);
	strcpy(kernel.release, wanted->release);
	if (options.paths_n)
		r = reference_open(&options, &kernel, &finding->reference, &err);
	if (r >= 0)
		return;
	if (r != -ENOENT)
		remark(finding, 0, "a reference of the configuration is not used", &err, r);
	err = (struct err){ 0 };
	options.paths_n = 0;
	options.kernel_file = *finding->kernel ? finding->kernel : NULL;
	options.kernel_name = wanted->kernel_name;
	r = reference_open(&options, &kernel, &finding->reference, &err);
	if (r < 0 && r != -ENOENT)
		remark(finding, 1, "the reference is not used", &err, r);
}

/* Its memory is needed once: what is unpacked is not there twice. */
static int seal_kernel(struct reference *reference, struct err *err)
{
	const struct blob *vmlinux = reference_vmlinux(reference);
	int fd = sealed_make("hvsm-vmlinux", vmlinux->data, vmlinux->size, err);

	reference_release_vmlinux(reference);
	return fd;
}

static int tell(struct finding *finding, const int *fds, size_t n, struct err *err)
{
	uint8_t body[FINDER_REMARKS * (FINDER_REMARK_BYTES + 8)];
	struct writer w = writer_of(body, sizeof(body));

	for (size_t i = 0; i < FINDER_REMARKS; i++)
		write_text(&w, *finding->remarks[i] ? finding->remarks[i] : NULL);
	return channel_send_written(&finding->channel, FINDER_FOUND, &w, fds, n, -1, err);
}

static int tell_found(struct finding *finding, struct err *err)
{
	cleanup(fd_close) int table = -1;
	cleanup(fd_close) int vmlinux = -1;
	struct parcel parcel;
	int r = parcel_pack(finding->reference, &parcel, err);

	if (r < 0)
		return r;
	table = sealed_make("hvsm-parcel", parcel.table.data, parcel.table.size, err);
	blob_free(&parcel.table);
	if (table < 0)
		return table;
	vmlinux = seal_kernel(finding->reference, err);
	if (vmlinux < 0)
		return vmlinux;
	return tell(finding, (const int[]){ table, vmlinux, parcel.modules },
		    parcel.modules < 0 ? 2 : 3, err);
}

static int answer(struct finding *finding, struct message *message, struct err *err)
{
	struct sealed request;
	int r = sealed_map(message->fds[0], FINDER_REQUEST_MAX, &request, err);

	if (r < 0)
		return r;
	r = finder_read_request(request.data, request.size, &finding->wanted, &finding->paths,
				err);
	if (r >= 0)
		r = keep_to_store(finding->wanted.store, err);
	if (r >= 0)
		r = finder_calls_load(err);
	if (r < 0)
		return r;
	if (message->fds_n > 1)
		snprintf(finding->kernel, sizeof(finding->kernel), "/proc/self/fd/%d",
			 message->fds[1]);
	find(finding);
	return finding->reference ? tell_found(finding, err) : tell(finding, NULL, 0, err);
}

int finder_run(void)
{
	struct finding finding = { .channel = CHANNEL_NONE };
	struct channel_rule rules[FINDER_RULES];
	cleanup(freep) struct message *message = malloc(sizeof(*message));
	struct err err = { 0 };
	int r = message ? give_up_rights(&err) : -ENOMEM;

	finder_rules(rules);
	channel_init(&finding.channel, CHANNEL_FD, ROLE_FINDER, ROLE_STARTER, rules, FINDER_RULES);
	if (r >= 0)
		r = channel_receive(&finding.channel, message, -1, &err);
	if (r >= 0)
		r = answer(&finding, message, &err);
	/* What it holds ends with the process. */
	if (r >= 0 || r == -EPIPE)
		return EXIT_SUCCESS;
	snprintf(finding.remarks[0], sizeof(finding.remarks[0]), "no reference was looked for: "
		 "%.224s", err.code ? err.text : strerror(-r));
	/* A parent that is gone need not be told. */
	(void)!tell(&finding, NULL, 0, NULL);
	return EXIT_FAILURE;
}
