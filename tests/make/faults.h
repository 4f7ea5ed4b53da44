/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_FAULTS_H
#define HVSM_TESTS_MAKE_FAULTS_H

#include <stdbool.h>

/*
 * Calls of the kernel that fail on purpose. A program with faults.c among its sources has read(),
 * pread(), write(), pwrite(), send(), recv(), accept4(), process_vm_readv(), open(), openat(),
 * fsync(), fdatasync(), ftruncate(), renameat(), memfd_create(), and mmap() of a file go through
 * it: its own calls, and those of shared libraries, such as SQLite's.
 */

/* Half of what was asked for is read, or written. Calls that cannot do that do not fail. */
#define FAULT_SHORT (-1)

/* The @nth call from now on (1 = the next) fails with errno @code, and only it; 0: none. */
void fault_set(unsigned nth, int code);

/* All from the @nth on do. */
void fault_set_on(unsigned nth, int code);

/* The @nth is short, and all after it fail. */
void fault_set_short_then(unsigned nth, int code);

/* Calls since then, and whether one of them was made to fail; no more do. */
unsigned fault_end(bool *failed);

#endif
