/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/reaction_kinds.h"

/*
 * libcurl is loaded only by who uses it: most hosts need no HTTP. Its numbers are fixed since
 * libcurl.so.4 (docs/INTERNALS.md, "ABI"); these are of curl/curl.h.
 */
enum {
	CURL_POSTFIELDSIZE = 60, CURL_TIMEOUT_MS = 155, CURL_NOSIGNAL = 99,
	CURL_SSL_VERIFYPEER = 64, CURL_SSL_VERIFYHOST = 81,
	CURL_WRITEDATA = 10001, CURL_URL = 10002, CURL_PROXY = 10004, CURL_ERRORBUFFER = 10010,
	CURL_POSTFIELDS = 10015, CURL_USERAGENT = 10018, CURL_HTTPHEADER = 10023,
	CURL_WRITEFUNCTION = 20011,
	CURL_RESPONSE_CODE = 0x200002,
	CURL_ERROR_SIZE = 256,
};

struct curl {
	void *library;
	void *(*easy_init)(void);
	int (*easy_setopt)(void *, int, ...);
	int (*easy_perform)(void *);
	int (*easy_getinfo)(void *, int, ...);
	void *(*slist_append)(void *, const char *);
};

static int load(struct curl *curl, struct err *err)
{
	const struct { const char *name; void *to; } functions[] = {
		{ "curl_easy_init", &curl->easy_init },
		{ "curl_easy_setopt", &curl->easy_setopt },
		{ "curl_easy_perform", &curl->easy_perform },
		{ "curl_easy_getinfo", &curl->easy_getinfo },
		{ "curl_slist_append", &curl->slist_append },
	};

	curl->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!curl->library)
		curl->library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!curl->library)
		return err_set(err, -ENOTSUP, "webhooks need libcurl (Debian: libcurl4), which is "
					      "not installed");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(curl->library, functions[i].name);

		if (!function)
			return err_set(err, -ENOTSUP, "libcurl has no %s", functions[i].name);
		memcpy(functions[i].to, &function, sizeof(function));
	}
	return 0;
}

int reaction_webhook_usable(struct err *err)
{
	struct curl curl = {0};
	int r = load(&curl, err);

	if (curl.library)
		dlclose(curl.library);
	return r;
}

/* What the other side answers is of no interest, but for its status. */
static size_t drop(const char *data, size_t size, size_t n, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * n;
}

/* All of a descriptor, terminated. */
static char *contents(int fd, size_t max, size_t *n)
{
	cleanup(freep) char *text = malloc(max + 1);
	ssize_t got;

	*n = 0;
	while (text && *n < max && (got = read(fd, text + *n, max - *n)) > 0)
		*n += (size_t)got;
	if (text)
		text[*n] = '\0';
	return take_ptr(&text);
}

static int token_header(const char *path, char *header, size_t size, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup(freep) char *token = NULL;
	size_t n;

	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	token = contents(fd, 1024, &n);
	if (!token)
		return err_set(err, -ENOMEM, "no memory");
	token[strcspn(token, "\r\n")] = '\0';
	if (!*token)
		return err_set(err, -EINVAL, "%s: it holds no token", path);
	snprintf(header, size, "Authorization: Bearer %s", token);
	return 0;
}

/* "https://host:1": of some webhooks the path is the secret, and errors are told far and wide. */
static int place_n(const char *url)
{
	size_t scheme = strcspn(url, ":");
	size_t host = scheme + strspn(url + scheme, ":/");

	return (int)(host + strcspn(url + host, "/?#"));
}

static int post(const struct curl *curl, const struct config_reaction *reaction, const char *text,
		size_t n, const char *token, long *status, struct err *err)
{
	static char problem[CURL_ERROR_SIZE];
	void *headers = curl->slist_append(NULL, "Content-Type: application/json");
	void *easy = curl->easy_init();
	int r;

	/* No "100 Continue": some servers never send it. */
	headers = headers ? curl->slist_append(headers, "Expect:") : NULL;
	if (headers && *token)
		headers = curl->slist_append(headers, token);
	if (!headers || !easy)
		return err_set(err, -ENOMEM, "no memory");
	r = curl->easy_setopt(easy, CURL_URL, reaction->url);
	r |= curl->easy_setopt(easy, CURL_POSTFIELDS, text);
	r |= curl->easy_setopt(easy, CURL_POSTFIELDSIZE, (long)n);
	r |= curl->easy_setopt(easy, CURL_HTTPHEADER, headers);
	r |= curl->easy_setopt(easy, CURL_TIMEOUT_MS, (long)reaction->timeout_s * 1000);
	r |= curl->easy_setopt(easy, CURL_NOSIGNAL, 1L);
	r |= curl->easy_setopt(easy, CURL_SSL_VERIFYPEER, 1L);
	r |= curl->easy_setopt(easy, CURL_SSL_VERIFYHOST, 2L);
	r |= curl->easy_setopt(easy, CURL_PROXY, "");
	r |= curl->easy_setopt(easy, CURL_USERAGENT, "hvsm/" HVSM_VERSION);
	r |= curl->easy_setopt(easy, CURL_WRITEFUNCTION, drop);
	r |= curl->easy_setopt(easy, CURL_ERRORBUFFER, problem);
	if (r)
		return err_set(err, -ENOTSUP, "libcurl does not take an option");
	r = curl->easy_perform(easy);
	if (r)
		return err_set(err, -EIO, "%.*s: %s (libcurl error %d)",
			       place_n(reaction->url), reaction->url, problem, r);
	curl->easy_getinfo(easy, CURL_RESPONSE_CODE, status);
	return 0;
}

int reaction_webhook(struct reaction_job *job, struct err *err)
{
	const struct config_reaction *reaction = job->reaction;
	cleanup(freep) char *text = NULL;
	struct curl curl = {0};
	char token[1100] = "";
	long status = 0;
	size_t n;
	int r = load(&curl, err);

	if (r == 0 && reaction->token_file)
		r = token_header(reaction->token_file, token, sizeof(token), err);
	if (r < 0)
		return r;
	text = contents(STDIN_FILENO, REACTION_MESSAGE_MAX, &n);
	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	r = post(&curl, reaction, text, n, token, &status, err);
	if (r < 0)
		return r;
	/* Redirections are not followed: the message is for who was configured. */
	if (status < 200 || status > 299)
		return err_set(err, -EIO, "%.*s: the answer is %ld", place_n(reaction->url),
			       reaction->url, status);
	snprintf(job->done, sizeof(job->done), "the answer is %ld", status);
	return 0;
}
