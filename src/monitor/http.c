/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/now.h"
#include "monitor/http_library.h"

#define NS_PER_S 1000000000ull

/* Of TLS nothing older than 1.2, whatever GnuTLS would take. */
#define TLS_VERSIONS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

const unsigned http_statuses[HTTP_STATUSES] = { 200, 400, 401, 404, 405, 409, 414, 500, 503, 0 };

struct connection {
	int fd;			/* -1: free */
	bool asked;		/* its request is there */
	uint64_t since;		/* CLOCK_MONOTONIC */
};

struct http {
	const struct http_library *library;
	struct loop *loop;
	struct MHD_Daemon *daemon;
	int epoll;		/* the library's */
	int again;		/* an eventfd: it has more to do */
	bool has_token;
	uint8_t token[HTTP_TOKEN_BYTES];
	http_fn *answer;
	void *ctx;
	uint64_t *counts;
	size_t unread;		/* bytes of answers */
	uint64_t second, spent_ns;	/* which one; what answers took in it */
	struct connection connections[HTTP_CONNECTIONS_MAX];
	char said[160];		/* what the library complained about last */
};

void http_token_digest(const char *token, size_t n, uint8_t ret[HTTP_TOKEN_BYTES])
{
	crypto_generichash(ret, HTTP_TOKEN_BYTES, (const unsigned char *)token, n, NULL, 0);
}

void http_refuse(struct http_answer *ret, unsigned status, const char *text)
{
	static const struct {
		unsigned status;
		const char *code;
	} codes[] = {
		{ 400, "EINVAL" }, { 401, "EACCES" }, { 404, "ENOENT" }, { 405, "EPERM" },
		{ 409, "ENOTUNIQ" }, { 414, "ENAMETOOLONG" }, { 503, "EBUSY" },
	};
	const char *code = "EIO";
	json_t *json;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == status)
			code = codes[i].code;
	json = json_pack("{s:s, s:s, s:s}", "schema", "hvsm.error/1", "code", code, "text", text);
	free(ret->body);
	*ret = (struct http_answer){ .status = status, .type = "application/json" };
	ret->body = json_dump_text(json, 0);
	ret->n = ret->body ? strlen(ret->body) : 0;
	json_decref(json);
}

/* --- one request --- */

/* What the client has not read yet of an answer. */
struct body {
	struct http *http;
	char *data;
	size_t n;
};

static void body_free(void *ctx)
{
	struct body *body = ctx;

	body->http->unread -= body->n;
	free(body->data);
	free(body);
}

/* Takes the answer's body. NULL: no memory. */
static struct MHD_Response *response_of(struct http *http, struct http_answer *answer)
{
	const struct http_library *library = http->library;
	struct body *body = malloc(sizeof(*body));
	struct MHD_Response *response;

	if (!body || !answer->body) {
		free(body);
		return NULL;
	}
	*body = (struct body){ http, answer->body, answer->n };
	response = library->create_response_from_buffer_with_free_callback_cls(
		answer->n, answer->body, body_free, body);
	if (!response) {
		free(body);
		return NULL;
	}
	answer->body = NULL;
	http->unread += body->n;
	return response;
}

