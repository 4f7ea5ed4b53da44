/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_REPORT_H
#define HVSM_TESTS_MAKE_REPORT_H

#include <stdint.h>

/**
 * make_report - hvsm.report/1 as a scanner would send it
 * @name:   of the guest
 * @sweep:  which one: it has times and counts of its own
 * @checks: "idt=clean code=finding:1,2 log=finding?:3 x=inconclusive": checks and how they
 *          ended; numbers make the findings; '?': not all was seen
 *
 * Return: to be freed.
 */
char *make_report(const char *name, uint64_t sweep, const char *checks);

#endif
