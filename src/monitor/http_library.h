/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_HTTP_LIBRARY_H
#define HVSM_MONITOR_HTTP_LIBRARY_H

#include <microhttpd.h>

#include "base/err.h"

/*
 * libmicrohttpd, and GnuTLS behind it, are loaded by who serves HTTP and by nobody else: a scanner
 * is the same program, and has no use for them. The headers are those of 0.9.75.
 */
#define HTTP_LIBRARY_FUNCTIONS(X) \
	X(start_daemon) \
	X(stop_daemon) \
	X(run) \
	X(get_timeout) \
	X(get_daemon_info) \
	X(get_connection_info) \
	X(is_feature_supported) \
	X(lookup_connection_value) \
	X(create_response_from_buffer_with_free_callback_cls) \
	X(add_response_header) \
	X(queue_response) \
	X(destroy_response)

#define HTTP_LIBRARY_MEMBER(name) __typeof__(&MHD_##name) name;

struct http_library {
	HTTP_LIBRARY_FUNCTIONS(HTTP_LIBRARY_MEMBER)
};

/**
 * http_library - load it, once
 * Return: 0, -ENOTSUP (it is not there, is older than 0.9.75, or has no epoll).
 */
nodiscard int http_library(const struct http_library **ret, struct err *err);

#endif
