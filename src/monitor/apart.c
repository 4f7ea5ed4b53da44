/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/apart.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "monitor/heard.h"
#include "monitor/need.h"
#include "monitor/protocol.h"
#include "monitor/sandbox.h"
#include "monitor/scanner.h"
#include "ram/handover.h"

/* What may go on in the bytes that are still to come: a character, or a colour. */
#define TAIL_MAX 8u

/* How late it may be told that the child shall end. */
#define STOP_MS 100

static bool inside;

bool apart_is_inside(void)
{
	return inside;
}

/* --- the child --- */

/* The one message that it gets: where the guest's memory is. */
static int take_ram(struct channel *channel, struct ram **ret, struct err *err)
{
	const struct memory_elsewhere starter = need_memory(channel);
	cleanup(freep) struct message *message = malloc(sizeof(*message));
	struct sealed text;
	int r = message ? channel_receive(channel, message, -1, err) : -ENOMEM;

	if (r < 0)
		return r;
	r = message->rule->type == MSG_OPEN ?
		sealed_map(message->fds[0], HANDOVER_BYTES_MAX, &text, err) :
		err_set(err, -EPROTO, "there is no guest");
	if (r >= 0) {
		r = handover_take(text.data, text.size, message->fds + 1, message->fds_n - 1,
				  &starter, ret, err);
		sealed_unmap(&text);
	}
	for (size_t i = 1; r >= 0 && i < message->fds_n; i++)
		message->fds[i] = -1;
	message_deinit(message);
	return r;
}

static int go_inside(int channel_fd, const int out[2], const int said[2], uint32_t cpu_s,
		     struct ram **ret, struct err *err)
{
	const struct sandbox_limits limits = {
		.memory_bytes = SCANNER_BYTES_MAX, .fds = CHANNEL_FDS_MAX + 16, .cpu_s = cpu_s,
	};
	static struct channel channel;
	struct sandbox sandbox;
	int r;

	inside = true;
	r = sandbox_prepare(&sandbox, channel_fd, MSG_FORBIDDEN, err);

	if (r < 0)
		return r;
	if (dup2(out[1], STDOUT_FILENO) < 0 || dup2(said[1], STDERR_FILENO) < 0)
		return err_set(err, -errno, "outputs: %s", strerror(errno));
	r = sandbox_enter(&sandbox, &limits, err);
	if (r < 0)
		return r;
	channel_init(&channel, channel_fd, ROLE_SCANNER, ROLE_STARTER, protocol_rules,
		     protocol_rules_n);
	return take_ram(&channel, ret, err);
}

/* --- the starter --- */

static void close_stream(struct apart_stream *stream)
{
	fd_close(&stream->from);
	stream->from = -1;
}

static void close_both(int (*fds)[2])
{
	fd_close(&(*fds)[0]);
	fd_close(&(*fds)[1]);
}

static int take_child(struct apart *apart, pid_t pid, int (*channel)[2], int (*out)[2],
		      int (*said)[2], struct err *err)
{
	struct session *session = &apart->session;

	channel_init(&session->channel, take_fd(&(*channel)[0]), ROLE_STARTER, ROLE_SCANNER,
		     protocol_rules, protocol_rules_n);
	apart->out.from = take_fd(&(*out)[0]);
	apart->said.from = take_fd(&(*said)[0]);
	session->process.pid = pid;
	session->process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return session->process.pidfd < 0 ?
		err_set(err, -errno, "pidfd: %s", strerror(errno)) : 0;
}

int apart_begin(struct apart *apart, struct ram *ram, const struct identity *identity,
		uint32_t cpu_s, struct ram **ret, struct err *err)
{
	cleanup(close_both) int channel[2] = { -1, -1 };
	cleanup(close_both) int out[2] = { -1, -1 };
	cleanup(close_both) int said[2] = { -1, -1 };
	int r = channel_pair(channel, err);
	pid_t pid;

	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0)
		return err_set(err, -errno, "pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "no process: %s", strerror(errno));
	if (!pid) {
		r = go_inside(channel[1], out, said, cpu_s, ret, err);
		/* By now they are closed, or are something else. */
		channel[0] = channel[1] = out[0] = out[1] = said[0] = said[1] = -1;
		return r;
	}
	r = take_child(apart, pid, &channel, &out, &said, err);
	if (r >= 0)
		r = session_open(&apart->session, ram, identity, err);
	if (r < 0)
		apart_end(apart);
	return r < 0 ? r : 1;
}

void apart_end(struct apart *apart)
{
	close_stream(&apart->out);
	close_stream(&apart->said);
	session_end(&apart->session);
}

