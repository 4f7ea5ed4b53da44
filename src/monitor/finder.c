/* SPDX-License-Identifier: Apache-2.0 */

/* What is said between the parent and the role, and the parent's side; the role: finder_role.c. */

#include "monitor/finder.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"
#include "monitor/sealed.h"
#include "reference/parcel.h"

#define TEXT_BYTES (sizeof(uint32_t) + 1)

/* It has ended, or is just about to. */
#define END_MS 1000

void finder_rules(struct channel_rule rules[FINDER_RULES])
{
	const struct channel_rule all[FINDER_RULES] = {
		{ FINDER_FIND, "find", ROLE_STARTER, 0, 0, 1, 2, NULL },
		{ FINDER_FOUND, "found", ROLE_FINDER, 2 * sizeof(uint32_t),
		  FINDER_REMARKS * (TEXT_BYTES + FINDER_REMARK_BYTES), 0, 3, NULL },
	};

	memcpy(rules, all, sizeof(all));
}

/* --- the request --- */

static size_t length(const char *text)
{
	return TEXT_BYTES + (text ? strlen(text) : 0);
}

int finder_request(const struct finder_wanted *wanted, struct blob *ret)
{
	size_t room = length(wanted->build_id) + length(wanted->release) + length(wanted->store) +
		      length(wanted->kernel_name) + sizeof(uint64_t) + sizeof(uint32_t);
	struct writer w;
	uint8_t *data;

	for (size_t i = 0; i < wanted->paths_n; i++)
		room += length(wanted->paths[i]);
	data = malloc(room);
	if (!data)
		return -ENOMEM;
	w = writer_of(data, room);
	write_text(&w, wanted->build_id);
	write_text(&w, wanted->release);
	write_text(&w, wanted->store);
	write_text(&w, wanted->kernel_name);
	write_u64(&w, wanted->stamp);
	write_u32(&w, (uint32_t)wanted->paths_n);
	for (size_t i = 0; i < wanted->paths_n; i++)
		write_text(&w, wanted->paths[i]);
	*ret = (struct blob){ data, w.n };
	return 0;
}

static bool take_word(struct bytes *b, char *ret, size_t size)
{
	const char *text = bytes_text(b);

	if (!text || strlen(text) >= size)
		return false;
	strcpy(ret, text);
	return true;
}

int finder_read_request(const void *data, size_t size, struct finder_wanted *ret,
			const char ***paths, struct err *err)
{
	cleanup(freep) const char **list = NULL;
	struct bytes b = bytes_of(data, size);
	struct finder_wanted wanted = { .paths = NULL };
	bool words = take_word(&b, wanted.build_id, sizeof(wanted.build_id)) &&
		     take_word(&b, wanted.release, sizeof(wanted.release));

	wanted.store = bytes_text(&b);
	wanted.kernel_name = bytes_text(&b);
	wanted.stamp = bytes_u64(&b);
	wanted.paths_n = bytes_u32(&b);
	if (!words || !bytes_ok(&b) || wanted.paths_n > b.left / TEXT_BYTES)
		return err_set(err, -EPROTO, "a request that cannot be read");
	list = calloc(wanted.paths_n + 1, sizeof(*list));
	if (!list)
		return err_set(err, -ENOMEM, "no memory for a request");
	for (size_t i = 0; i < wanted.paths_n; i++) {
		list[i] = bytes_text(&b);
		if (!list[i])
			return err_set(err, -EPROTO, "a request that cannot be read");
	}
	if (!bytes_at_end(&b))
		return err_set(err, -EPROTO, "a request that cannot be read");
	wanted.paths = list;
	*ret = wanted;
	*paths = take_ptr(&list);
	return 0;
}

/* --- the parent's side --- */

void finder_found_free(struct finder_found *found)
{
	reference_close(&found->reference);
	fd_close(&found->vmlinux);
	*found = FINDER_FOUND_NONE;
}

void finder_end(struct finder *finder)
{
	channel_close(&finder->channel);
	spawn_kill(&finder->process);
}

int finder_start(struct finder *finder, const struct blob *request, int kernel, struct err *err)
{
	cleanup(fd_close) int sealed = sealed_make("hvsm-request", request->data, request->size,
						   err);
	cleanup(fd_close) int theirs = -1;
	int sent[2] = { sealed, kernel }, fds[2], r;

	if (sealed < 0)
		return sealed;
	r = channel_pair(fds, err);
	if (r < 0)
		return r;
	theirs = fds[1];
	finder_rules(finder->rules);
	channel_init(&finder->channel, fds[0], ROLE_STARTER, ROLE_FINDER, finder->rules,
		     FINDER_RULES);
	r = spawn_role(FINDER_ROLE, NULL, theirs, &finder->process, err);
	if (r < 0)
		return r;
	return channel_send(&finder->channel, FINDER_FIND, NULL, 0, sent, kernel < 0 ? 1 : 2, 0,
			    err);
}

/* Why it says nothing, in words. */
static int ended(struct finder *finder, struct err *err)
{
	struct pollfd end = { .fd = finder->process.pidfd, .events = POLLIN };
	char how[64];

	/* It closed its channel: if that was not its end, it is now. */
	if (poll(&end, 1, END_MS) <= 0)
		return err_set(err, -EPIPE, "who looked for it closed its channel");
	spawn_wait(&finder->process, true, how, sizeof(how));
	return err_set(err, -EPIPE, "who looked for it has ended: %s", how);
}

static int read_remarks(struct message *message, struct finder_found *found, struct err *err)
{
	for (size_t i = 0; i < FINDER_REMARKS; i++) {
		const char *text = bytes_text(&message->body);

		snprintf(found->remarks[i], sizeof(found->remarks[i]), "%s", text ? text : "");
	}
	return bytes_at_end(&message->body) ? 0 :
		err_set(err, -EPROTO, "who looked for it said what cannot be read");
}

static int read_found(struct message *message, const struct finder_wanted *wanted,
		      struct finder_found *found, struct err *err)
{
	const struct reference_options options = {
		.paths = wanted->paths, .paths_n = wanted->paths_n, .store = wanted->store,
	};
	int modules = message->fds_n > 2 ? message->fds[2] : -1;
	struct sealed table;
	int r = read_remarks(message, found, err);

	if (r < 0 || !message->fds_n)
		return r;
	if (message->fds_n < 2)
		return err_set(err, -EPROTO, "who looked for it found no kernel");
	r = sealed_check(message->fds[1], VMLINUX_MAX, err) < 0 ? -EPROTO :
		sealed_map(message->fds[0], PARCEL_MAX, &table, err);
	if (r < 0)
		return r;
	r = parcel_unpack(table.data, table.size, modules, &options, &found->reference, err);
	sealed_unmap(&table);
	if (r < 0)
		return r;
	if (modules >= 0)
		message->fds[2] = -1;
	found->vmlinux = take_fd(&message->fds[1]);
	return 0;
}

int finder_take(struct finder *finder, const struct finder_wanted *wanted,
		struct finder_found *ret, struct err *err)
{
	cleanup(finder_found_free) struct finder_found found = FINDER_FOUND_NONE;
	cleanup(freep) struct message *message = malloc(sizeof(*message));
	int r = message ? channel_receive(&finder->channel, message, 0, err) : -ENOMEM;

	if (r == -EPIPE)
		return ended(finder, err);
	if (r < 0)
		return r;
	r = read_found(message, wanted, &found, err);
	message_deinit(message);
	if (r < 0)
		return r;
	*ret = found;
	found = FINDER_FOUND_NONE;
	return 0;
}
