/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/need.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "monitor/protocol.h"
#include "monitor/sealed.h"

#define QUESTION_BYTES_MAX (1024 + INLINE_BYTES_MAX)

/*
 * Ask, and wait. @answer is for message_deinit() where 0 or more came back; its body stands
 * behind code and text. Return: the answer's code.
 */
static int ask(struct channel *channel, uint32_t type, const struct writer *question, int fd,
	       struct message *answer, struct err *err)
{
	const char *text;
	int r = channel_send_written(channel, type, question, &fd, fd >= 0, -1, err);

	if (r >= 0)
		r = channel_receive(channel, answer, ANSWER_MS, err);
	if (r < 0)
		return r;
	if (answer->rule->type != MSG_ANSWER) {
		r = channel_violated(channel, err, "%s in place of an answer", answer->rule->name);
		message_deinit(answer);
		return r;
	}
	r = (int)bytes_u32(&answer->body);
	text = bytes_text(&answer->body);
	if (!bytes_ok(&answer->body))
		r = channel_violated(channel, NULL, "an answer without a code");
	else if (r < 0 && text)
		err_set(err, r, "%s", text);
	if (r < 0)
		message_deinit(answer);
	return r;
}

/* The bytes that came with an answer, as our own. None: an empty blob. */
static int take_bytes(struct message *answer, size_t max, struct blob *ret, struct err *err)
{
	struct sealed sealed;
	struct blob blob;
	int r;

	*ret = (struct blob){0};
	if (!answer->fds_n)
		return 0;
	r = sealed_map(answer->fds[0], max, &sealed, err);
	if (r < 0)
		return r;
	blob = (struct blob){ malloc(sealed.size ? sealed.size : 1), sealed.size };
	if (blob.data && sealed.size)
		memcpy(blob.data, sealed.data, sealed.size);
	sealed_unmap(&sealed);
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for what the starter sent");
	*ret = blob;
	return 0;
}

/* --- the reference --- */

static int ask_module(void *ctx, const char *name, const char *build_id, struct blob *ret,
		      struct err *err)
{
	uint8_t room[QUESTION_BYTES_MAX];
	struct writer w = writer_of(room, sizeof(room));
	struct message answer;
	struct blob blob;
	int r;

	write_text(&w, name);
	write_text(&w, build_id ? build_id : "");
	r = ask(ctx, MSG_NEED_MODULE, &w, -1, &answer, err);
	if (r < 0)
		return r;
	r = take_bytes(&answer, MODULE_FILE_MAX, &blob, err);
	message_deinit(&answer);
	if (r < 0)
		return r;
	*ret = blob;
	return 0;
}

struct reference_elsewhere need_reference(struct channel *channel)
{
	return (struct reference_elsewhere){ .module = ask_module, .ctx = channel };
}

/* --- the baseline --- */

static int ask_baseline(struct channel *channel, uint32_t op, const char *item, const void *data,
			size_t size, struct message *answer, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	uint8_t room[QUESTION_BYTES_MAX];
	struct writer w = writer_of(room, sizeof(room));

	if (size > INLINE_BYTES_MAX) {
		fd = sealed_make("hvsm-baseline", data, size, err);
		if (fd < 0)
			return fd;
	}
	write_u32(&w, op);
	write_text(&w, item);
	write_u8(&w, fd < 0);
	if (fd < 0)
		write_bytes(&w, data, size);
	return ask(channel, MSG_NEED_BASELINE, &w, fd, answer, err);
}

static int ask_compare(void *ctx, const char *item, const void *data, size_t size,
		       struct blob *was, struct err *err)
{
	struct message answer;
	int r = ask_baseline(ctx, was ? BASELINE_OP_COMPARE_WAS : BASELINE_OP_COMPARE, item, data,
			     size, &answer, err);
	int got = 0;

	if (r < 0)
		return r;
	if (r == BASELINE_DIFFERS && was)
		got = take_bytes(&answer, BASELINE_ITEM_MAX, was, err);
	message_deinit(&answer);
	return got < 0 ? got : r;
}

