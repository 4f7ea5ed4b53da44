/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_HOST_H
#define HVSM_RAM_XEN_HOST_H

#include <stdint.h>

#include "base/vec.h"
#include "ram/registers.h"
#include "ram/xen_libs.h"

/* What a host running Xen says of its domains, to a program in one that may ask. */
struct xen_host {
	const struct xen_libs *libs;
	struct xs_handle *store;
	xencall_handle *call;
	xc_interface *ctrl;	/* NULL: @ctrl_why says why not */
	struct err ctrl_why;
};

/* How Xen runs it. */
enum xen_kind { XEN_UNKNOWN, XEN_PV, XEN_PVH, XEN_HVM };

/* Strings are malloc()ed, and the words of whoever started it: escape them at output. */
struct xen_domain {
	uint16_t id;
	enum xen_kind kind;
	bool self;		/* the one that this program runs in */
	bool stopped;		/* paused or shut down, as far as it is known */
	char *name;		/* NULL: it has none */
	char *vm;		/* what tells it from a later one with its number; NULL: nothing */
	char *uuid;		/* NULL: not known */
	uint64_t memory_bytes;	/* the most that it may have; 0: not known */
	unsigned vcpus;		/* 0: not known */
};

struct xen_domains {
	VEC(struct xen_domain) list;	/* by id */
};

/**
 * xen_host_open - ask for what is needed to know domains
 * @libs: must outlive it
 * @host: receives it; xen_host_close() it on success
 *
 * Return: 0, -EACCES (not permitted; says what to do), or another errno.
 */
nodiscard int xen_host_open(const struct xen_libs *libs, struct xen_host *host, struct err *err);
void xen_host_close(struct xen_host *host);

/* A logger for Xen's libraries that says nothing: what fails comes back as an error. */
xentoollog_logger *xen_quiet(void);

/**
 * xen_domains_find - every domain that xenstore knows, our own included
 * @ret: free with xen_domains_free() on success
 *
 * Return: 0, -EACCES, -ELOOP (over XEN_DOMAINS_MAX), -ENOMEM, or another errno of xenstore.
 */
nodiscard int xen_domains_find(const struct xen_host *host, struct xen_domains *ret,
			       struct err *err);
void xen_domains_free(struct xen_domains *domains);

/**
 * xen_domain_describe - one domain
 * @ret: free with xen_domain_free() on success
 * Return: 0, -ESRCH (there is none), -ENOMEM.
 */
nodiscard int xen_domain_describe(const struct xen_host *host, uint16_t id,
				  struct xen_domain *ret, struct err *err);
void xen_domain_free(struct xen_domain *domain);

/* Can a domain like that be read at all? 0, or -ENOTSUP with the reason. */
nodiscard int xen_supported(const struct xen_host *host, const struct xen_domain *domain,
			    struct err *err);

/**
 * xen_domain_same - is it still the domain that it was?
 * @vm: its struct xen_domain's; may be NULL
 * Return: 0, -ESRCH (ended, dying, or another has its number), -EIO (xenstore is silent).
 */
nodiscard int xen_domain_same(const struct xen_host *host, uint16_t id, const char *vm,
			      struct err *err);

/**
 * xen_domain_end - behind the last guest frame that Xen knows of it
 * Return: 0, or an errno of the hypervisor: -EACCES, -ESRCH.
 */
nodiscard int xen_domain_end(const struct xen_host *host, uint16_t id, uint64_t *frames,
			     struct err *err);

/**
 * xen_domain_owed - pages that it was promised, and that Xen has none for
 *
 * Of a domain whose memory is populated on demand (memory below maxmem): to map a page that it
 * has not touched gives it one out of a stock, and Xen crashes a guest whose stock is empty. Its
 * balloon gives pages back until the stock is as large as what is promised. Then none can be
 * missing any more: Xen takes one off both for each page that is touched, puts as many on both
 * where it finds pages of zeroes, and lets no guest have more promised to itself
 * (xen/arch/x86/mm/p2m-pod.c, populate_physmap() in xen/common/memory.c).
 *
 * Return: 0, or an errno of the hypervisor.
 */
nodiscard int xen_domain_owed(const struct xen_host *host, uint16_t id, uint64_t *pages,
			      struct err *err);

/**
 * xen_domain_shared - the machine frame of a domain's shared_info page
 * Return: 0, -ENOTSUP (no libxenctrl of the right version), or an errno of the hypervisor.
 */
nodiscard int xen_domain_shared(const struct xen_host *host, uint16_t id, uint64_t *frame,
				struct err *err);

/**
 * xen_domain_pv_registers - as xen_domain_registers(), for PV
 *
 * Such a vCPU has no control registers and tables of its own; what it has are the addresses that
 * it asked Xen to enter it at.
 */
nodiscard int xen_domain_pv_registers(const struct xen_host *host, uint16_t id,
				      registers_list *ret, struct err *err);

/**
 * xen_domain_registers - of each vCPU that is up, for PVH and HVM
 * @ret: vec_free() it whatever came back
 *
 * Xen takes a vCPU off its CPU for some microseconds to copy them, as it does to run another;
 * the domain is not paused.
 *
 * Return: 0, -ENOTSUP (no libxenctrl of the right version), -ENOENT (no vCPU is up), -ENOMEM,
 *         or an errno of the hypervisor.
 */
nodiscard int xen_domain_registers(const struct xen_host *host, uint16_t id, registers_list *ret,
				   struct err *err);

#endif
