/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config.h"

#include <confuse.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "monitor/config_sections.h"
#include "monitor/config_text.h"

/*
 * One file on its way through libconfuse, which knows no context of its callers: hence the one
 * variable of this file. It is NULL but while cfg_parse_fp() runs.
 */
struct loading {
	const char *path;
	struct err *err;
	int code;		/* of the first thing that is wrong; 0: nothing yet */
	cfg_t *root;
	struct map seen;	/* a cfg_opt_t: it has a value; a cfg_t: the line where it ends */
};

static struct loading *loading;

/* Marks a value of a list that was looked at: libconfuse shows the last one again at the '}'. */
#define LOOKED_AT '\1'

/* Return: -1, which ends the parser. */
static int wrong(const cfg_t *cfg, const char *fmt, ...) printf_like(2, 3);
static int wrong(const cfg_t *cfg, const char *fmt, ...)
{
	char text[sizeof(loading->err->text)];
	va_list args;

	if (loading->code)
		return -1;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	loading->code = err_set(loading->err, -EINVAL, "%s:%d: %s", loading->path, cfg->line, text);
	return -1;
}

static int no_memory(void)
{
	if (!loading->code)
		loading->code = err_set(loading->err, -ENOMEM, "no memory for the configuration");
	return -1;
}

/* What libconfuse itself does not understand. */
static void on_error(cfg_t *cfg, const char *fmt, va_list args)
{
	char text[160];

	vsnprintf(text, sizeof(text), fmt, args);
	if (strncmp(fmt, "no such option", 14) == 0)
		wrong(cfg, "%s %s%s (hvsmd.conf(5) has those that there are)", text,
		      cfg == loading->root ? "outside of sections" : "in a section ",
		      cfg == loading->root ? "" : cfg->name);
	else
		wrong(cfg, "%s", text);
}

static const struct section *section_of(const cfg_t *cfg)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (!strcmp(sections[i].name, cfg->name))
			return &sections[i];
	return NULL;
}

static const struct key *key_of(const struct section *section, const char *name)
{
	for (size_t i = 0; i < section->n; i++)
		if (!strcmp(section->keys[i].name, name))
			return &section->keys[i];
	return NULL;
}

static const char *text_of(cfg_opt_t *opt, unsigned n)
{
	const char *text = cfg_opt_getnstr(opt, n);

	return text && *text == LOOKED_AT ? text + 1 : text;
}

/* A value was read. Return: 0; else the parser ends. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct key *key = key_of(section_of(cfg), opt->name);
	unsigned n = cfg_opt_size(opt);
	const char *text = cfg_opt_getnstr(opt, n - 1);
	cleanup(freep) char *marked = NULL;
	struct err why = {0};
	union value value;
	int r;

	if (!text || *text == LOOKED_AT)
		return 0;
	r = map_put(&loading->seen, (uintptr_t)opt, 1);
	if (r < 0)
		return no_memory();
	if (r == 1 && n == 1)
		return wrong(cfg, "%s is set twice", opt->name);
	if (value_parse(key, text, &value, &why) < 0)
		return wrong(cfg, "%s", why.text);
	if (!strcmp(key->name, "reactions") && !cfg_gettsec(loading->root, "reaction", text))
		return wrong(cfg, "no reaction '%s' stands above", text);
	if (key->many != KEY_LIST)
		return 0;
	if (asprintf(&marked, "%c%s", LOOKED_AT, text) < 0) {
		marked = NULL;
		return no_memory();
	}
	return cfg_opt_setnstr(opt, marked, n - 1) == 0 ? 0 : no_memory();
}

static bool has(cfg_t *cfg, const char *name)
{
	return cfg_size(cfg, name) > 0;
}

/* What each kind needs, and no other takes. */
static int check_reaction(cfg_t *parent, cfg_t *cfg)
{
	static const struct { const char *key, *kind, *needed; } own[] = {
		{ "program", "run", "run" }, { "arguments", "run", NULL },
		{ "url", "webhook", "webhook" }, { "token_file", "webhook", NULL },
		{ "directory", "dump", "dump" },
	};
	const char *kind = text_of(cfg_getopt(cfg, "kind"), 0);
	const struct key name = { .name = "the name of a reaction", .type = VALUE_WORD };
	struct err why = {0};
	union value value;

	if (value_parse(&name, cfg_title(cfg), &value, &why) < 0)
		return wrong(parent, "%s", why.text);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (has(cfg, own[i].key) && strcmp(kind, own[i].kind) != 0)
			return wrong(parent, "%s belongs to reactions of kind %s only", own[i].key,
				     own[i].kind);
		if (own[i].needed && !strcmp(kind, own[i].needed) && !has(cfg, own[i].key))
			return wrong(parent, "a reaction of kind %s needs %s", kind, own[i].key);
	}
	if (has(cfg, "on_verdict") && strcmp(cfg_getstr(cfg, "on_verdict"), "none") != 0 &&
	    (has(cfg, "on_severity") || has(cfg, "on_checks")))
		return wrong(parent, "a reaction is to a verdict (on_verdict) or to findings "
				     "(on_severity, on_checks), not to both");
	return 0;
}

