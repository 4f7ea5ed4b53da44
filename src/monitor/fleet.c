/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/fleet.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* The field "starttime" of /proc/PID/stat, proc(5). */
#define STAT_STARTED 22

static void guest_drop(struct fleet_guest *guest)
{
	if (!guest)
		return;
	free(guest->key);
	free(guest->name);
	free(guest->uuid);
	free(guest->target);
	free(guest->hypervisor);
	free(guest);
}

static void guest_dropp(struct fleet_guest **guest)
{
	guest_drop(*guest);
}

void fleet_free(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->guests.n; i++)
		guest_drop(fleet->guests.v[i]);
	vec_free(&fleet->guests);
	judged_free(&fleet->judged);
}

struct fleet_guest *fleet_by_number(const struct fleet *fleet, uint64_t number)
{
	for (size_t i = 0; i < fleet->guests.n; i++)
		if (fleet->guests.v[i]->number == number)
			return fleet->guests.v[i];
	return NULL;
}

static void went(struct fleet *fleet, size_t i, fleet_fn *told, void *ctx)
{
	struct fleet_guest *guest = fleet->guests.v[i];

	told(FLEET_WENT, guest, ctx);
	memmove(&fleet->guests.v[i], &fleet->guests.v[i + 1],
		(fleet->guests.n - i - 1) * sizeof(*fleet->guests.v));
	fleet->guests.n--;
	guest_drop(guest);
}

