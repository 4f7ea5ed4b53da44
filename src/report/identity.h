/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_IDENTITY_H
#define HVSM_REPORT_IDENTITY_H

#include <jansson.h>

/*
 * Which guest a document is about. The strings are somebody else's and must outlive the use;
 * the name is what the hypervisor calls the guest, so it is escaped like guest text.
 */
struct identity {
	const char *name;	/* NULL or "": it has none */
	const char *uuid;	/* NULL or "": it has none */
	const char *target;	/* what names it on the command line: "qemu:4711" */
	const char *hypervisor;	/* "QEMU 7.2.17 (kvm)"; "memory image" */
};

/* {name, uuid, target, hypervisor}; a new reference, NULL: no memory. */
json_t *identity_json(const struct identity *identity);

/* What to call the guest in a sentence: its name, or else its target. */
const char *identity_name(const struct identity *identity);

#endif
