/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_SAY_H
#define HVSM_CLI_SAY_H

#include "base/err.h"

/*
 * Messages on stderr: one line each, "hvsm: " in front. An error says what failed, on what,
 * and what to do. Guest text in them is escaped here.
 */
void say(const char *fmt, ...) printf_like(1, 2);

/**
 * say_failed - say what failed, and what a person can do about it
 * @code:   negative errno of what failed
 * @err:    its details
 * @advice: what to do; NULL: the usual for @code
 * @fmt:    what was to be done, on what: "cannot attach to '%s'"
 */
void say_failed(int code, const struct err *err, const char *advice, const char *fmt, ...)
	printf_like(4, 5);

#endif
