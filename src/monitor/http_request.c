/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http_request.h"

#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

/* What may stand behind the '?'. */
enum {
	TAKES_GUEST = 1,
	TAKES_SEVERITY = 2,
	TAKES_STATE = 4,
	TAKES_AFTER = 8,
	TAKES_LIMIT = 16,
	TAKES_ORDER = 32,
	TAKES_BEFORE = 64,
};

#define TAKES_PAGE (TAKES_AFTER | TAKES_LIMIT | TAKES_ORDER | TAKES_BEFORE)

static const struct {
	const char *path;	/* a segment in braces is a variable */
	unsigned takes;
} routes[HTTP_ROUTES] = {
	[HTTP_HEALTH] = { "/healthz", 0 },
	[HTTP_METRICS] = { "/metrics", 0 },
	[HTTP_OPENAPI] = { "/openapi.json", 0 },
	[HTTP_STATUS] = { "/v1/status", 0 },
	[HTTP_GUESTS] = { "/v1/guests", 0 },
	[HTTP_GUEST] = { "/v1/guests/{id}", 0 },
	[HTTP_FINDINGS] = { "/v1/findings",
			    TAKES_GUEST | TAKES_SEVERITY | TAKES_STATE | TAKES_PAGE },
	[HTTP_REPORTS] = { "/v1/reports", TAKES_GUEST | TAKES_PAGE },
	[HTTP_REPORT] = { "/v1/reports/{n}", 0 },
	[HTTP_INCIDENTS] = { "/v1/incidents", 0 },
};

