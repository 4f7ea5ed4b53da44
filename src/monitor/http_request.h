/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_HTTP_REQUEST_H
#define HVSM_MONITOR_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "monitor/document.h"

/*
 * What an HTTP client asks for: its request line, as it came, becomes one of these or is refused.
 * All that can be asked for is one table; nothing in it changes anything.
 */
enum http_route {
	HTTP_HEALTH,
	HTTP_METRICS,
	HTTP_OPENAPI,
	HTTP_STATUS,
	HTTP_GUESTS,
	HTTP_GUEST,
	HTTP_FINDINGS,
	HTTP_REPORTS,
	HTTP_REPORT,
	HTTP_INCIDENTS,
	HTTP_ROUTES,
};

#define HTTP_TARGET_MAX	2048u	/* bytes of path and query */
#define HTTP_TEXT_MAX	512u	/* of a name, decoded: the ledger's keys have 255 at most */
#define HTTP_LIMIT	100u	/* items of a page, unless it says */
#define HTTP_LIMIT_MAX	1000u

struct http_request {
	enum http_route route;
	char name[HTTP_TEXT_MAX];	/* GUEST: of the path; lists: of the query; "": none */
	uint64_t number;		/* REPORT */
	struct document_query query;	/* its guest is NULL: the name is to be looked up */
};

/* As the OpenAPI document has it: "/v1/guests/{id}". */
const char *http_route_path(enum http_route route);

/**
 * http_request_parse - understand a request line
 * @target: as it came, percent-encoded: "/v1/findings?severity=high"
 * @ret:    as far as it was understood; its route is HTTP_ROUTES where there is none
 * @err:    what is wrong, without a word of the client's
 *
 * Return: 200, or the status to refuse it with: 400, 404, 405 (the path is there), 414.
 */
nodiscard unsigned http_request_parse(const char *method, const char *target,
				      struct http_request *ret, struct err *err);

#endif
