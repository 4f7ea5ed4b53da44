/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SCANNER_H
#define HVSM_MONITOR_SCANNER_H

#include <stdint.h>

/*
 * The role that parses what an attacker wrote: one process for each guest. It is started as the
 * same program again (spawn.h), with its channel at CHANNEL_FD, goes into the sandbox at once,
 * and only then learns which guest it is for. protocol.h has what is said.
 */
#define SCANNER_ROLE "scanner"

/* A kernel's image, symbols and types, and all tables at their limits: some 900 MiB. */
#define SCANNER_BYTES_MAX (1536ull << 20)

/**
 * scanner_main - be a scanner, until the starter has had enough
 * @cpu_s: processor time at most; 0: the starter looks after that
 *
 * Return: the status of the process.
 */
int scanner_main(uint32_t cpu_s);

#endif
