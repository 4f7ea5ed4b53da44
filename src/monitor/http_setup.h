/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_HTTP_SETUP_H
#define HVSM_MONITOR_HTTP_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/config.h"
#include "monitor/http.h"
#include "monitor/settings.h"

/*
 * What the parent opens for HTTP, and control cannot: the socket, the token, certificate and key.
 * It parses none of them.
 */
#define HTTP_TOKEN_CHARS_MIN 16u	/* 96 bits of base64: nobody guesses that */
#define HTTP_TOKEN_CHARS_MAX 512u
#define HTTP_PEM_BYTES_MAX   (60u << 10)	/* a certificate with its chain has some KiB */

struct http_setup {
	int fd;			/* that listens; -1: HTTP is not served */
	char *listen;		/* as configured; NULL: it is not */
	bool has_token;
	uint8_t token[HTTP_TOKEN_BYTES];	/* http_token_digest() */
	char *cert, *key;	/* PEM; NULL: no TLS */
};

#define HTTP_SETUP_NONE ((struct http_setup){ .fd = -1 })

/**
 * http_setup_make - open what the configuration names
 * @user: whose group may connect to a Unix socket; NULL: the caller only
 * @now:  what is open already: where it listens at the same place, the same socket goes on
 * @ret:  http_setup_free() on success
 *
 * The files must be such that nobody but root, or the caller, can change them (trusted_path()); a
 * token and a key such that others cannot read them, either.
 *
 * Return: 0, -EACCES (who may read or write a file), -EINVAL (a token that is too short),
 *         -EADDRINUSE, or another errno.
 */
nodiscard int http_setup_make(const struct config *config, const struct settings_user *user,
			      const struct http_setup *now, struct http_setup *ret,
			      struct err *err);

/* Closes, and forgets the key. The path of a Unix socket stays. */
void http_setup_free(struct http_setup *setup);

/* The path of a Unix socket goes, where @now is not at the same. */
void http_setup_remove(const struct http_setup *setup, const struct http_setup *now);

/* For --check-config: files and library, without a socket. As http_setup_make(), http_usable(). */
nodiscard int http_setup_check(const struct config *config, struct err *err);

#endif
