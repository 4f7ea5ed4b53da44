/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_JOURNAL_H
#define HVSM_MONITOR_JOURNAL_H

#include <syslog.h>

#include "base/err.h"

/*
 * What the daemon says of itself: lines on stderr, with their priority in front where systemd
 * reads them (sd-daemon(3), $JOURNAL_STREAM). Text that is a guest's is escaped here;
 * what is escaped already stays as it is.
 */

/* @priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO */
void journal(int priority, const char *fmt, ...) printf_like(2, 3);

#endif
