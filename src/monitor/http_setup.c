/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http_setup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/trusted.h"

#define BACKLOG 64

static const char unix_scheme[] = "unix:";

/* Becomes unreadable before it is freed. */
static void forget(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* All of a file that nobody else can change; @secret: nor read. */
static int read_file(const char *path, size_t max, bool secret, char **ret, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	cleanup(forget) char *text = NULL;
	struct stat status;
	size_t n = 0;
	ssize_t got;
	int r = trusted_path(path, S_IFREG, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (secret && (status.st_mode & S_IRWXO))
		return err_set(err, -EACCES, "%s: others may read it (chmod o-rwx)", path);
	text = calloc(1, max + 2);
	if (!text)
		return err_set(err, -ENOMEM, "no memory for %s", path);
	while (n <= max && (got = read(fd, text + n, max + 1 - n)) != 0) {
		if (got < 0)
			return err_set(err, -errno, "%s: %s", path, strerror(errno));
		n += (size_t)got;
	}
	if (n > max || strlen(text) != n)
		return err_set(err, -EINVAL, "%s: no text of up to %zu bytes", path, max);
	*ret = take_ptr(&text);
	return 0;
}

/* One line; RFC 6750, 2.1 has the characters. */
static int read_token(const char *path, struct http_setup *setup, struct err *err)
{
	cleanup(forget) char *text = NULL;
	size_t n;
	int r = read_file(path, HTTP_TOKEN_CHARS_MAX + 2, true, &text, err);

	if (r < 0)
		return r;
	n = strcspn(text, "\r\n");
	if (strspn(text + n, "\r\n") != strlen(text + n) || n < HTTP_TOKEN_CHARS_MIN ||
	    n > HTTP_TOKEN_CHARS_MAX ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-._~+/=") != n)
		return err_set(err, -EINVAL, "%s: it is to hold one line with a token of %u to %u "
			       "characters, of A-Z a-z 0-9 - . _ ~ + / = (openssl rand -hex 32)",
			       path, HTTP_TOKEN_CHARS_MIN, HTTP_TOKEN_CHARS_MAX);
	http_token_digest(text, n, setup->token);
	setup->has_token = true;
	return 0;
}

static int read_files(const struct config *config, struct http_setup *setup, struct err *err)
{
	int r = 0;

	if (config->http.token_file)
		r = read_token(config->http.token_file, setup, err);
	if (r >= 0 && config->http.tls_cert)
		r = read_file(config->http.tls_cert, HTTP_PEM_BYTES_MAX, false, &setup->cert, err);
	if (r >= 0 && config->http.tls_key)
		r = read_file(config->http.tls_key, HTTP_PEM_BYTES_MAX, true, &setup->key, err);
	return r;
}

/* "ADDRESS:PORT", which the configuration has found to be one. */
static int listen_at(const char *listen_text, struct err *err)
{
	struct sockaddr_in6 address6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in address = { .sin_family = AF_INET };
	const char *colon = strrchr(listen_text, ':');
	bool six = *listen_text == '[';
	cleanup(fd_close) int fd = -1;
	char host[64];
	int on = 1, r;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - listen_text) - 2 * six,
		 listen_text + six);
	address.sin_port = address6.sin6_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(six ? AF_INET6 : AF_INET, host,
		      six ? (void *)&address6.sin6_addr : (void *)&address.sin_addr) != 1)
		return err_set(err, -EINVAL, "%s: not an address", listen_text);
	fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %s", strerror(errno));
	/* After a restart the port is free at once. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	r = six ? bind(fd, (const struct sockaddr *)&address6, sizeof(address6)) :
		  bind(fd, (const struct sockaddr *)&address, sizeof(address));
	if (r < 0 || listen(fd, BACKLOG) < 0)
		return err_set(err, -errno, "%s: %s", listen_text, strerror(errno));
	return take_fd(&fd);
}

static const char *unix_path(const char *listen_text)
{
	size_t n = sizeof(unix_scheme) - 1;

	return listen_text && !strncmp(listen_text, unix_scheme, n) ? listen_text + n : NULL;
}

static bool is_same_place(const struct http_setup *a, const struct http_setup *b)
{
	return a->listen && b->listen && !strcmp(a->listen, b->listen);
}

static int open_socket(const struct http_setup *setup, const struct http_setup *now,
		       const struct settings_user *user, struct err *err)
{
	const char *path = unix_path(setup->listen);
	int fd;

	if (!is_same_place(setup, now))
		return path ? settings_listen_unix(path, user, err) :
			      listen_at(setup->listen, err);
	fd = fcntl(now->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_set(err, -errno, "%s: %s", setup->listen, strerror(errno)) : fd;
}

int http_setup_make(const struct config *config, const struct settings_user *user,
		    const struct http_setup *now, struct http_setup *ret, struct err *err)
{
	cleanup(http_setup_free) struct http_setup setup = HTTP_SETUP_NONE;
	int r = 0;

	if (config->http.listen) {
		setup.listen = strdup(config->http.listen);
		r = setup.listen ? read_files(config, &setup, err) :
				   err_set(err, -ENOMEM, "no memory for HTTP");
		if (r >= 0)
			r = setup.fd = open_socket(&setup, now, user, err);
	}
	if (r < 0)
		return wrap(err, r, "http");
	*ret = setup;
	setup = HTTP_SETUP_NONE;
	return 0;
}

void http_setup_free(struct http_setup *setup)
{
	fd_close(&setup->fd);
	free(setup->listen);
	free(setup->cert);
	forget(&setup->key);
	*setup = HTTP_SETUP_NONE;
}

void http_setup_remove(const struct http_setup *setup, const struct http_setup *now)
{
	const char *path = unix_path(setup->listen);

	if (path && !is_same_place(setup, now))
		unlink(path);
}

int http_setup_check(const struct config *config, struct err *err)
{
	cleanup(http_setup_free) struct http_setup setup = HTTP_SETUP_NONE;
	int r = 0;

	if (config->http.listen)
		r = read_files(config, &setup, err);
	if (config->http.listen && r >= 0)
		r = http_usable(setup.cert, setup.key, err);
	return r < 0 ? wrap(err, r, "http") : 0;
}
