/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/broker.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "monitor/protocol.h"
#include "monitor/sealed.h"

/* GRANT: it is told of nothing else at the time, so there is room. */
#define SEND_MS 0

/* --- files in memory --- */

int broker_put_kernel(struct broker_files *files, struct reference *reference, struct err *err)
{
	const struct blob *vmlinux = reference_vmlinux(reference);
	int fd;

	if (files->vmlinux < 0) {
		fd = sealed_make("hvsm-vmlinux", vmlinux->data, vmlinux->size, err);
		if (fd < 0)
			return fd;
		files->vmlinux = fd;
	}
	reference_release_vmlinux(reference);
	return 0;
}

int broker_put_agents(struct broker_files *files, const struct builds *builds, struct err *err)
{
	if (builds->all.n > AGENT_BUILDS_MAX)
		return err_set(err, -ELOOP, "over %u builds of the agent", AGENT_BUILDS_MAX);
	for (size_t i = 0; i < builds->all.n; i++) {
		const struct build *build = builds->all.v[i];
		cleanup(fd_close) int fd = sealed_make("hvsm-agent", build->file.data,
						       build->file.size, err);
		cleanup(freep) char *path = strdup(build->path);
		struct broker_agent *agent;

		if (fd < 0)
			return fd;
		agent = path ? vec_add(&files->agents) : NULL;
		if (!agent)
			return err_set(err, -ENOMEM, "no memory for agents");
		*agent = (struct broker_agent){ .path = take_ptr(&path), .fd = take_fd(&fd) };
	}
	return 0;
}

void broker_files_free(struct broker_files *files)
{
	fd_close(&files->vmlinux);
	fd_close(&files->profile);
	for (size_t i = 0; i < files->agents.n; i++) {
		fd_close(&files->agents.v[i].fd);
		free(files->agents.v[i].path);
	}
	vec_free(&files->agents);
	*files = BROKER_FILES_NONE;
}

/* --- what there is --- */

static void write_source(struct writer *w, const struct reference_source *source)
{
	write_text(w, source->source);
	write_text(w, source->path);
	write_text(w, source->package);
	write_text(w, source->version);
	write_text(w, source->sha256);
	write_text(w, source->signature);
}

int broker_grant(const struct broker *broker, struct channel *channel, struct err *err)
{
	static const struct reference_source none;
	const struct broker_files *files = broker->files;
	uint8_t room[CHANNEL_BODY_MAX];
	struct writer w = writer_of(room, sizeof(room));
	int fds[2 + AGENT_BUILDS_MAX];
	size_t n = 0, agents = files ? files->agents.n : 0;
	uint32_t flags = 0;

	if (broker->reference) {
		flags |= GRANT_REFERENCE;
		flags |= reference_has_modules(broker->reference) ? GRANT_MODULES : 0;
		fds[n++] = files->vmlinux;
		if (files->profile >= 0) {
			flags |= GRANT_PROFILE;
			fds[n++] = files->profile;
		}
	}
	flags |= broker->baseline ? GRANT_BASELINE : 0;
	flags |= broker->trust ? GRANT_TRUST : 0;
	write_u32(&w, flags);
	write_source(&w, broker->reference ? reference_source(broker->reference) : &none);
	write_u32(&w, (uint32_t)agents);
	for (size_t i = 0; i < agents; i++) {
		write_text(&w, files->agents.v[i].path);
		fds[n++] = files->agents.v[i].fd;
	}
	return channel_send_written(channel, MSG_GRANT, &w, fds, n, SEND_MS, err);
}

/* --- questions --- */

struct answer {
	uint8_t room[CHANNEL_BODY_MAX];
	struct writer more;	/* what stands behind code and text; in @room */
	int fd;			/* -1: none; closed when it was sent */
};

static int send_answer(struct channel *channel, struct answer *answer, int code,
		       const struct err *why, struct err *err)
{
	cleanup(fd_close) int fd = answer->fd;
	uint8_t room[CHANNEL_BODY_MAX];
	struct writer w = writer_of(room, sizeof(room));

	write_u32(&w, (uint32_t)code);
	write_text(&w, code < 0 && why->code ? why->text : NULL);
	if (code >= 0)
		write_bytes(&w, answer->more.data, answer->more.n);
	/* A path that is too long for a message is not worth an answer. */
	if (!writer_ok(&w) || !writer_ok(&answer->more)) {
		w = writer_of(room, sizeof(room));
		write_u32(&w, (uint32_t)-ELOOP);
		write_text(&w, "an answer that is too long");
	}
	/* It waits for each answer, so there is room for one; nobody waits for who does not. */
	code = channel_send_written(channel, MSG_ANSWER, &w, &fd, fd >= 0, 0, err);
	return code == -ETIMEDOUT ? channel_violated(channel, err, "questions without reading "
						     "the answers") : code;
}

static int put_bytes(struct answer *answer, const struct blob *blob, struct err *err)
{
	int fd = sealed_make("hvsm-answer", blob->data, blob->size, err);

	if (fd < 0)
		return fd;
	answer->fd = fd;
	return 0;
}

static int answer_module(struct broker *broker, struct bytes *b, struct answer *answer,
			 bool *sound, struct err *err)
{
	const char *name = bytes_text(b), *build_id = bytes_text(b);
	cleanup(blob_free) struct blob module = {0};
	int r;

	*sound = name && build_id && bytes_at_end(b);
	if (!*sound || !broker->reference)
		return err_set(err, -ENOENT, "there is no reference");
	r = reference_module(broker->reference, name, build_id, &module, err);
	return r < 0 ? r : put_bytes(answer, &module, err);
}

