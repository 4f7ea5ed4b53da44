/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_XEN_HOST_H
#define HVSM_TESTS_MAKE_XEN_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "ram/ram.h"
#include "ram/xen_libs.h"

#define MADE_XEN_FRAMES_4G 0x100000u
#define MADE_XEN_ID	   7u
#define MADE_XEN_VM	   "/vm/80594000-334a-47f6-9927-1e04f54aefea"
#define MADE_XEN_NODES_MAX 24u

/* The host that the libraries of these tests talk to; Xen's functions know no context. */
struct made_xen {
	struct { char path[64], value[96]; } nodes[MADE_XEN_NODES_MAX];
	size_t nodes_n;
	bool introduced;
	bool (*is_there)(uint64_t frame);
	uint64_t frames_seen;		/* asked for in all */
	uint64_t last_frame;		/* XENMEM_maximum_gpfn */
	uint64_t unpopulated, stock;	/* promised on demand; at hand for that */
	unsigned mapped;		/* mappings that are not given back yet */
	unsigned opened;		/* handles */
	unsigned restricted_to;
	int map_errno, store_errno, context_errno;
	bool store_readonly;
	int die_in;			/* mappings until it dies; 0: never */
	bool pv;
	struct {
		uint32_t capabilities;
		bool taken;		/* somebody has the ring */
		unsigned enabled;	/* how often it was asked for: each pauses the domain */
		int enable_errno, register_errno, bind_errno;
		uint64_t told[3];	/* bits of VM_EVENT_X86_CR…; 0: not told */
		uint8_t *page;		/* NULL: there is none */
		unsigned bound, notified;
		int fd;			/* an eventfd of the test's: how often it has something */
	} monitor;
	uint64_t moved;			/* of PV: frames that lie elsewhere, from 0 on */
	uint64_t grown;			/* of PV: frames that the balloon has given it since */
	uint64_t generation;		/* of PV: odd while the list moves */
	uint8_t fill;
};

extern struct made_xen made_xen;
extern const struct xen_libs made_xen_libs;

/*
 * PV: frame i of PV_FRAMES is the machine frame PV_FIRST - i, or where it was moved to; the list of
 * them takes PV_LIST pages, which are not among the guest's own for the sake of these tests.
 */
#define PV_FRAMES 0x1234u
#define PV_FIRST  0x80000u
#define PV_MOVED  0x90000u
#define PV_HOLE	  0x321u
#define PV_GROWN  0x600u	/* made_xen.grown at most */

/* The port that a monitor ring is bound to. */
#define MADE_XEN_PORT 21

/* Before a test: a PVH domain of 64 MiB, or a PV one. */
int made_xen_start(void **state);
int made_xen_start_pv(void **state);

/* In xenstore. */
void made_xen_set(const char *path, const char *value);

/* What is there now; NULL: nothing. */
const char *made_xen_get(const char *path);

/* Which frames a guest has, for made_xen.is_there. */
bool made_xen_small(uint64_t frame);
bool made_xen_large(uint64_t frame);
bool made_xen_ballooned(uint64_t frame);
bool made_xen_nothing(uint64_t frame);

/* Attach to it; let go, and see that nothing is left; see that it cannot be attached to. */
struct ram *made_xen_open(void);
void made_xen_close(struct ram *ram);
void made_xen_refused(int code, const char *text);

/* What a frame holds first: its number, as Xen knows it. */
uint64_t made_xen_frame(struct ram *ram, uint64_t frame);

/* What another process would have of it, which asks this one. */
struct ram *made_xen_serve(struct ram *ram);

#endif
