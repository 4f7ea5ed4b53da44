/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_STORE_WRITE_H
#define HVSM_REFERENCE_STORE_WRITE_H

#include "reference/database.h"
#include "reference/store.h"

/* Between the two files that a store is written in. */
struct store {
	struct database *database;
};

/* Remove what no source has, with the lock held. 0, or an errno. */
nodiscard int store_sweep(struct store *store, struct err *err);

#endif
