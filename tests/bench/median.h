/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BENCH_MEDIAN_H
#define HVSM_BENCH_MEDIAN_H

#include <stddef.h>
#include <stdint.h>

/* The middle one of @n > 0 figures, which are in order afterwards. */
uint64_t median(uint64_t *v, size_t n);

#endif
