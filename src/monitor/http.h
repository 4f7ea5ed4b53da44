/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_HTTP_H
#define HVSM_MONITOR_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "monitor/http_request.h"

/*
 * The HTTP server: connections, limits, who may ask; what is answered is the caller's. It has no
 * thread: libmicrohttpd works in steps of the caller's loop, and a client that does nothing, or
 * little, costs a connection until its time is over. Each connection has one request.
 */
#define HTTP_CONNECTIONS_MAX	64u
#define HTTP_PER_ADDRESS_MAX	32u		/* connections of one address */
#define HTTP_HEADER_BYTES_MAX	(16u << 10)	/* request line and headers */
#define HTTP_HEADER_S		10u		/* until they are there, with the TLS handshake */
#define HTTP_LIFE_S		60u		/* of a connection, whatever happens on it */
#define HTTP_ANSWERS_BYTES_MAX	(64u << 20)	/* that clients have not read yet */
#define HTTP_BUSY_NS		250000000u	/* of each second, to make answers: then 503 */

#define HTTP_TOKEN_BYTES	32u

/* What is kept of a token: to know it is not enough to ask. */
void http_token_digest(const char *token, size_t n, uint8_t ret[HTTP_TOKEN_BYTES]);

struct http_answer {
	unsigned status;
	const char *type;	/* media type */
	char *body;		/* malloc()ed; becomes the server's */
	size_t n;
};

/* Make an answer of any status; where memory runs out, its body stays NULL. */
typedef void http_fn(const struct http_request *request, struct http_answer *ret, void *ctx);

/* "hvsm.error/1", of a status other than 200. */
void http_refuse(struct http_answer *ret, unsigned status, const char *text);

/* The statuses that there are; answers are counted by their place here. */
#define HTTP_STATUSES 10
extern const unsigned http_statuses[HTTP_STATUSES];

struct http_options {
	int fd;			/* listens; becomes the server's, also on failure */
	const uint8_t *token;	/* http_token_digest(), HTTP_TOKEN_BYTES; NULL: anybody may ask */
	const char *cert, *key;	/* PEM; NULL: no TLS. Not needed after http_start() */
	http_fn *answer;
	void *ctx;
	uint64_t *counts;	/* HTTP_STATUSES answers; the caller's */
};

struct http;

/**
 * http_start - answer from now on
 * Return: 0, -ENOTSUP (http_library()), -EINVAL (certificate or key are not usable), -ENOMEM, or
 *         another errno.
 */
nodiscard int http_start(struct loop *loop, const struct http_options *options,
			 struct http **ret, struct err *err);

/* Every connection ends. *@http becomes NULL; NULL is fine. */
void http_stop(struct http **http);

/* Once a second or so: connections whose time is over end. NULL is fine. */
void http_tick(struct http *http);

/**
 * http_usable - would http_start() take certificate and key?
 * @cert, @key: PEM; NULL: no TLS
 * Return: as http_start().
 */
nodiscard int http_usable(const char *cert, const char *key, struct err *err);

#endif
