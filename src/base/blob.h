/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_BLOB_H
#define HVSM_BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* A file, or a part of one, in our own memory. */
struct blob {
	uint8_t *data;	/* from malloc() */
	size_t size;
};

static inline void blob_free(struct blob *blob)
{
	free(blob->data);
	*blob = (struct blob){ NULL, 0 };
}

#endif
