/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_ERR_H
#define HVSM_BASE_ERR_H

#include <errno.h>
#include <stdarg.h>

#include "base/addr.h"

#define nodiscard      __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/*
 * What went wrong, for a person. Functions return a negative errno; a caller that wants the
 * details hands in one of these, on its own stack. No allocation: faults are routine when
 * one reads a running guest.
 *
 * The codes, everywhere in hvsm:
 *   -EFAULT   not there: page not present, no RAM at that address. Normal in a guest.
 *   -EBADMSG  the guest (or a file) holds something that cannot be: it lies or is damaged.
 *   -ELOOP    a limit was reached: fuel, length of a list. The result is not complete.
 *   -ESTALE   changed while it was read, or the guest rebooted. Another try may help.
 *   -ENOENT   no such symbol, type, member, guest.
 *   -ENOTSUP  this build, host or guest cannot do it.
 *   -ESRCH    the guest's process is gone.
 *   -EACCES   the host does not permit it.
 *   -EINVAL   our caller's fault.
 *   -ENOMEM   no memory.
 */
struct err {
	int code;	/* negative errno; 0: nothing was set */
	char text[224];	/* one line, no newline; guest text in it is NOT escaped yet */
};

/**
 * err_set - say what failed
 * @err:  receives code and text; may be NULL
 * @code: negative errno
 * @fmt:  text for a person: lower case, no full stop
 *
 * Return: @code, so that a caller can `return err_set(...)`.
 */
int err_set(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/**
 * fail - say what failed at which guest-virtual address
 * As err_set(); the address is put in front of the text.
 */
int fail(struct err *err, int code, gva at, const char *fmt, ...) printf_like(4, 5);

/**
 * wrap - put the context in front of what failed further down
 * @err:  set by the function that failed; may be NULL
 * @code: what it returned
 *
 * "RAM of the guest at '/run/x'" + "no RAM backend" → "RAM of the guest at '/run/x': no RAM
 * backend". Where @err is unset or holds another code, strerror() gives the tail.
 *
 * Return: @code.
 */
int wrap(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

#endif