/* What came with a question, in the message or beside it. */
static int map_question(struct message *question, struct sealed *ret, struct err *err)
{
	bool inside = bytes_u8(&question->body);

	if (!bytes_ok(&question->body) || inside == (question->fds_n > 0) ||
	    (!inside && question->body.left))
		return err_set(err, -EPROTO, "no bytes to compare");
	if (!inside)
		return sealed_map(question->fds[0], BASELINE_ITEM_MAX, ret, err);
	*ret = (struct sealed){ question->body.at, question->body.left };
	return 0;
}

static int do_baseline(struct broker *broker, uint32_t op, const char *item,
		       const struct sealed *data, struct answer *answer, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	int r, put;

	if (!broker->baseline)
		return err_set(err, -ENOENT, "there is no baseline");
	switch (op) {
	case BASELINE_OP_COMPARE:
	case BASELINE_OP_COMPARE_WAS:
		r = baseline_compare(broker->baseline, item, data->data, data->size,
				     op == BASELINE_OP_COMPARE_WAS ? &blob : NULL, err);
		if (r != BASELINE_DIFFERS || op == BASELINE_OP_COMPARE)
			return r;
		put = put_bytes(answer, &blob, err);
		return put < 0 ? put : r;
	case BASELINE_OP_DROP:
		baseline_drop(broker->baseline, item);
		return 0;
	case BASELINE_OP_NOTE:
		return baseline_note(broker->baseline, item, data->data, data->size, err);
	default:
		r = baseline_noted(broker->baseline, item, &blob, err);
		return r < 0 ? r : put_bytes(answer, &blob, err);
	}
}

/*
 * What is noted replaces what was, and lies beside what is compared. So one name is noted, and
 * that one is not compared: else who has taken a scanner over could record what the guest is to
 * look like from now on, or fill the store.
 */
static bool may_ask(struct broker *broker, uint32_t op, const char *item)
{
	bool noted = op == BASELINE_OP_NOTE || op == BASELINE_OP_NOTED;

	if (op == BASELINE_OP_NOTE && ++broker->noted > BROKER_NOTES_MAX)
		return false;
	return noted == !strcmp(item, BASELINE_AGENT_ITEM);
}

static int answer_baseline(struct broker *broker, struct message *question,
			   struct answer *answer, bool *sound, struct err *err)
{
	uint32_t op = bytes_u32(&question->body);
	const char *item = bytes_text(&question->body);
	struct sealed data;
	int r;

	*sound = item && op < BASELINE_OPS && may_ask(broker, op, item);
	if (!*sound)
		return -EPROTO;
	r = map_question(question, &data, err);
	if (r < 0) {
		*sound = r != -EPROTO;
		return r;
	}
	r = do_baseline(broker, op, item, &data, answer, err);
	if (question->fds_n)
		sealed_unmap(&data);
	return r;
}

static int answer_trust(struct broker *broker, struct bytes *b, struct answer *answer,
			bool *sound, struct err *err)
{
	const struct trust_known *known;
	uint8_t digest[TRUST_DIGEST_BYTES];
	int r;

	*sound = !b->left || b->left == sizeof(digest);
	if (!*sound || !broker->trust)
		return err_set(err, -ENOENT, "there is no trust store");
	if (!b->left)
		return trust_is_empty(broker->trust, err);
	bytes_copy(b, digest, sizeof(digest));
	r = trust_find(broker->trust, digest, &known, err);
	if (r <= 0)
		return r;
	write_u32(&answer->more, known->kind);
	write_u32(&answer->more, known->mode);
	write_u64(&answer->more, known->size_bytes);
	write_text(&answer->more, known->path);
	write_text(&answer->more, known->by);
	return r;
}

void broker_renew(struct broker *broker)
{
	broker->asked = 0;
	broker->noted = 0;
	broker->job_cpu_ns = broker->cpu_ns;
}

static int look_up(struct broker *broker, struct message *question, struct answer *answer,
		   bool *sound, struct err *why)
{
	uint64_t started = now_ns(CLOCK_THREAD_CPUTIME_ID);
	int code = -EPROTO;

	switch (question->rule->type) {
	case MSG_NEED_MODULE:
		code = answer_module(broker, &question->body, answer, sound, why);
		break;
	case MSG_NEED_BASELINE:
		code = answer_baseline(broker, question, answer, sound, why);
		break;
	case MSG_NEED_TRUST:
		code = answer_trust(broker, &question->body, answer, sound, why);
		break;
	}
	broker->cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - started;
	return code;
}

int broker_answer(struct broker *broker, struct channel *channel, struct message *question,
		  struct err *err)
{
	struct answer answer = { .fd = -1 };
	struct err why = {0};
	bool sound = false;
	int code;

	if (++broker->asked > BROKER_QUESTIONS_MAX)
		return channel_violated(channel, err, "over %u questions", BROKER_QUESTIONS_MAX);
	if (broker->cpu_ns - broker->job_cpu_ns > BROKER_CPU_NS_MAX)
		return channel_violated(channel, err, "questions that took over %llu s",
					BROKER_CPU_NS_MAX / 1000000000);
	answer.more = writer_of(answer.room, sizeof(answer.room));
	code = look_up(broker, question, &answer, &sound, &why);
	if (!sound) {
		fd_close(&answer.fd);
		return channel_violated(channel, err, "%s that is none", question->rule->name);
	}
	return send_answer(channel, &answer, code, &why, err);
}