static bool add_headers(const struct http_library *library, struct MHD_Response *response,
			const struct http_answer *answer)
{
	const struct { const char *name, *value; unsigned status; } headers[] = {
		{ "Content-Type", answer->type, 0 },
		{ "Connection", "close", 0 },
		{ "Cache-Control", "no-store", 0 },
		{ "X-Content-Type-Options", "nosniff", 0 },
		{ "WWW-Authenticate", "Bearer realm=\"hvsm\"", 401 },
		{ "Allow", "GET, HEAD", 405 },
		{ "Retry-After", "1", 503 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if ((!headers[i].status || headers[i].status == answer->status) &&
		    library->add_response_header(response, headers[i].name,
						 headers[i].value) != MHD_YES)
			return false;
	return true;
}

/* MHD_NO: the connection ends without a word. */
static enum MHD_Result say(struct http *http, struct MHD_Connection *connection,
			   struct http_answer *answer)
{
	struct MHD_Response *response = response_of(http, answer);
	enum MHD_Result r = MHD_NO;
	size_t i = 0;

	if (!response)
		return MHD_NO;
	if (add_headers(http->library, response, answer))
		r = http->library->queue_response(connection, answer->status, response);
	http->library->destroy_response(response);
	while (i < HTTP_STATUSES - 1 && http_statuses[i] != answer->status)
		i++;
	http->counts[i]++;
	return r;
}

/* RFC 6750, 2.1. Takes as long for any token of the same length. */
static bool may_ask(const struct http *http, struct MHD_Connection *connection)
{
	static const char scheme[] = "Bearer ";
	uint8_t digest[HTTP_TOKEN_BYTES];
	const char *given;

	if (!http->has_token)
		return true;
	given = http->library->lookup_connection_value(connection, MHD_HEADER_KIND,
						       "Authorization");
	if (!given || strncasecmp(given, scheme, sizeof(scheme) - 1) != 0)
		return false;
	given += sizeof(scheme) - 1;
	given += strspn(given, " ");
	http_token_digest(given, strlen(given), digest);
	return sodium_memcmp(digest, http->token, sizeof(digest)) == 0;
}

static bool is_busy(struct http *http, uint64_t now)
{
	if (http->second != now / NS_PER_S) {
		http->second = now / NS_PER_S;
		http->spent_ns = 0;
	}
	return http->spent_ns > HTTP_BUSY_NS || http->unread > HTTP_ANSWERS_BYTES_MAX;
}

static void answer_of(struct http *http, const struct http_request *request,
		      struct http_answer *ret)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (is_busy(http, now)) {
		http_refuse(ret, 503, "too much is asked for at a time");
		return;
	}
	http->answer(request, ret, http->ctx);
	http->spent_ns += now_ns(CLOCK_MONOTONIC) - now;
	if (!ret->body)
		http_refuse(ret, 500, "no memory for an answer");
}

static struct connection *connection_of(struct http *http, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = http->library->get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; info && i < HTTP_CONNECTIONS_MAX; i++)
		if (http->connections[i].fd == info->connect_fd)
			return &http->connections[i];
	return NULL;
}

/* The headers of a request are there; it is answered before any byte of a body is read. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_n, void **target)
{
	struct http *http = ctx;
	struct connection *from = connection_of(http, connection);
	struct http_answer answer = { 0 };
	struct http_request request;
	struct err why = { 0 };
	enum MHD_Result r;
	unsigned status;

	(void)url;
	(void)version;
	(void)data;
	(void)data_n;
	if (from)
		from->asked = true;
	if (!*target)
		return MHD_NO;
	status = http_request_parse(method, *target, &request, &why);
	/* Who may not ask learns of nothing but that there is a server. */
	if (request.route != HTTP_HEALTH && !may_ask(http, connection))
		http_refuse(&answer, 401, "this needs the token (Authorization: Bearer …)");
	else if (status != 200)
		http_refuse(&answer, status, why.text);
	else
		answer_of(http, &request, &answer);
	r = say(http, connection, &answer);
	free(answer.body);
	return r;
}

/* The request line, before the library decodes anything of it. */
static void *on_target(void *ctx, const char *target, struct MHD_Connection *connection)
{
	(void)ctx;
	(void)connection;
	return strdup(target);
}

static void on_done(void *ctx, struct MHD_Connection *connection, void **target,
		    enum MHD_RequestTerminationCode how)
{
	(void)ctx;
	(void)connection;
	(void)how;
	free(*target);
	*target = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *http = ctx;
	struct connection *at = connection_of(http, connection);
	const union MHD_ConnectionInfo *info = http->library->get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	(void)socket;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (at)
			at->fd = -1;
		return;
	}
	for (size_t i = 0; info && i < HTTP_CONNECTIONS_MAX; i++) {
		if (http->connections[i].fd >= 0)
			continue;
		http->connections[i] = (struct connection){ .fd = info->connect_fd,
							    .since = now_ns(CLOCK_MONOTONIC) };
		return;
	}
}

/* --- the server --- */

static void on_complaint(void *ctx, const char *fmt, va_list args)
{
	struct http *http = ctx;

	/* Of clients there is no end of complaints: only those at the start are told. */
	vsnprintf(http->said, sizeof(http->said), fmt, args);
	http->said[strcspn(http->said, "\r\n")] = '\0';
}

static bool has_more(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	return http->library->get_timeout(http->daemon, &ms) == MHD_YES && ms == 0;
}

/* One step of the library: then it is the turn of others in the loop. */
static void work(struct http *http)
{
	http->library->run(http->daemon);
	/* It keeps what it has read by itself, and its epoll would not tell: come again. */
	if (has_more(http))
		eventfd_write(http->again, 1);
}

static int on_ready(int fd, uint32_t events, void *ctx, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	work(ctx);
	return 0;
}