static int check_http(cfg_t *parent, cfg_t *cfg)
{
	const char *listen = has(cfg, "listen") ? cfg_getstr(cfg, "listen") : NULL;

	if (has(cfg, "tls_cert") != has(cfg, "tls_key"))
		return wrong(parent, "tls_cert and tls_key belong together");
	if (!listen)
		return 0;
	if (strncmp(listen, "unix:", 5) != 0 && !has(cfg, "token_file"))
		return wrong(parent, "listening on %s needs a token_file", listen);
	if (!listen_is_local(listen) && !has(cfg, "tls_cert"))
		return wrong(parent, "listening on %s, beyond this host, needs tls_cert and "
				     "tls_key", listen);
	return 0;
}

/* What two lists have in common; NULL: nothing. */
static const char *common(cfg_opt_t *a, cfg_opt_t *b)
{
	for (unsigned i = 0; i < cfg_opt_size(a); i++)
		for (unsigned j = 0; j < cfg_opt_size(b); j++)
			if (!strcmp(text_of(a, i), text_of(b, j)))
				return text_of(a, i);
	return NULL;
}

static int check_guest(cfg_t *parent, cfg_t *cfg)
{
	static const char *const lists[] = {
		"severity_low", "severity_medium", "severity_high", "severity_critical",
	};
	const char *title = cfg_title(cfg);

	if (!*title || strlen(title) > 255 || strpbrk(title, "\t\n"))
		return wrong(parent, "the pattern of a guest is '%.40s', allowed are 1 to 255 "
				     "characters", title);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t j = i + 1; j < ARRAY_SIZE(lists); j++) {
			const char *both = common(cfg_getopt(cfg, lists[i]),
						  cfg_getopt(cfg, lists[j]));

			if (both)
				return wrong(parent, "'%s' stands in %s and in %s", both, lists[i],
					     lists[j]);
		}
	return 0;
}

/* A section has ended. */
static int on_section(cfg_t *parent, cfg_opt_t *opt)
{
	cfg_t *cfg = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	const struct section *section = section_of(cfg);
	int r = map_put(&loading->seen, (uintptr_t)opt, 1);

	if (r < 0 || map_put(&loading->seen, (uintptr_t)cfg, (uint32_t)parent->line) < 0)
		return no_memory();
	if (r == 1 && section->often == SECTION_ONCE)
		return wrong(parent, "a second section %s", cfg->name);
	for (size_t i = 0; i < section->n; i++)
		if (section->keys[i].need == KEY_REQUIRED && !has(cfg, section->keys[i].name))
			return wrong(parent, "this section %s has no %s", cfg->name,
				     section->keys[i].name);
	switch (section - sections) {
	case SECTION_REACTION:
		return check_reaction(parent, cfg);
	case SECTION_HTTP:
		return check_http(parent, cfg);
	case SECTION_GUEST:
		return check_guest(parent, cfg);
	default:
		return 0;
	}
}

