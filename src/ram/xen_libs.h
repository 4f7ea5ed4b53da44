/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_XEN_LIBS_H
#define HVSM_RAM_XEN_LIBS_H

#include <stdbool.h>
#include <xenctrl.h>
#include <xencall.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include "base/err.h"

/*
 * Xen's libraries, as far as they are used, loaded when the first guest of Xen is asked for:
 * the same program runs where there is no Xen. All but libxenctrl have a stable ABI. That one
 * changes with each version of Xen, so it is loaded only in the version that this program was
 * built with; without it, @ctrl_why says why, and the functions of libxenctrl are NULL. Event
 * channels are only needed for events: @events_why is the same of them.
 */
struct xen_libs {
	__typeof__(&xenforeignmemory_open) memory_open;
	__typeof__(&xenforeignmemory_close) memory_close;
	__typeof__(&xenforeignmemory_map) memory_map;
	__typeof__(&xenforeignmemory_unmap) memory_unmap;
	__typeof__(&xenforeignmemory_restrict) memory_restrict;

	__typeof__(&xencall_open) call_open;
	__typeof__(&xencall_close) call_close;
	__typeof__(&xencall2) call2;
	__typeof__(&xencall_alloc_buffer) call_alloc_buffer;
	__typeof__(&xencall_free_buffer) call_free_buffer;

	__typeof__(&xs_open) store_open;
	__typeof__(&xs_close) store_close;
	__typeof__(&xs_read) store_read;
	__typeof__(&xs_directory) store_directory;
	__typeof__(&xs_is_domain_introduced) store_is_introduced;
	__typeof__(&xs_write) store_write;
	__typeof__(&xs_rm) store_remove;

	__typeof__(&xc_interface_open) ctrl_open;
	__typeof__(&xc_interface_close) ctrl_close;
	__typeof__(&xc_domain_getinfo) ctrl_getinfo;
	__typeof__(&xc_domain_hvm_getcontext_partial) ctrl_getcontext;
	__typeof__(&xc_vcpu_getcontext) ctrl_getcontext_pv;
	__typeof__(&xc_monitor_enable) ctrl_monitor_enable;
	__typeof__(&xc_monitor_disable) ctrl_monitor_disable;
	__typeof__(&xc_monitor_resume) ctrl_monitor_resume;
	__typeof__(&xc_monitor_get_capabilities) ctrl_monitor_capabilities;
	__typeof__(&xc_monitor_write_ctrlreg) ctrl_monitor_register;
	struct err ctrl_why;

	__typeof__(&xenevtchn_open) events_open;
	__typeof__(&xenevtchn_close) events_close;
	__typeof__(&xenevtchn_fd) events_fd;
	__typeof__(&xenevtchn_bind_interdomain) events_bind;
	__typeof__(&xenevtchn_unbind) events_unbind;
	__typeof__(&xenevtchn_notify) events_notify;
	__typeof__(&xenevtchn_pending) events_pending;
	__typeof__(&xenevtchn_unmask) events_unmask;
	struct err events_why;
};

/**
 * xen_libs_load - the libraries of this host
 * @ret: receives them; they stay loaded until the program ends
 *
 * Return: 0, -ENOTSUP (one is missing or lacks a function; says which and what to install).
 */
nodiscard int xen_libs_load(const struct xen_libs **ret, struct err *err);

/* Does this host run on Xen, with us in a domain that may talk to it? Loads nothing. */
bool xen_is_here(void);

/* Are we where the host's guests are managed from, and so in the right place to ask for them? */
bool xen_is_control_domain(void);

#endif
