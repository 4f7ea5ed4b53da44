/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/reaction.h"

#include <sys/stat.h>

#include "base/cleanup.h"
#include "monitor/http_setup.h"
#include "monitor/reaction_kinds.h"
#include "monitor/trusted.h"

static int usable(const struct config_reaction *reaction, struct err *err)
{
	struct stat status;
	int r;

	switch (reaction->kind) {
	case REACTION_RUN:
		r = trusted_path(reaction->program, S_IFREG, err);
		if (r == 0 && (stat(reaction->program, &status) < 0 || !(status.st_mode & S_IXUSR)))
			r = err_set(err, -EACCES, "%s: not executable", reaction->program);
		return r;
	case REACTION_DUMP:
		return trusted_path(reaction->directory, S_IFDIR, err);
	case REACTION_WEBHOOK:
		r = reaction_webhook_usable(err);
		if (r == 0 && reaction->token_file)
			r = trusted_path(reaction->token_file, S_IFREG, err);
		return r;
	default:
		return 0;
	}
}

int reaction_usable(const struct config_reaction *reaction, struct err *err)
{
	int r = usable(reaction, err);

	return r < 0 ? wrap(err, r, "reaction '%s'", reaction->name) : 0;
}

/* Where HTTP is served, to whom. */
static int print_http(const struct config *config, FILE *to, struct err *err)
{
	struct err why = {0};
	int r = http_setup_check(config, &why);

	if (config->http.listen)
		fprintf(to, "http: at %s, %s, %s%s%s\n", config->http.listen,
			config->http.token_file ? "with a token" : "without a token",
			config->http.tls_cert ? "with TLS" : "without TLS",
			r < 0 ? ": NOT USABLE: " : "", r < 0 ? why.text : "");
	return r < 0 ? err_set(err, r, "%s: %s", config->path, why.text) : 0;
}

static void print_list(const struct texts *texts, FILE *to)
{
	for (size_t i = 0; i < texts->n; i++)
		fprintf(to, "%s%s", i ? ", " : "", texts->v[i]);
	fputs(texts->n ? "\n" : "none\n", to);
}

int config_check_print(const char *path, FILE *to, struct err *err)
{
	cleanup(config_free) struct config *config = NULL;
	int r = config_load(path, &config, err);

	if (r < 0)
		return r;
	fprintf(to, "%s: mode %s, %zu sections of guests, %zu reactions\n", path,
		config->mode == MODE_ENFORCE ? "enforce" : "observe", config->guests.n,
		config->reactions.n);
	r = print_http(config, to, err);
	for (size_t i = 0; i < config->reactions.n; i++) {
		const struct config_reaction *reaction = &config->reactions.v[i];
		struct err why = {0};
		int unusable = reaction_usable(reaction, &why);

		fprintf(to, "reaction %s: %s, at most %u an hour for a guest, %u s%s%s\n",
			reaction->name, reaction_kind_name(reaction->kind), reaction->per_hour,
			reaction->timeout_s, unusable ? ": NOT USABLE: " : "",
			unusable ? why.text : "");
		if (unusable && r == 0)
			r = err_set(err, unusable, "%s: %s", path, why.text);
	}
	for (size_t i = 0; i < config->guests.n; i++) {
		fprintf(to, "guest %s: %zu allow rules, reactions: ", config->guests.v[i].pattern,
			config->guests.v[i].allow.n);
		print_list(&config->guests.v[i].reactions, to);
	}
	return r;
}