/* The keys of a section as libconfuse's options; returns their number. */
static size_t options_of(enum section_id id, cfg_opt_t *options)
{
	const struct section *section = &sections[id];

	for (size_t i = 0; i < section->n; i++) {
		cfg_opt_t one = CFG_STR(section->keys[i].name, NULL, CFGF_NODEFAULT);
		cfg_opt_t list = CFG_STR_LIST(section->keys[i].name, NULL, CFGF_NODEFAULT);

		options[i] = section->keys[i].many == KEY_LIST ? list : one;
		options[i].validcb = on_value;
	}
	options[section->n] = (cfg_opt_t)CFG_END();
	return section->n;
}

static void add_section(enum section_id id, cfg_opt_t *options, size_t n, cfg_opt_t *of_it)
{
	static const cfg_flag_t flags[] = {
		[SECTION_ONCE] = CFGF_NODEFAULT,
		[SECTION_TITLED] = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES,
		[SECTION_AGAIN] = CFGF_MULTI,
	};
	cfg_opt_t section = CFG_SEC(sections[id].name, of_it, flags[sections[id].often]);

	options[n] = section;
	options[n].validcb = on_section;
	options[n + 1] = (cfg_opt_t)CFG_END();
}

/* A parser for our sections; NULL: no memory. It has copies of all that it is given. */
static cfg_t *parser(void)
{
	cfg_opt_t top[SECTION_KEYS_MAX + 4], http[SECTION_KEYS_MAX], allow[SECTION_KEYS_MAX];
	cfg_opt_t reaction[SECTION_KEYS_MAX], guest[SECTION_KEYS_MAX + 1];
	size_t n;
	cfg_t *cfg;

	options_of(SECTION_HTTP, http);
	options_of(SECTION_REACTION, reaction);
	options_of(SECTION_ALLOW, allow);
	n = options_of(SECTION_GUEST, guest);
	add_section(SECTION_ALLOW, guest, n, allow);
	n = options_of(SECTION_TOP, top);
	add_section(SECTION_HTTP, top, n, http);
	add_section(SECTION_REACTION, top, n + 1, reaction);
	add_section(SECTION_GUEST, top, n + 2, guest);
	cfg = cfg_init(top, CFGF_NONE);
	if (cfg)
		cfg_set_error_function(cfg, on_error);
	return cfg;
}

static int list_fill(cfg_opt_t *opt, struct texts *texts)
{
	unsigned n = cfg_opt_size(opt);

	texts->v = calloc(n + 1, sizeof(*texts->v));
	if (!texts->v)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		texts->v[i] = strdup(text_of(opt, i));
		if (!texts->v[i])
			return -ENOMEM;
		texts->n++;
	}
	return 0;
}

/* One value into its struct; it was found good before. */
static int value_fill(const struct key *key, const char *text, uint8_t *base)
{
	union value value = {0};
	int r = value_parse(key, text, &value, NULL);

	if (r < 0)
		return r;
	switch (key->type) {
	case VALUE_NUMBER:
	case VALUE_PERCENT:
	case VALUE_CHOICE:
		memcpy(base + key->at, &value.number, sizeof(value.number));
		return 0;
	case VALUE_YES_NO:
		memcpy(base + key->at, &value.yes, sizeof(value.yes));
		return 0;
	case VALUE_EXPIRY:
		memcpy(base + key->at, &value.time_s, sizeof(value.time_s));
		*(char **)(void *)(base + key->text_at) = strdup(text);
		return *(char **)(void *)(base + key->text_at) ? 0 : -ENOMEM;
	default:
		*(char **)(void *)(base + key->at) = strdup(text);
		return *(char **)(void *)(base + key->at) ? 0 : -ENOMEM;
	}
}

_Static_assert(sizeof(enum config_mode) == sizeof(uint32_t) &&
	       sizeof(enum severity) == sizeof(uint32_t), "choices are 32 bits wide");

