/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm-agent log: what the running agent has measured. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/client.h"
#include "agent/ima.h"
#include "agent/log.h"
#include "base/cleanup.h"
#include "base/escape.h"

enum form {
	FORM_TEXT,
	FORM_JSON,
	FORM_IMA,
};

struct printer {
	enum form form;
	uint8_t chain[AGENT_DIGEST_BYTES];	/* of the record before */
};

static const char *const type_names[] = {
	[AGENT_RECORD_START] = "start", [AGENT_RECORD_FILE] = "file",
	[AGENT_RECORD_UNREADABLE] = "unreadable", [AGENT_RECORD_LOST] = "lost",
	[AGENT_RECORD_FULL] = "full", [AGENT_RECORD_STOP] = "stop",
	[AGENT_RECORD_FOLLOWS] = "follows",
};

static const char *const reason_names[] = {
	[AGENT_EXEC] = "exec", [AGENT_MAPPED] = "mapped", [AGENT_SCRIPT] = "script",
	[AGENT_MODULE] = "module",
};

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n && names[i] ? names[i] : "unknown";
}

static const char *hex(const uint8_t *data, char text[2 * AGENT_DIGEST_BYTES + 1])
{
	return sodium_bin2hex(text, 2 * AGENT_DIGEST_BYTES + 1, data, AGENT_DIGEST_BYTES);
}

/* A record's path, if it has one that is inside. */
static const char *path_of(const struct agent_record *record, size_t *n)
{
	const char *at = (const char *)record;
	uint64_t from = 0;

	*n = 0;
	if (record->type == AGENT_RECORD_FILE && record->size_bytes >= sizeof(struct agent_file)) {
		const struct agent_file *file = (const void *)record;

		from = sizeof(*file) + file->segments * (uint64_t)sizeof(struct agent_segment) +
		       file->pages * (uint64_t)AGENT_DIGEST_BYTES;
		*n = file->path_bytes;
	} else if (record->type == AGENT_RECORD_UNREADABLE &&
		   record->size_bytes >= sizeof(struct agent_unreadable)) {
		from = sizeof(struct agent_unreadable);
		*n = ((const struct agent_unreadable *)(const void *)record)->path_bytes;
	}
	if (!from || from > record->size_bytes || *n > record->size_bytes - from)
		return NULL;
	return at + from;
}

static void print_ima(const struct agent_record *record, const char *path, size_t n)
{
	const struct agent_file *file = (const void *)record;
	char line[IMA_LINE_MAX];

	if (!path)
		return;
	ima_line(record->type == AGENT_RECORD_FILE ? file->sha256 : NULL, path, n, line);
	fputs(line, stdout);
}

static void print_text(const struct agent_record *record, const char *path, size_t n)
{
	char digest[2 * AGENT_DIGEST_BYTES + 1], shown[ESCAPED_MAX(AGENT_PATH_MAX)];
	const struct agent_file *file = (const void *)record;
	const struct agent_unreadable *unreadable = (const void *)record;
	const struct agent_follows *follows = (const void *)record;

	escape(path ? path : "", n < AGENT_PATH_MAX ? n : AGENT_PATH_MAX, shown, sizeof(shown));
	printf("%6llu %-10s ", (unsigned long long)record->sequence,
	       name_of(type_names, ARRAY_SIZE(type_names), record->type));
	if (path && record->type == AGENT_RECORD_FILE)
		printf("%-6s %s %s\n",
		       name_of(reason_names, ARRAY_SIZE(reason_names), file->reason),
		       hex(file->sha256, digest), shown);
	else if (path)
		printf("%-6s %s: %s\n",
		       name_of(reason_names, ARRAY_SIZE(reason_names), unreadable->reason),
		       shown, strerror((int)unreadable->error));
	else if (record->type == AGENT_RECORD_LOST &&
		 record->size_bytes >= sizeof(struct agent_lost))
		printf("%llu events so far\n",
		       (unsigned long long)((const struct agent_lost *)(const void *)record)->lost);
	else if (record->type == AGENT_RECORD_FOLLOWS &&
		 record->size_bytes >= sizeof(struct agent_follows))
		printf("PID %u, %llu records\n", follows->ended.pid,
		       (unsigned long long)follows->ended.log_records);
	else
		putchar('\n');
}

/* Valid in JSON: escape() leaves quotation marks and backslashes, and nothing else that matters. */
static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json(const struct agent_record *record, const char *path, size_t n)
{
	char digest[2 * AGENT_DIGEST_BYTES + 1], shown[ESCAPED_MAX(AGENT_PATH_MAX)];
	const struct agent_file *file = (const void *)record;
	const struct agent_unreadable *unreadable = (const void *)record;

	printf("{\"sequence\":%llu,\"time_ns\":%llu,\"type\":\"%s\",\"chain\":\"%s\"",
	       (unsigned long long)record->sequence, (unsigned long long)record->time_ns,
	       name_of(type_names, ARRAY_SIZE(type_names), record->type),
	       hex(record->chain, digest));
	if (path) {
		bool is_file = record->type == AGENT_RECORD_FILE;

		escape(path, n < AGENT_PATH_MAX ? n : AGENT_PATH_MAX, shown, sizeof(shown));
		printf(",\"reason\":\"%s\",\"path\":",
		       name_of(reason_names, ARRAY_SIZE(reason_names),
			       is_file ? file->reason : unreadable->reason));
		print_string(shown);
		if (is_file)
			printf(",\"sha256\":\"%s\",\"device\":%llu,\"inode\":%llu,\"size\":%llu,"
			       "\"pages\":%u", hex(file->sha256, digest),
			       (unsigned long long)file->device, (unsigned long long)file->inode,
			       (unsigned long long)file->size_bytes, file->pages);
		else
			printf(",\"error\":%u", unreadable->error);
	}
	puts("}");
}

static int print_record(const struct agent_record *record, void *ctx, struct err *err)
{
	struct printer *printer = ctx;
	size_t n;
	const char *path = path_of(record, &n);

	log_chain(printer->chain, record, printer->chain);
	if (memcmp(printer->chain, record->chain, sizeof(printer->chain)) != 0)
		return err_set(err, -EBADMSG, "the chain is broken at record %llu",
			       (unsigned long long)record->sequence);
	if (printer->form == FORM_IMA)
		print_ima(record, path, n);
	else if (printer->form == FORM_JSON)
		print_json(record, path, n);
	else
		print_text(record, path, n);
	return 0;
}

int log_command(int argc, char **argv)
{
	struct printer printer = { .form = FORM_TEXT };
	cleanup(fd_close) int fd = -1;
	struct agent_anchor anchor;
	struct err err = {0};
	int r;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--ima") && strcmp(argv[i], "--json")) {
			agent_say("log: unknown option '%s'", argv[i]);
			return 2;
		}
		printer.form = strcmp(argv[i], "--ima") ? FORM_JSON : FORM_IMA;
	}
	fd = client_connect(&anchor, &err);
	r = fd < 0 ? fd : client_log(fd, &anchor, print_record, &printer, &err);
	if (r >= 0 && fflush(stdout) != 0)
		r = err_set(&err, -errno, "output: %s", strerror(errno));
	if (r < 0) {
		agent_say("%s", err.text);
		return 1;
	}
	return 0;
}
