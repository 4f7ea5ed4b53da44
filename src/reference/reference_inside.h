/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_REFERENCE_INSIDE_H
#define HVSM_REFERENCE_REFERENCE_INSIDE_H

#include "reference/identify.h"
#include "reference/reference.h"
#include "reference/shelf.h"
#include "reference/store.h"

/* For reference.c and parcel.c only. */
struct reference {
	struct reference_source source;
	struct identified id;
	struct blob vmlinux;
	struct shelf shelf;
	struct store *store;	/* NULL: none at hand */
	bool store_has_modules;
	struct reference_kept kept[REFERENCE_KEEPS];
	const struct profile *profile;	/* NULL: nobody made one */
	struct reference_elsewhere elsewhere;	/* nothing in it: it is here */
	bool modules_elsewhere;
};

/* A store that is not there, or not ours to read, is none. 0, or an errno. */
nodiscard int reference_open_store(struct reference *reference, const char *path,
				   struct err *err);

/* Once it is known which kernel it is: has the store modules for it? 0, or an errno. */
nodiscard int reference_ask_store(struct reference *reference, struct err *err);

#endif