const char *http_route_path(enum http_route route)
{
	return routes[route].path;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, 2.1. What decodes to a control character is no name that anything has. */
static bool decode(const char *text, size_t n, char *ret, size_t size)
{
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '%') {
			if (n - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
				return false;
			c = (unsigned char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
			i += 2;
		}
		if (c < ' ' || c == 0x7f || made + 1 >= size)
			return false;
		ret[made++] = (char)c;
	}
	ret[made] = '\0';
	return true;
}

/* Digits only: a number of SQLite's at most. */
static bool number_of(const char *text, size_t n, uint64_t *ret)
{
	uint64_t value = 0;

	if (!n || n > 18)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*ret = value;
	return true;
}

/* Is that the path of the route? Its variable, which must not be empty, is where @variable is. */
static bool is_path(const char *route, const char *path, size_t n, struct bytes *variable)
{
	size_t fixed = strcspn(route, "{");

	if (n < fixed || memcmp(path, route, fixed) != 0)
		return false;
	*variable = bytes_of(path + fixed, n - fixed);
	if (!route[fixed])
		return n == fixed;
	return n > fixed && !memchr(path + fixed, '/', n - fixed);
}

static enum http_route route_of(const char *path, size_t n, struct bytes *variable)
{
	enum http_route route = 0;

	while (route < HTTP_ROUTES && !is_path(routes[route].path, path, n, variable))
		route++;
	return route;
}

static unsigned refuse(struct err *err, unsigned status, const char *why)
{
	err_set(err, status == 404 ? -ENOENT : status == 405 ? -EACCES : -EINVAL, "%s", why);
	return status;
}

/* One of some words; -1: none of them. */
static int word_of(const char *const *words, size_t words_n, const char *text, size_t n)
{
	for (size_t i = 0; i < words_n; i++)
		if (strlen(words[i]) == n && !memcmp(words[i], text, n))
			return (int)i;
	return -1;
}

static unsigned take(unsigned key, const char *value, size_t n, struct http_request *ret,
		     struct err *err)
{
	static const char *const severities[] = { "low", "medium", "high", "critical" };
	static const char *const states[] = {
		[DOCUMENT_OPEN] = "open", [DOCUMENT_CLOSED] = "closed", [DOCUMENT_ALL] = "all",
	};
	static const char *const orders[] = { "oldest", "newest" };
	int word;

	switch (key) {
	case TAKES_GUEST:
		return n && decode(value, n, ret->name, sizeof(ret->name)) ? 200 :
			refuse(err, 400, "guest is not a name, or not encoded as one");
	case TAKES_SEVERITY:
		word = word_of(severities, ARRAY_SIZE(severities), value, n);
		if (word < 0)
			return refuse(err, 400, "severity is low, medium, high or critical");
		ret->query.severity = severities[word];
		return 200;
	case TAKES_STATE:
		word = word_of(states, ARRAY_SIZE(states), value, n);
		if (word < 0)
			return refuse(err, 400, "state is open, closed or all");
		ret->query.state = (enum document_state)word;
		return 200;
	case TAKES_AFTER:
		return number_of(value, n, &ret->query.after) ? 200 :
			refuse(err, 400, "after is a number, as next was");
	case TAKES_BEFORE:
		return cursor_read(value, n, ret->route == HTTP_FINDINGS, &ret->query.before) ?
			200 : refuse(err, 400, "before is as next was, or the id of a report");
	case TAKES_ORDER:
		word = word_of(orders, ARRAY_SIZE(orders), value, n);
		ret->query.newest = word > 0;
		return word >= 0 ? 200 : refuse(err, 400, "order is oldest or newest");
	default:
		return number_of(value, n, &ret->query.limit) && ret->query.limit > 0 &&
				       ret->query.limit <= HTTP_LIMIT_MAX ? 200 :
			refuse(err, 400, "limit is a number from 1 to 1000");
	}
}

static unsigned parse_query(const char *query, struct http_request *ret, struct err *err)
{
	static const char *const keys[] = {
		"guest", "severity", "state", "after", "limit", "order", "before",
	};
	unsigned taken = 0, status = 200;

	while (status == 200 && *query) {
		size_t n = strcspn(query, "&"), key_n = strcspn(query, "=&");
		int word = word_of(keys, ARRAY_SIZE(keys), query, key_n);
		unsigned key = word < 0 ? 0 : 1u << word;

		if (!(routes[ret->route].takes & key))
			return refuse(err, 400, "a parameter that this path does not take");
		if (key_n == n || (taken & key))
			return refuse(err, 400, "a parameter without a value, or twice");
		taken |= key;
		status = take(key, query + key_n + 1, n - key_n - 1, ret, err);
		query += n + (query[n] == '&');
	}
	if (status == 200 && (taken & (ret->query.newest ? TAKES_AFTER : TAKES_BEFORE)))
		return refuse(err, 400, "before goes with order=newest, and after with no other "
			      "order than oldest");
	return status;
}

static unsigned parse_variable(const struct bytes *variable, struct http_request *ret,
			       struct err *err)
{
	const char *text = (const char *)variable->at;

	if (ret->route == HTTP_GUEST && !decode(text, variable->left, ret->name, sizeof(ret->name)))
		return refuse(err, 400, "the path has no name of a guest, encoded as one");
	if (ret->route == HTTP_REPORT && !number_of(text, variable->left, &ret->number))
		return refuse(err, 400, "the path has no number of a report");
	return 200;
}

unsigned http_request_parse(const char *method, const char *target, struct http_request *ret,
			    struct err *err)
{
	size_t n = strcspn(target, "?");
	struct bytes variable;
	unsigned status;

	*ret = (struct http_request){ .route = HTTP_ROUTES, .query = { .limit = HTTP_LIMIT } };
	if (strlen(target) > HTTP_TARGET_MAX)
		return refuse(err, 414, "the path and its parameters are too long");
	ret->route = route_of(target, n, &variable);
	if (ret->route == HTTP_ROUTES)
		return refuse(err, 404, "no such path (/openapi.json has those that there are)");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(err, 405, "nothing can be changed here: GET and HEAD only");
	status = parse_variable(&variable, ret, err);
	return status == 200 && target[n] ? parse_query(target + n + 1, ret, err) : status;
}
