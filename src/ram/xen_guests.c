/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_guests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "ram/xen.h"
#include "ram/xen_host.h"

/* A domain as guests are listed; the strings of @domain become the guest's. */
static int describe(const struct xen_host *host, struct xen_domain *domain, struct guest *ret)
{
	static const char *const kinds[] = { "unknown", "pv", "pvh", "hvm" };
	struct guest guest = {
		.xen = true, .self = domain->self,
		.memory_bytes = domain->memory_bytes, .vcpus = domain->vcpus,
		.stopped = domain->stopped,
	};
	bool named = domain->name && *domain->name, told = domain->uuid;
	char text[32];

	if (xen_supported(host, domain, &guest.why_not) == 0)
		guest.why_not = (struct err){ 0 };
	snprintf(text, sizeof(text), "xen:%u", domain->id);
	guest.target = strdup(text);
	snprintf(text, sizeof(text), "xen-%u", domain->id);
	guest.name = named ? take_ptr(&domain->name) : strdup(text);
	guest.uuid = take_ptr(&domain->uuid);
	snprintf(text, sizeof(text), "Xen (%s)", kinds[domain->kind]);
	guest.hypervisor = strdup(text);
	guest.machine = strdup(kinds[domain->kind]);
	guest.accel = strdup("xen");
	if (!guest.target || !guest.name || (told && !guest.uuid) || !guest.hypervisor ||
	    !guest.machine || !guest.accel) {
		guest_free(&guest);
		return -ENOMEM;
	}
	*ret = guest;
	return 0;
}

/* The libraries, and a connection. */
static int open_host(const struct xen_libs **libs, struct xen_host *host, struct err *err)
{
	int r;

	if (!xen_is_here())
		return err_set(err, -ENOTSUP, "this host does not run on Xen");
	r = xen_libs_load(libs, err);
	return r < 0 ? r : xen_host_open(*libs, host, err);
}

int xen_guests_find(struct guests *guests, struct err *err)
{
	cleanup(xen_domains_free) struct xen_domains domains = { 0 };
	cleanup(xen_host_close) struct xen_host host = { 0 };
	const struct xen_libs *libs;
	int r;

	if (!xen_is_here())
		return 0;
	r = open_host(&libs, &host, err);
	if (r == 0)
		r = xen_domains_find(&host, &domains, err);
	/* A guest of Xen itself, which has no guests of Xen to miss. */
	if (r < 0 && r != -ENOMEM && !xen_is_control_domain()) {
		*err = (struct err){ 0 };
		return 0;
	}
	for (size_t i = 0; r == 0 && i < domains.list.n; i++) {
		struct guest guest, *add;

		r = describe(&host, &domains.list.v[i], &guest);
		if (r < 0)
			return r;
		add = vec_add(&guests->list);
		if (!add) {
			guest_free(&guest);
			return -ENOMEM;
		}
		*add = guest;
	}
	return r;
}

static bool has_name(const struct xen_domain *domain, const char *name)
{
	return (domain->name && !strcmp(domain->name, name)) ||
	       (domain->uuid && !strcasecmp(domain->uuid, name));
}

/* The one domain of that name or UUID; while one migrates within a host there may be two. */
static int find_name(const struct xen_host *host, const char *name, uint16_t *id, struct err *err)
{
	cleanup(xen_domains_free) struct xen_domains domains = { 0 };
	unsigned n = 0;
	int r = xen_domains_find(host, &domains, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < domains.list.n; i++)
		if (has_name(&domains.list.v[i], name)) {
			*id = domains.list.v[i].id;
			n++;
		}
	if (n > 1)
		return err_set(err, -ENOTUNIQ, "'%.64s' is the name of %u domains: say which by "
			       "xen:ID", name, n);
	return n ? 0 : err_set(err, -ENOENT, "no domain is called '%.64s': 'hvsm list' shows those "
			       "there are", name);
}

/* Digits alone are a number, as for xl: 0, or -ENOENT where that is beyond all. */
static int parse_id(const char *text, bool *is_id, uint16_t *id, struct err *err)
{
	unsigned long value;

	*is_id = *text && strspn(text, "0123456789") == strlen(text);
	if (!*is_id)
		return 0;
	errno = 0;
	value = strtoul(text, NULL, 10);
	if (errno || value >= XEN_DOMAINS_MAX)
		return err_set(err, -ENOENT, "there is no domain %.20s", text);
	*id = (uint16_t)value;
	return 0;
}

int xen_guests_resolve(const char *name, struct guest *guest, struct ram **ram, struct err *err)
{
	cleanup(xen_host_close) struct xen_host host = { 0 };
	struct xen_domain domain;
	const struct xen_libs *libs;
	uint16_t id = 0;
	bool is_id;
	int r = open_host(&libs, &host, err);

	if (r == 0)
		r = parse_id(name, &is_id, &id, err);
	if (r == 0 && !is_id)
		r = find_name(&host, name, &id, err);
	if (r == 0)
		r = xen_domain_describe(&host, id, &domain, err);
	if (r < 0)
		return r;
	r = describe(&host, &domain, guest);
	xen_domain_free(&domain);
	if (r < 0)
		return err_set(err, r, "no memory for a guest");
	r = xen_open(libs, id, ram, err);
	if (r < 0)
		guest_free(guest);
	return r;
}
