/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_QMP_H
#define HVSM_RAM_QMP_H

#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * A client of QEMU's monitor protocol (docs/interop/qmp-spec.rst), as little as is needed. The
 * peer may have been taken over by its guest: messages have a largest size, answers a
 * deadline. A socket serves one client at a time; ours does not stay for long.
 *
 * Whoever reads a guest sends no command that stops a vCPU: no "stop", and "info registers" only
 * where a person asked for it (qemu_read_registers()). What does something to a guest is a
 * reaction that its owner configured (monitor/reaction.h).
 */
struct qmp;

/* One that is idle answers at once; one that serves somebody else says nothing at all. */
#define QMP_GREETING_MS 300
#define QMP_ANSWER_MS	2000

/**
 * qmp_connect - connect to a socket in the file system
 * @fd: O_PATH descriptor of the socket; stays the caller's
 *
 * Return: a connected descriptor, or an errno.
 */
nodiscard int qmp_connect(int fd, struct err *err);

/* The process that listens at the other end of a socket, or an errno. */
nodiscard pid_t qmp_peer(int fd, struct err *err);

/**
 * qmp_open - begin to talk
 * @fd:          connected; closed by qmp_close(), or by a failure
 * @greeting_ms: how long to wait for the first word, QMP_GREETING_MS
 * @answer_ms:   how long to wait for each answer, QMP_ANSWER_MS
 *
 * Nothing is sent before the peer has greeted as QEMU does.
 *
 * Return: 0, -ETIMEDOUT (serves somebody else), -EBADMSG (does not speak QMP), -ENOMEM, or
 *         another errno.
 */
nodiscard int qmp_open(int fd, int greeting_ms, int answer_ms, struct qmp **ret,
		       struct err *err);

/**
 * qmp_human - a command of the monitor for people
 * @ret: receives the answer; free() it
 *
 * Return: 0, -ENOTSUP (refused), -ETIMEDOUT, -EBADMSG, -ELOOP (QMP_MESSAGE_MAX), -ENOMEM.
 */
nodiscard int qmp_human(struct qmp *qmp, const char *command, char **ret, struct err *err);

/**
 * qmp_execute - a command
 * @arguments: the reference is taken, also on failure; NULL: it has none
 * @ret:       receives what it returns, a new reference; NULL: nobody cares
 *
 * Return: as qmp_human().
 */
nodiscard int qmp_execute(struct qmp *qmp, const char *command, json_t *arguments, json_t **ret,
			  struct err *err);

/**
 * qmp_give - hand over a descriptor ("getfd")
 * @name: what commands call it then; a lower-case word
 * @fd:   stays the caller's
 *
 * Return: as qmp_human().
 */
nodiscard int qmp_give(struct qmp *qmp, const char *name, int fd, struct err *err);

/* Ends the talk. NULL is fine. */
void qmp_close(struct qmp **qmp);

#endif