/* How much of it can be judged by itself. */
static size_t whole(const char *text, size_t n)
{
	size_t first = n > TAIL_MAX ? n - TAIL_MAX : 0, end = n;

	if (!n || text[n - 1] == '\n')
		return n;
	for (size_t i = first; i < n; i++)
		if (text[i] == '\033')
			return i;
	/* The last character, which may not have all of its bytes yet. */
	while (end > first && (text[end - 1] & 0xc0) == 0x80)
		end--;
	if (end > first && (text[end - 1] & 0xc0) == 0xc0)
		end--;
	/* Longer than any character is: it is none. */
	return n - end <= 4 ? end : n;
}

static int write_all(int fd, const char *text, size_t n, struct err *err)
{
	while (n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_set(err, -errno, "%s", strerror(errno));
		text += done;
		n -= (size_t)done;
	}
	return 0;
}

static int hand_on(struct apart *apart, struct apart_stream *stream, size_t n, struct err *err)
{
	const struct sealed text = { (const uint8_t *)stream->held, n };
	bool is_out = stream == &apart->out;
	int r;

	if (!heard_text(&text, is_out && apart->colour))
		return err_set(err, -EPROTO, "it printed what is no text");
	r = write_all(is_out ? STDOUT_FILENO : STDERR_FILENO, stream->held, n, err);
	stream->n -= n;
	memmove(stream->held, stream->held + n, stream->n);
	return is_out ? r : 0;
}

static int take_output(struct apart *apart, struct apart_stream *stream, struct err *err)
{
	ssize_t n = read(stream->from, stream->held + stream->n,
			 sizeof(stream->held) - stream->n);
	int r;

	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0)
		return err_set(err, -errno, "what is printed: %s", strerror(errno));
	stream->n += (size_t)n;
	r = hand_on(apart, stream, n ? whole(stream->held, stream->n) : stream->n, err);
	if (!n || r == -EPIPE)
		close_stream(stream);
	/* It sees for itself that nobody reads any more, and ends as it likes to. */
	return r == -EPIPE ? 0 : r;
}

/*
 * One look at all that it may say. Return: 1 (it printed something, or nothing more), 0, or a
 * negative errno.
 */
static int serve(struct apart *apart, bool read_it, struct err *err)
{
	struct pollfd all[] = {
		{ .fd = apart->session.channel.fd, .events = POLLIN },
		{ .fd = apart->out.from, .events = POLLIN },
		{ .fd = apart->said.from, .events = POLLIN },
	};
	int r = 0;

	if (apart->stop && *apart->stop)
		kill(apart->session.process.pid, SIGTERM);
	if (poll(all, ARRAY_SIZE(all), apart->stop ? STOP_MS : -1) < 0)
		return errno == EINTR ? 0 : err_set(err, -errno, "poll: %s", strerror(errno));
	if (all[0].revents) {
		/* It is a person who decides how long that may take. */
		pages_renew(&apart->session.pages);
		r = channel_dispatch(&apart->session.channel, &apart->session, 0, err);
		if (r == -EPIPE)
			channel_close(&apart->session.channel);
		r = r == -EPIPE || r == -ETIMEDOUT ? 0 : r;
	}
	for (size_t i = 1; read_it && r >= 0 && i < ARRAY_SIZE(all); i++)
		if (all[i].revents)
			r = take_output(apart, i == 1 ? &apart->out : &apart->said, err);
	return r < 0 ? r : all[1].revents || all[2].revents;
}

int apart_wait(struct apart *apart, struct err *err)
{
	int r = 0;

	while (!r)
		r = serve(apart, false, err);
	return r < 0 ? r : 0;
}

/* How it ended. */
static int end_of(struct apart *apart, int *status, struct err *err)
{
	struct session *session = &apart->session;
	char name[48], how[64];
	int code = spawn_status(&session->process, how, sizeof(how));

	if (session->forbidden >= 0) {
		sandbox_call_name((uint32_t)session->forbidden, name, sizeof(name));
		return err_set(err, -EPIPE, "its reader made system call %lld (%s), which its "
			       "sandbox forbids: %s", (long long)session->forbidden, name, how);
	}
	if (code < 0)
		return err_set(err, -EPIPE, "its reader has ended: %s", how);
	*status = code;
	return 0;
}

int apart_relay(struct apart *apart, int *status, struct err *err)
{
	int r = 0;

	/* The channel ends with the child: its last words are there before its end. */
	while (r >= 0 && (apart->out.from >= 0 || apart->said.from >= 0 ||
			  apart->session.channel.fd >= 0))
		r = serve(apart, true, err);
	return r < 0 ? r : end_of(apart, status, err);
}
