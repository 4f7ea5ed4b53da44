/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_QEMU_OPTS_H
#define HVSM_RAM_QEMU_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * One option's value on QEMU's command line, as keys and values: `q35,accel=kvm` or the JSON
 * form `{"qom-type": "memory-backend-ram", "size": 1073741824}`. Grammar: QEMU's
 * util/keyval.c and util/qemu-option.c.
 */
struct qemu_pair {
	char *key, *value;
};

struct qemu_opts {
	VEC(struct qemu_pair) pairs;
};

/**
 * qemu_opts_parse - take an option's value apart
 * @implied: key of a first element that has none; NULL: such an element is a flag
 *
 * "a,,b" is the comma itself; a flag is "on", "nofoo" makes foo "off". In JSON, true is "on",
 * numbers are decimal, members of a nested object have the key "outer.inner".
 *
 * Return: 0, -EBADMSG (not JSON, though it begins like it), -ELOOP (over QEMU_OPTS_MAX),
 *         -ENOMEM. Free with qemu_opts_free(), also after a failure.
 */
nodiscard int qemu_opts_parse(const char *text, const char *implied, struct qemu_opts *opts,
			      struct err *err);
void qemu_opts_free(struct qemu_opts *opts);

/* The last value of @key, or NULL. */
const char *qemu_opts_get(const struct qemu_opts *opts, const char *key);

/* Is @key given, and true? */
bool qemu_opts_on(const struct qemu_opts *opts, const char *key);

/**
 * qemu_size - a size as QEMU reads it: "512", "1.5G", "0x100000"
 * @unit: what a number without a suffix counts, in bytes
 *
 * Return: 0, -EBADMSG (not a size, or over 2^63).
 */
nodiscard int qemu_size(const char *text, uint64_t unit, uint64_t *ret);

#endif
