/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/check.h"
#include "linux/socket.h"

/*
 * A socket that works is where the kernel looks for it; one that ss(8) shows is in the table
 * that its kind is listed from. Who takes it out of that table leaves it in the hands of the
 * process that made it, and of the second table by which packets find it.
 *
 * What a socket must be to belong in a table is said at belongs_in_table() in socket.c: one
 * that is not bound, or made a moment ago, is in none and is no finding.
 */

#define OWNERS_TOLD	8u	/* of those that hold one: a server has some processes */

struct hunt {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct tasks tasks;
	struct sockets sockets;
};

/* "tcp *:4444 LISTEN", "unix /run/x", "packet 35123": what a later sweep will find again. */
static void print_name(const struct socket *socket, char *buf, size_t size)
{
	char local[80], remote[80];
	const char *kind = socket_kind_name(socket);

	switch (socket->kind) {
	case SOCKET_TCP:
	case SOCKET_UDP:
	case SOCKET_UDPLITE:
	case SOCKET_RAW:
	case SOCKET_PING:
		socket_print(socket, &socket->local, local, sizeof(local));
		socket_print(socket, &socket->remote, remote, sizeof(remote));
		if (socket->remote.port)
			snprintf(buf, size, "%s %s to %s", kind, local, remote);
		else
			snprintf(buf, size, "%s %s", kind, local);
		break;
	case SOCKET_UNIX:
		if (socket->name[0]) {
			snprintf(buf, size, "%s %s", kind, socket->name);
			break;
		}
		snprintf(buf, size, "%s %" PRIu64, kind, socket->inode);
		break;
	default:
		snprintf(buf, size, "%s %" PRIu64, kind, socket->inode);
		break;
	}
}

static const struct task *task_at(const struct hunt *hunt, gva at)
{
	for (size_t i = 0; i < hunt->tasks.n; i++)
		if (hunt->tasks.v[i].at.v == at.v)
			return &hunt->tasks.v[i];
	return NULL;
}

static void tell_owners(const struct hunt *hunt, const struct socket *socket,
			struct finding *finding)
{
	for (uint32_t i = 0; i < socket->owners_n && i < OWNERS_TOLD; i++) {
		const struct socket_owner *owner = &hunt->sockets.owners.v[socket->owners_at + i];
		const struct task *task = task_at(hunt, owner->task);
		char what[64];

		snprintf(what, sizeof(what), "PID %u %s, file %u", owner->pid,
			 task ? task->comm : "", owner->fd);
		if (!i)
			finding_owner(finding, "PID %u %s", owner->pid, task ? task->comm : "");
		finding_evidence(finding, "open file of a process", owner->task, NULL, NULL, what);
	}
}

static void report(const struct hunt *hunt, const struct socket *socket)
{
	char name[160], found[160];
	struct finding *finding;

	print_name(socket, name, sizeof(name));
	finding = check_finding(hunt->run, SEVERITY_HIGH, "socket", socket->at, "%s", name);
	finding_title(finding, "Socket that is hidden from the table of %s sockets",
		      socket_kind_name(socket));
	snprintf(found, sizeof(found), "%s, %s, inode %" PRIu64 ", UID %u, network namespace %u",
		 socket_type_name(socket->type), socket_state_name(socket->state), socket->inode,
		 socket->uid, socket->net);
	finding_evidence(finding, "struct sock", socket->at, NULL, "in the table", found);
	if (socket->second)
		finding_evidence(finding, "table by which packets find it", gva_of(0), NULL, NULL,
				 "it is there");
	tell_owners(hunt, socket, finding);
}

static void judge_all(struct hunt *hunt)
{
	uint64_t held = 0;
	uint32_t reports = 0;

	for (size_t i = 0; i < hunt->sockets.all.n; i++) {
		const struct socket *socket = &hunt->sockets.all.v[i];

		held += socket->held;
		if (socket->unlisted && reports++ < FINDINGS_MAX)
			report(hunt, socket);
	}
	if (reports > FINDINGS_MAX)
		check_inconclusive(hunt->run, "%u hidden sockets, not all of them are told",
				   reports);
	check_covered(hunt->run, "sockets", hunt->sockets.all.n);
	check_covered(hunt->run, "sockets that processes hold", held);
}

static int hidden_socket_run(struct check_run *run, struct err *err)
{
	struct hunt hunt = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	r = task_list(hunt.kernel, hunt.view, &hunt.tasks, err);
	if (r == -EBADMSG || r == -EFAULT) {
		check_inconclusive(run, "%s", err->text);
		r = 0;
	}
	if (r >= 0)
		r = socket_list(hunt.kernel, hunt.view, &hunt.tasks, &hunt.sockets, err);
	judge_all(&hunt);
	sockets_free(&hunt.sockets);
	tasks_free(&hunt.tasks);
	return r;
}

CHECK(hidden_socket,
	.id = "hidden-socket",
	.group = GROUP_HIDDEN,
	.title = "Socket that is hidden from the table of its kind",
	.proves = "Every bound or connected socket that a process holds, or that packets find, is "
		  "in the table that its kind is listed from.",
	.techniques = TECHNIQUES("T1014", "T1049"),
	.fuel_max = 100000,
	.run = hidden_socket_run);