static void ask_drop(void *ctx, const char *item)
{
	struct message answer;

	/* Where that fails the starter is gone, and with it what it was to forget. */
	if (ask_baseline(ctx, BASELINE_OP_DROP, item, NULL, 0, &answer, NULL) >= 0)
		message_deinit(&answer);
}

static int ask_note(void *ctx, const char *item, const void *data, size_t size, struct err *err)
{
	struct message answer;
	int r = ask_baseline(ctx, BASELINE_OP_NOTE, item, data, size, &answer, err);

	if (r >= 0)
		message_deinit(&answer);
	return r < 0 ? r : 0;
}

static int ask_noted(void *ctx, const char *item, struct blob *ret, struct err *err)
{
	struct message answer;
	struct blob blob;
	int r = ask_baseline(ctx, BASELINE_OP_NOTED, item, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	r = take_bytes(&answer, BASELINE_ITEM_MAX, &blob, err);
	message_deinit(&answer);
	if (r < 0)
		return r;
	*ret = blob;
	return 0;
}

struct baseline_elsewhere need_baseline(struct channel *channel)
{
	return (struct baseline_elsewhere){ .compare = ask_compare, .drop = ask_drop,
					    .note = ask_note, .noted = ask_noted, .ctx = channel };
}

/* --- known programs --- */

static int read_known(struct bytes *b, struct trust_known *ret, struct err *err)
{
	uint32_t kind = bytes_u32(b), mode = bytes_u32(b);
	uint64_t size = bytes_u64(b);
	const char *path = bytes_text(b), *by = bytes_text(b);

	if (!path || !by || !bytes_at_end(b) || kind > TRUST_EXECUTABLE)
		return err_set(err, -EPROTO, "no answer about a digest");
	/* Freed with the answer that it becomes part of, also after a failure. */
	*ret = (struct trust_known){
		.kind = (enum trust_kind)kind, .mode = mode, .size_bytes = size,
		.path = strdup(path), .by = strdup(by),
	};
	return ret->path && ret->by ? 1 : err_set(err, -ENOMEM, "no memory for a digest");
}

static int ask_find(void *ctx, const uint8_t digest[TRUST_DIGEST_BYTES], struct trust_known *ret,
		    struct err *err)
{
	uint8_t room[TRUST_DIGEST_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct message answer;
	int r;

	write_bytes(&w, digest, TRUST_DIGEST_BYTES);
	r = ask(ctx, MSG_NEED_TRUST, &w, -1, &answer, err);
	if (r < 0)
		return r;
	if (r > 0)
		r = read_known(&answer.body, ret, err);
	message_deinit(&answer);
	return r;
}

static int ask_empty(void *ctx, struct err *err)
{
	struct writer w = writer_of(NULL, 0);
	struct message answer;
	int r = ask(ctx, MSG_NEED_TRUST, &w, -1, &answer, err);

	if (r >= 0)
		message_deinit(&answer);
	return r;
}

struct trust_elsewhere need_trust(struct channel *channel)
{
	return (struct trust_elsewhere){ .find = ask_find, .is_empty = ask_empty, .ctx = channel };
}

/* --- the guest's memory --- */

static int ask_memory(void *ctx, uint64_t first, uint32_t n, uint64_t *there, struct err *err)
{
	struct channel *channel = ctx;
	uint8_t room[12];
	struct writer w = writer_of(room, sizeof(room));
	struct message answer;
	uint64_t found;
	int r;

	write_u64(&w, first);
	write_u32(&w, n);
	r = ask(channel, MSG_NEED_MEMORY, &w, -1, &answer, err);
	if (r < 0)
		return r;
	found = bytes_u64(&answer.body);
	if (bytes_at_end(&answer.body))
		*there = found;
	else
		r = channel_violated(channel, err, "an answer about no memory");
	message_deinit(&answer);
	return r < 0 ? r : 0;
}

struct memory_elsewhere need_memory(struct channel *channel)
{
	return (struct memory_elsewhere){ .fetch = ask_memory, .ctx = channel };
}
