/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/container.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ID_DIGITS 64u	/* of the identifiers that OCI runtimes' managers make up */

/* A part of a path, between slashes. */
struct part {
	const char *at;
	size_t len;
};

static bool part_is(struct part part, const char *text)
{
	return part.len == strlen(text) && !memcmp(part.at, text, part.len);
}

/* Takes a prefix or a suffix off; whether it was there. */
static bool cut_prefix(struct part *part, const char *prefix)
{
	size_t len = strlen(prefix);

	if (part->len < len || memcmp(part->at, prefix, len))
		return false;
	part->at += len;
	part->len -= len;
	return true;
}

static bool cut_suffix(struct part *part, const char *suffix)
{
	size_t len = strlen(suffix);

	if (part->len < len || memcmp(part->at + part->len - len, suffix, len))
		return false;
	part->len -= len;
	return true;
}

static bool is_id(struct part part)
{
	if (part.len != ID_DIGITS)
		return false;
	for (size_t i = 0; i < part.len; i++)
		if (!strchr("0123456789abcdef", part.at[i]) || !part.at[i])
			return false;
	return true;
}

static bool is_container(const char *runtime, struct part id, struct container *ret)
{
	if (!id.len || id.len >= sizeof(ret->id))
		return false;
	snprintf(ret->runtime, sizeof(ret->runtime), "%s", runtime);
	snprintf(ret->id, sizeof(ret->id), "%.*s", (int)id.len, id.at);
	return true;
}

/* "docker-ID.scope": a group that the runtime had systemd make. */
static bool of_scope(struct part part, struct container *ret)
{
	static const struct {
		const char *prefix, *runtime;
	} known[] = {
		{ "docker-", "docker" },
		{ "libpod-", "podman" },
		{ "crio-", "cri-o" },
		{ "cri-containerd-", "containerd" },
		{ "nerdctl-", "containerd" },
	};

	cut_suffix(&part, ".scope");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct part id = part;

		if (cut_prefix(&id, known[i].prefix) && is_id(id))
			return is_container(known[i].runtime, id, ret);
	}
	return false;
}

/* A group named by nothing but the identifier: what lies around it tells whose it is. */
static bool of_id(struct part part, struct part parent, const char *path, struct container *ret)
{
	const char *runtime = "container";

	if (!is_id(part))
		return false;
	if (part_is(parent, "docker"))
		runtime = "docker";
	else if (part_is(parent, "libpod_parent"))
		runtime = "podman";
	else if (strstr(path, "/kubepods"))
		runtime = "kubernetes";
	else if (part_is(parent, "k8s.io") || part_is(parent, "default") || part_is(parent, "moby"))
		runtime = "containerd";
	return is_container(runtime, part, ret);
}

/* Containers that are machines of their own, with names that people gave them. */
static bool of_machine(struct part part, struct part parent, struct container *ret)
{
	if (part_is(parent, "lxc") || part_is(parent, "lxc.payload") ||
	    cut_prefix(&part, "lxc.payload."))
		return is_container("lxc", part, ret);
	if (cut_prefix(&part, "systemd-nspawn@") && cut_suffix(&part, ".service"))
		return is_container("nspawn", part, ret);
	/* libvirt's virtual machines are named the same way: machine-qemu\x2d1\x2dname.scope */
	if (part_is(parent, "machine.slice") && cut_prefix(&part, "machine-") &&
	    cut_suffix(&part, ".scope") && !cut_prefix(&part, "qemu"))
		return is_container("nspawn", part, ret);
	return false;
}

/* The part of @path that ends before @end. */
static struct part part_before(const char *path, const char *end)
{
	const char *at = end;

	while (at > path && at[-1] != '/')
		at--;
	return (struct part){ at, (size_t)(end - at) };
}

bool container_of_cgroup(const char *path, struct container *ret)
{
	const char *end = path + strlen(path);

	while (end > path) {
		struct part part = part_before(path, end), parent;

		end = part.at > path ? part.at - 1 : path;
		parent = part_before(path, end);
		if (of_scope(part, ret) || of_id(part, parent, path, ret) ||
		    of_machine(part, parent, ret))
			return true;
	}
	return false;
}