static int on_again(int fd, uint32_t events, void *ctx, struct err *err)
{
	eventfd_t n;

	(void)events;
	(void)err;
	if (eventfd_read(fd, &n) == 0)
		work(ctx);
	return 0;
}

void http_tick(struct http *http)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!http)
		return;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		const struct connection *at = &http->connections[i];
		uint64_t limit = at->asked ? HTTP_LIFE_S : HTTP_HEADER_S;

		/* The library counts from the last byte only, and sees this as the client's end. */
		if (at->fd >= 0 && now - at->since > limit * NS_PER_S)
			shutdown(at->fd, SHUT_RDWR);
	}
	work(http);
}

/* @options->fd: -1: it is to serve nobody. */
static struct MHD_Daemon *daemon_of(struct http *http, const struct http_options *options)
{
	const struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_VERSIONS },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem listen[] = {
		{ MHD_OPTION_LISTEN_SOCKET, options->fd, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem none = { MHD_OPTION_END, 0, NULL };
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (options->cert ? MHD_USE_TLS : 0u) |
			 (options->fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0u);

	return http->library->start_daemon(flags, 0, NULL, NULL, on_request, http,
		MHD_OPTION_EXTERNAL_LOGGER, on_complaint, http,
		MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, HTTP_PER_ADDRESS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADER_BYTES_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, HTTP_HEADER_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
		MHD_OPTION_NOTIFY_COMPLETED, on_done, http,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_ARRAY, options->fd >= 0 ? listen : &none,
		MHD_OPTION_ARRAY, options->cert ? tls : &none,
		MHD_OPTION_END);
}

/* Where it fails the library has closed the socket, or not. */
static void close_same(int fd, const struct stat *was)
{
	struct stat is;

	if (fd >= 0 && fstat(fd, &is) == 0 && is.st_dev == was->st_dev && is.st_ino == was->st_ino)
		close(fd);
}

static int init(struct http *http, const struct http_options *options, struct err *err)
{
	int r = http_library(&http->library, err);

	if (r < 0)
		return r;
	if (options->cert && http->library->is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return err_set(err, -ENOTSUP, "libmicrohttpd was built without TLS");
	http->daemon = daemon_of(http, options);
	if (!http->daemon)
		return err_set(err, -EINVAL, "HTTP cannot be served%s: %s", options->cert ?
			       " with this certificate and key" : "", http->said);
	return 0;
}

static int join(struct http *http, struct err *err)
{
	const union MHD_DaemonInfo *info = http->library->get_daemon_info(
		http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	http->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!info || http->again < 0)
		return err_set(err, -EMFILE, "HTTP: no descriptor to wait for");
	r = loop_add(http->loop, info->epoll_fd, EPOLLIN, on_ready, http, err);
	if (r < 0)
		return r;
	http->epoll = info->epoll_fd;
	return loop_add(http->loop, http->again, EPOLLIN, on_again, http, err);
}

static struct http *http_new(struct loop *loop)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->loop = loop;
	http->epoll = http->again = -1;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		http->connections[i].fd = -1;
	return http;
}

int http_start(struct loop *loop, const struct http_options *options, struct http **ret,
	       struct err *err)
{
	cleanup(http_stop) struct http *http = http_new(loop);
	struct stat socket;
	int r = fstat(options->fd, &socket) < 0 ? err_set(err, -errno, "no socket for HTTP") :
		http ? init(http, options, err) : err_set(err, -ENOMEM, "no memory for HTTP");

	if (r < 0) {
		close_same(options->fd, &socket);
		return r;
	}
	http->answer = options->answer;
	http->ctx = options->ctx;
	http->counts = options->counts;
	http->has_token = options->token != NULL;
	if (options->token)
		memcpy(http->token, options->token, sizeof(http->token));
	r = join(http, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&http);
	return 0;
}

void http_stop(struct http **ptr)
{
	struct http *http = *ptr;

	if (!http)
		return;
	if (http->epoll >= 0)
		loop_remove(http->loop, http->epoll);
	if (http->again >= 0)
		loop_remove(http->loop, http->again);
	if (http->daemon)
		http->library->stop_daemon(http->daemon);
	fd_close(&http->again);
	free(http);
	*ptr = NULL;
}

int http_usable(const char *cert, const char *key, struct err *err)
{
	const struct http_options options = { .fd = -1, .cert = cert, .key = key };
	cleanup(http_stop) struct http *http = http_new(NULL);

	return http ? init(http, &options, err) : err_set(err, -ENOMEM, "no memory for HTTP");
}
