/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/channel.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/now.h"

#define HEADER_BYTES 8u

/* Room for the descriptors of one message, aligned as the kernel wants it. */
union rights {
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
	struct cmsghdr align;
};

int channel_pair(int fds[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set(err, -errno, "no channel: %s", strerror(errno));
	return 0;
}

void channel_init(struct channel *channel, int fd, enum role self, enum role peer,
		  const struct channel_rule *rules, size_t rules_n)
{
	*channel = (struct channel){
		.fd = fd, .self = self, .peer = peer, .rules = rules, .rules_n = rules_n,
	};
}

void channel_close(struct channel *channel)
{
	fd_close(&channel->fd);
	channel->fd = -1;
}

int channel_violated(struct channel *channel, struct err *err, const char *fmt, ...)
{
	char text[160];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* Whatever else it sent stays unread, and what it waits for will not come. */
	channel->dead = true;
	if (channel->fd >= 0)
		shutdown(channel->fd, SHUT_RDWR);
	return err_set(err, -EPROTO, "it broke the protocol: %s", text);
}

static const struct channel_rule *find_rule(const struct channel *channel, uint32_t type,
					    enum role sender)
{
	for (size_t i = 0; i < channel->rules_n; i++)
		if (channel->rules[i].type == type && channel->rules[i].sender == sender)
			return &channel->rules[i];
	return NULL;
}

/* Until the socket is ready for @events. 0, -ETIMEDOUT, or another errno. */
static int wait_for(const struct channel *channel, short events, int timeout_ms, struct err *err)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000;
	struct pollfd poll_fd = { .fd = channel->fd, .events = events };
	int left_ms = timeout_ms, r;

	for (;;) {
		r = poll(&poll_fd, 1, left_ms);
		if (r > 0)
			return 0;
		/* EAGAIN: the kernel has no memory for it just now (poll(2)). */
		if (r < 0 && errno != EINTR && errno != EAGAIN)
			return err_set(err, -errno, "channel: %s", strerror(errno));
		if (timeout_ms >= 0) {
			uint64_t now = now_ns(CLOCK_MONOTONIC);

			if (r == 0 || now >= end)
				return err_set(err, -ETIMEDOUT, "no answer for %d ms",
					       timeout_ms);
			left_ms = (int)((end - now) / 1000000) + 1;
		}
	}
}

/* May we say that? */
static bool is_ours(const struct channel *channel, uint32_t type, size_t size, size_t fds_n)
{
	const struct channel_rule *rule = find_rule(channel, type, channel->self);

	return rule && size >= rule->size_min && size <= rule->size_max &&
	       size <= CHANNEL_BODY_MAX && fds_n >= rule->fds_min && fds_n <= rule->fds_max &&
	       fds_n <= CHANNEL_FDS_MAX;
}

int channel_send(struct channel *channel, uint32_t type, const void *body, size_t size,
		 const int *fds, size_t fds_n, int timeout_ms, struct err *err)
{
	uint8_t header[HEADER_BYTES];
	struct writer w = writer_of(header, sizeof(header));
	struct iovec parts[2] = {
		{ .iov_base = header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = size },
	};
	union rights rights = {0};
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = size ? 2 : 1 };
	int r;

	if (channel->dead)
		return err_set(err, -EPROTO, "it broke the protocol before");
	if (!is_ours(channel, type, size, fds_n))
		return err_set(err, -EINVAL, "no such message: type %u of %zu bytes with %zu "
			       "descriptors", type, size, fds_n);
	write_u32(&w, type);
	write_u32(&w, (uint32_t)size);
	if (fds_n) {
		struct cmsghdr *cmsg;

		msg.msg_control = rights.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fds_n);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fds_n);
	}
	for (;;) {
		/* One message or none of it: SOCK_SEQPACKET. */
		if (sendmsg(channel->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET || errno == EPIPE || errno == ENOTCONN)
			return err_set(err, -EPIPE, "it is gone");
		if (errno != EAGAIN)
			return err_set(err, -errno, "channel: %s", strerror(errno));
		r = wait_for(channel, POLLOUT, timeout_ms, err);
		if (r < 0)
			return r;
	}
}

int channel_send_written(struct channel *channel, uint32_t type, const struct writer *body,
			 const int *fds, size_t fds_n, int timeout_ms, struct err *err)
{
	if (!writer_ok(body))
		return err_set(err, -EINVAL, "a message of type %u that is too long", type);
	return channel_send(channel, type, body->data, body->n, fds, fds_n, timeout_ms, err);
}

