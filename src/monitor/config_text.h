/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONFIG_TEXT_H
#define HVSM_MONITOR_CONFIG_TEXT_H

#include <stddef.h>

#include "base/err.h"

/**
 * config_text_plain - leave of a configuration file what libconfuse reads as we mean it
 * @text: comments in it become blanks
 * @line: receives the line of what is wrong
 *
 * libconfuse counts lines with comments twice, takes a comment that does not end for the end
 * of the file and that for the end of a section, drops a '+', and puts variables of the
 * environment into values. So comments go before, and the rest is refused.
 *
 * Return: 0, -EINVAL.
 */
nodiscard int config_text_plain(char *text, size_t n, unsigned *line, struct err *err);

#endif