void fleet_ended(struct fleet *fleet, uint64_t number, fleet_fn *told, void *ctx)
{
	for (size_t i = 0; i < fleet->guests.n; i++) {
		if (fleet->guests.v[i]->number != number)
			continue;
		went(fleet, i, told, ctx);
		return;
	}
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The target of a domain has its number, which another may have later. */
static bool is(const struct fleet_guest *guest, const struct fleet_seen *seen)
{
	const struct guest *now = seen->guest;

	if (guest->xen != now->xen)
		return false;
	if (guest->xen)
		return same_text(guest->target, now->target) && same_text(guest->uuid, now->uuid);
	return guest->pid == now->pid && guest->started == seen->started;
}

static int copy(const char *text, char **ret)
{
	char *made = text ? strdup(text) : NULL;

	if (text && !made)
		return -ENOMEM;
	*ret = made;
	return 0;
}

static bool key_is_taken(const struct fleet *fleet, const struct fleet_guest *by, const char *key)
{
	for (size_t i = 0; i < fleet->guests.n; i++)
		if (fleet->guests.v[i] != by && !strcmp(fleet->guests.v[i]->key, key))
			return true;
	return false;
}

/* A guest without a UUID goes by its name; a second one of that name by its process, or number. */
static int make_key(const struct fleet *fleet, const struct fleet_guest *guest, char **ret)
{
	const char *plain = guest->uuid ? guest->uuid : guest->name;
	char *made;
	int n;

	if (!key_is_taken(fleet, guest, plain))
		return copy(plain, ret);
	if (guest->xen)
		n = asprintf(&made, "%s@%s", plain, guest->target);
	else
		n = asprintf(&made, "%s@%d.%" PRIu64, plain, (int)guest->pid, guest->started);
	if (n < 0)
		return -ENOMEM;
	*ret = made;
	return 0;
}

static int come(struct fleet *fleet, const struct fleet_seen *seen, fleet_fn *told, void *ctx)
{
	cleanup(guest_dropp) struct fleet_guest *guest = calloc(1, sizeof(*guest));
	struct fleet_guest **add;

	if (!guest)
		return -ENOMEM;
	guest->xen = seen->guest->xen;
	guest->pid = seen->guest->pid;
	guest->started = seen->started;
	guest->why_not = seen->guest->why_not;
	if (copy(seen->guest->name, &guest->name) < 0 ||
	    copy(seen->guest->uuid, &guest->uuid) < 0 ||
	    copy(seen->guest->target, &guest->target) < 0 ||
	    copy(seen->guest->hypervisor, &guest->hypervisor) < 0 ||
	    make_key(fleet, guest, &guest->key) < 0)
		return -ENOMEM;
	add = vec_add(&fleet->guests);
	if (!add)
		return -ENOMEM;
	guest->number = ++fleet->last_number;
	*add = guest;
	told(FLEET_CAME, guest, ctx);
	guest = NULL;
	return 0;
}

static void replace(char **text, char **by)
{
	free(*text);
	*text = take_ptr(by);
}

/* libvirt execs a process into the guest, so what it is may change under one PID. */
static int rename_guest(struct fleet *fleet, struct fleet_guest *guest, const struct guest *now,
			fleet_fn *told, void *ctx)
{
	cleanup(freep) char *name = NULL;
	cleanup(freep) char *uuid = NULL;
	cleanup(freep) char *key = NULL;
	struct fleet_guest as = *guest;

	if (same_text(guest->name, now->name) && same_text(guest->uuid, now->uuid))
		return 0;
	if (copy(now->name, &name) < 0 || copy(now->uuid, &uuid) < 0)
		return -ENOMEM;
	as.name = name;
	as.uuid = uuid;
	if (same_text(guest->uuid, now->uuid) && guest->uuid ? copy(guest->key, &key) < 0 :
							       make_key(fleet, &as, &key) < 0)
		return -ENOMEM;
	replace(&guest->name, &name);
	replace(&guest->uuid, &uuid);
	replace(&guest->key, &key);
	told(FLEET_RENAMED, guest, ctx);
	return 0;
}

static int changed(struct fleet *fleet, struct fleet_guest *guest, const struct fleet_seen *seen,
		   fleet_fn *told, void *ctx)
{
	int was = guest->why_not.code;
	int r = rename_guest(fleet, guest, seen->guest, told, ctx);

	if (r < 0)
		return r;
	guest->why_not = seen->guest->why_not;
	if (!was != !guest->why_not.code)
		told(FLEET_CHANGED, guest, ctx);
	return 0;
}

int fleet_update(struct fleet *fleet, const struct fleet_seen *seen, size_t n, fleet_fn *told,
		 void *ctx)
{
	for (size_t i = fleet->guests.n; i-- > 0;) {
		size_t at = 0;

		while (at < n && !is(fleet->guests.v[i], &seen[at]))
			at++;
		if (at == n)
			went(fleet, i, told, ctx);
	}
	for (size_t at = 0; at < n; at++) {
		size_t i = 0;
		int r;

		while (i < fleet->guests.n && !is(fleet->guests.v[i], &seen[at]))
			i++;
		r = i == fleet->guests.n ? come(fleet, &seen[at], told, ctx) :
					   changed(fleet, fleet->guests.v[i], &seen[at], told, ctx);
		if (r < 0)
			return r;
	}
	return 0;
}

int fleet_started(pid_t pid, uint64_t *ret)
{
	char path[64], text[1024];
	cleanup(fd_close) int fd = -1;
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return -errno;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	/* The second field is in brackets, and may hold anything. */
	at = strrchr(text, ')');
	for (unsigned field = 2; at && field < STAT_STARTED; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -ESRCH;
	*ret = strtoull(at + 1, NULL, 10);
	return 0;
}

typedef VEC(struct fleet_seen) seen_list;

static int see(seen_list *seen, const struct guest *guest)
{
	struct fleet_seen *add, one = { .guest = guest };
	int r = 0;

	if (!guest->self && !guest->xen)
		r = fleet_started(guest->pid, &one.started);
	/* No guest to us; or it has ended meanwhile. */
	if (guest->self || r == -ESRCH)
		return 0;
	if (r < 0)
		return r;
	add = vec_add(seen);
	if (!add)
		return -ENOMEM;
	*add = one;
	return 0;
}

/* The domains that there are, as they would be found; the strings stay those of the fleet. */
static int recall_domains(const struct fleet *fleet, struct guest **ret, size_t *ret_n)
{
	struct guest *domains = calloc(fleet->guests.n + 1, sizeof(*domains));
	size_t n = 0;

	if (!domains)
		return -ENOMEM;
	for (size_t i = 0; i < fleet->guests.n; i++) {
		const struct fleet_guest *guest = fleet->guests.v[i];

		if (guest->xen)
			domains[n++] = (struct guest){
				.xen = true, .name = guest->name, .uuid = guest->uuid,
				.target = guest->target, .hypervisor = guest->hypervisor,
				.why_not = guest->why_not,
			};
	}
	*ret = domains;
	*ret_n = n;
	return 0;
}

int fleet_update_found(struct fleet *fleet, const struct guests *found, fleet_fn *told,
		       void *ctx)
{
	cleanup(freep) struct guest *before = NULL;
	seen_list seen = { 0 };
	size_t n = 0;
	int r = 0;

	fleet->xen = found->xen;
	if (found->xen.code)
		r = recall_domains(fleet, &before, &n);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = see(&seen, &before[i]);
	/* It may have failed half way through them. */
	for (size_t i = 0; i < found->list.n && r >= 0; i++)
		if (!found->xen.code || !found->list.v[i].xen)
			r = see(&seen, &found->list.v[i]);
	if (r >= 0)
		r = fleet_update(fleet, seen.v, seen.n, told, ctx);
	vec_free(&seen);
	return r;
}

int fleet_scan(struct fleet *fleet, fleet_fn *told, void *ctx, struct err *err)
{
	cleanup(guests_free) struct guests guests = { 0 };
	int r = guests_find_again(&fleet->judged, &guests, err);

	if (r < 0)
		return r;
	r = fleet_update_found(fleet, &guests, told, ctx);
	return r < 0 ? err_set(err, r, "%s", strerror(-r)) : 0;
}