/* All values of a section into its struct, @cfg: NULL for the defaults alone. */
static int section_fill(enum section_id id, cfg_t *cfg, void *base, uint64_t *set)
{
	int r = 0;

	for (size_t i = 0; i < sections[id].n && r == 0; i++) {
		const struct key *key = &sections[id].keys[i];
		cfg_opt_t *opt = cfg ? cfg_getopt(cfg, key->name) : NULL;
		/* An empty list has no value, but was reset. */
		bool given = opt && (cfg_opt_size(opt) > 0 || (opt->flags & CFGF_RESET));

		if (given && set)
			*set |= UINT64_C(1) << i;
		if (key->many == KEY_LIST && opt)
			r = list_fill(opt, (struct texts *)(void *)((uint8_t *)base + key->at));
		else if (given || key->initial)
			r = value_fill(key, given ? text_of(opt, 0) : key->initial, base);
	}
	return r;
}

static void section_clear(enum section_id id, void *base)
{
	for (size_t i = 0; i < sections[id].n; i++) {
		const struct key *key = &sections[id].keys[i];
		uint8_t *at = (uint8_t *)base + key->at;

		if (key->many == KEY_LIST) {
			struct texts *texts = (struct texts *)(void *)at;

			for (size_t n = 0; n < texts->n; n++)
				free(texts->v[n]);
			free(texts->v);
		} else if (key->type == VALUE_EXPIRY) {
			free(*(char **)(void *)((uint8_t *)base + key->text_at));
		} else if (key->type >= VALUE_TEXT) {
			free(*(char **)(void *)at);
		}
	}
}

static int guest_fill(struct config *config, cfg_t *cfg, const struct map *lines)
{
	struct config_guest *guest = vec_add(&config->guests);
	cfg_opt_t *rules = cfg_getopt(cfg, sections[SECTION_ALLOW].name);
	int r;

	if (!guest)
		return -ENOMEM;
	guest->pattern = strdup(cfg_title(cfg));
	if (!guest->pattern)
		return -ENOMEM;
	r = section_fill(SECTION_GUEST, cfg, guest, &guest->set);
	for (unsigned i = 0; i < cfg_opt_size(rules) && r == 0; i++) {
		struct config_allow *allow = vec_add(&guest->allow);
		cfg_t *rule = cfg_opt_getnsec(rules, i);

		if (!allow)
			return -ENOMEM;
		map_get(lines, (uintptr_t)rule, &allow->line);
		r = section_fill(SECTION_ALLOW, rule, allow, NULL);
	}
	return r;
}

static int config_fill(struct config *config, cfg_t *cfg, const struct map *lines)
{
	cfg_opt_t *http = cfg_getopt(cfg, sections[SECTION_HTTP].name);
	cfg_opt_t *reactions = cfg_getopt(cfg, sections[SECTION_REACTION].name);
	cfg_opt_t *guests = cfg_getopt(cfg, sections[SECTION_GUEST].name);
	int r = section_fill(SECTION_TOP, cfg, config, NULL);

	if (r == 0)
		r = section_fill(SECTION_HTTP, cfg_opt_size(http) ? cfg_opt_getnsec(http, 0) : NULL,
				 config, NULL);
	for (unsigned i = 0; i < cfg_opt_size(reactions) && r == 0; i++) {
		struct config_reaction *reaction = vec_add(&config->reactions);
		cfg_t *section = cfg_opt_getnsec(reactions, i);

		if (!reaction)
			return -ENOMEM;
		reaction->name = strdup(cfg_title(section));
		r = reaction->name ? section_fill(SECTION_REACTION, section, reaction, NULL) :
				     -ENOMEM;
	}
	for (unsigned i = 0; i < cfg_opt_size(guests) && r == 0; i++)
		r = guest_fill(config, cfg_opt_getnsec(guests, i), lines);
	return r;
}

static int make(struct loading *l, struct config **ret)
{
	cleanup(config_free) struct config *config = calloc(1, sizeof(*config));
	int r = config ? config_fill(config, l->root, &l->seen) : -ENOMEM;

	if (r == 0) {
		config->path = strdup(l->path);
		r = config->path ? 0 : -ENOMEM;
	}
	if (r < 0)
		return err_set(l->err, r, "%s: %s", l->path, strerror(-r));
	*ret = take_ptr(&config);
	return 0;
}

