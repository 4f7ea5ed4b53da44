/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MODULES_H
#define HVSM_AGENT_MODULES_H

#include <stddef.h>

/*
 * Measure the files of kernel modules that were loaded since this was called last; the first time
 * of all. From one thread. A module whose file is not known (modules.dep does not name it) is
 * recorded as unreadable, by its name.
 */
void modules_measure(void);

/*
 * The name of the module that a file of modules.dep holds: "kernel/fs/nls/nls-cp437.ko.xz" is
 * "nls_cp437". Returns its length, or 0 where it is no module's or does not fit.
 */
size_t modules_name(const char *path, size_t n, char *name, size_t size);

#endif