/* Take over every descriptor that came: what is not wanted must be closed all the same. */
static void collect_fds(struct msghdr *msg, struct message *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && message->fds_n < CHANNEL_FDS_MAX; i++)
			memcpy(&message->fds[message->fds_n++], CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
	}
}

/* It was sent as it should be, and this process has no room for it. */
static int fds_lost(struct channel *channel, uint32_t type, struct err *err)
{
	channel->dead = true;
	shutdown(channel->fd, SHUT_RDWR);
	return err_set(err, -EMFILE, "the descriptors of message %u could not be received: too "
		       "many are open", type);
}

/* Is it what the table allows? */
static int check_message(struct channel *channel, struct message *message, size_t n, int flags,
			 struct err *err)
{
	struct bytes b = bytes_of(message->buffer, n);
	uint32_t type = bytes_u32(&b), size = bytes_u32(&b);
	const struct channel_rule *rule;

	if (!bytes_ok(&b))
		return channel_violated(channel, err, "a message of %zu bytes", n);
	/* Room was there for all that may come. */
	if (flags & MSG_CTRUNC && !(flags & MSG_TRUNC) && message->fds_n < CHANNEL_FDS_MAX)
		return fds_lost(channel, type, err);
	if (flags & (MSG_TRUNC | MSG_CTRUNC))
		return channel_violated(channel, err, "message %u is too large", type);
	rule = find_rule(channel, type, channel->peer);
	if (!rule)
		return channel_violated(channel, err, "message %u is not for it to send", type);
	if (size != b.left)
		return channel_violated(channel, err, "%s says %u bytes and has %zu", rule->name,
					size, b.left);
	if (size < rule->size_min || size > rule->size_max)
		return channel_violated(channel, err, "%s of %u bytes", rule->name, size);
	if (message->fds_n < rule->fds_min || message->fds_n > rule->fds_max)
		return channel_violated(channel, err, "%s with %zu descriptors", rule->name,
					message->fds_n);
	message->rule = rule;
	message->body = b;
	return 0;
}

int channel_receive(struct channel *channel, struct message *message, int timeout_ms,
		    struct err *err)
{
	struct iovec part = { .iov_base = message->buffer, .iov_len = sizeof(message->buffer) };
	union rights rights;
	struct msghdr msg;
	ssize_t n;
	int r;

	if (channel->dead)
		return err_set(err, -EPROTO, "it broke the protocol before");
	message->rule = NULL;
	message->fds_n = 0;
	for (;;) {
		/* It is hardly ever there already where it is waited for. */
		r = timeout_ms > 0 ? wait_for(channel, POLLIN, timeout_ms, err) : 0;
		if (r < 0)
			return r;
		msg = (struct msghdr){
			.msg_iov = &part, .msg_iovlen = 1,
			.msg_control = rights.bytes, .msg_controllen = sizeof(rights.bytes),
		};
		n = recvmsg(channel->fd, &msg,
			    (timeout_ms < 0 ? 0 : MSG_DONTWAIT) | MSG_CMSG_CLOEXEC);
		if (n >= 0)
			break;
		if (errno == ECONNRESET)
			return err_set(err, -EPIPE, "it is gone");
		if (errno == EAGAIN && !timeout_ms)
			return err_set(err, -ETIMEDOUT, "no answer yet");
		if (errno != EAGAIN && errno != EINTR)
			return err_set(err, -errno, "channel: %s", strerror(errno));
	}
	collect_fds(&msg, message);
	/* An empty message and the end look alike, but for what comes with the former. */
	if (n == 0 && !message->fds_n)
		return err_set(err, -EPIPE, "it is gone");
	r = check_message(channel, message, (size_t)n, msg.msg_flags, err);
	if (r < 0)
		message_deinit(message);
	return r;
}

void message_deinit(struct message *message)
{
	for (size_t i = 0; i < message->fds_n; i++)
		fd_close(&message->fds[i]);
	message->fds_n = 0;
	message->rule = NULL;
}

int channel_dispatch(struct channel *channel, void *ctx, int timeout_ms, struct err *err)
{
	struct message message;
	int r = channel_receive(channel, &message, timeout_ms, err);

	if (r < 0)
		return r;
	if (!message.rule->handler)
		r = channel_violated(channel, err, "%s, which nobody asked for",
				     message.rule->name);
	else
		r = message.rule->handler(channel, &message, ctx, err);
	/* A handler that found the body wanting need not have said so. */
	if (r == -EPROTO && !channel->dead)
		channel_violated(channel, NULL, "%s", message.rule->name);
	message_deinit(&message);
	return r;
}