static int parse(struct loading *l, char *text, size_t n, struct config **ret)
{
	cleanup(file_close) FILE *file = fmemopen(text, n, "r");
	int r;

	l->root = parser();
	if (!file || !l->root)
		return err_set(l->err, -ENOMEM, "no memory for the configuration");
	loading = l;
	r = cfg_parse_fp(l->root, file);
	loading = NULL;
	if (l->code)
		return l->code;
	if (r != CFG_SUCCESS)
		return err_set(l->err, -EINVAL, "%s: it cannot be understood", l->path);
	return make(l, ret);
}

static int keep_text(struct config *config, const char *text, size_t n)
{
	config->text = malloc(n + 1);
	if (!config->text)
		return -ENOMEM;
	memcpy(config->text, text, n);
	config->text[n] = '\0';
	config->text_n = n;
	return 0;
}

int config_parse(const char *path, const char *text, size_t n, struct config **ret,
		 struct err *err)
{
	struct loading l = { .path = path, .err = err };
	cleanup(config_free) struct config *config = NULL;
	cleanup(freep) char *plain = NULL;
	unsigned line = 0;
	int r;

	if (n > CONFIG_BYTES_MAX)
		return err_set(err, -ELOOP, "%s: over %u bytes", path, CONFIG_BYTES_MAX);
	plain = malloc(n + 2);
	if (!plain)
		return err_set(err, -ENOMEM, "no memory for the configuration");
	memcpy(plain, text, n);
	plain[n] = '\n';
	plain[n + 1] = '\0';
	r = config_text_plain(plain, n + 1, &line, err);
	if (r < 0)
		return wrap(err, r, "%s:%u", path, line);
	r = parse(&l, plain, n + 1, &config);
	if (r == 0 && keep_text(config, text, n) < 0)
		r = err_set(err, -ENOMEM, "no memory for the configuration");
	if (r == 0)
		*ret = take_ptr(&config);
	if (l.root)
		cfg_free(l.root);
	map_free(&l.seen);
	return r;
}

/* The file's own rights; who may write its directory can replace it, but that is root's. */
static int check_owner(int fd, const char *path, struct err *err)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return err_set(err, -EINVAL, "%s: not a file", path);
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return err_set(err, -EACCES, "%s: belongs to user %u: it must be root's", path,
			       status.st_uid);
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EACCES, "%s: others than its owner may write it (chmod go-w)",
			       path);
	return 0;
}

int config_load(const char *path, struct config **ret, struct err *err)
{
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup(freep) char *text = malloc(CONFIG_BYTES_MAX + 1);
	size_t n = 0;
	ssize_t got;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!text)
		return err_set(err, -ENOMEM, "no memory for the configuration");
	r = check_owner(fd, path, err);
	if (r < 0)
		return r;
	while (n <= CONFIG_BYTES_MAX && (got = read(fd, text + n, CONFIG_BYTES_MAX + 1 - n)) != 0) {
		if (got < 0)
			return err_set(err, -errno, "%s: %s", path, strerror(errno));
		n += (size_t)got;
	}
	return config_parse(path, text, n, ret, err);
}

void config_free(struct config **config)
{
	struct config *c = *config;

	if (!c)
		return;
	section_clear(SECTION_TOP, c);
	section_clear(SECTION_HTTP, c);
	for (size_t i = 0; i < c->reactions.n; i++) {
		free(c->reactions.v[i].name);
		section_clear(SECTION_REACTION, &c->reactions.v[i]);
	}
	for (size_t i = 0; i < c->guests.n; i++) {
		struct config_guest *guest = &c->guests.v[i];

		for (size_t n = 0; n < guest->allow.n; n++)
			section_clear(SECTION_ALLOW, &guest->allow.v[n]);
		vec_free(&guest->allow);
		free(guest->pattern);
		section_clear(SECTION_GUEST, guest);
	}
	vec_free(&c->reactions);
	vec_free(&c->guests);
	free(c->path);
	free(c->text);
	free(c);
	*config = NULL;
}
