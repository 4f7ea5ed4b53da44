/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_TORTURE_H
#define HVSM_TESTS_MAKE_TORTURE_H

#include <stdint.h>

/*
 * Memory that runs out on purpose. Programs that link torture_dep have their calls of malloc(),
 * calloc(), realloc(), posix_memalign(), strdup() and vasprintf() go through here.
 */

/* Let the @nth allocation from now on (1 = the next) fail, and only it; 0: none. */
void torture_allocation(uint64_t nth);

/* Allocations since then; those that would have to come for the one that fails included. */
uint64_t torture_allocations(void);

#endif
