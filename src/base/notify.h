/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_NOTIFY_H
#define HVSM_BASE_NOTIFY_H

#include "base/err.h"

/*
 * What the service manager is told, by the protocol of sd_notify(3) itself: a datagram to
 * $NOTIFY_SOCKET. Where nobody asked for it, nothing is.
 */

/* Once, before rights are given up. Return: 0 (also: nobody asked), or a negative errno. */
nodiscard int notify_open(struct err *err);

/* "READY=1\nSTATUS=…"; never waits. */
void notify_tell(const char *state);

#endif
