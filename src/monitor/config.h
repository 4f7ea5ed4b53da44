/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONFIG_H
#define HVSM_MONITOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "check/finding.h"
#include "report/verdict.h"

/*
 * What the daemon is told: hvsmd.conf(5), as the file has it, with the defaults of what it does
 * not say. It never changes once it is loaded; a reload is another one.
 */
#define CONFIG_DEFAULT "/etc/hvsm/hvsmd.conf"

/* A list of words; each is malloc()ed. */
struct texts {
	char **v;
	size_t n;
};

bool texts_have(const struct texts *texts, const char *text);

enum config_mode {
	MODE_OBSERVE,	/* reactions log, and do nothing else */
	MODE_ENFORCE,
};

enum reaction_kind {
	REACTION_LOG,
	REACTION_RUN,		/* a program, with the finding on its standard input */
	REACTION_WEBHOOK,	/* HTTP POST of the finding */
	REACTION_PAUSE,		/* the guest's CPUs stop */
	REACTION_DUMP,		/* its memory goes to a file */
	REACTION_UNLINK,	/* its network interfaces lose their link */
	REACTION_SHUTDOWN,	/* it is asked to shut down; it may not listen */
	REACTION_POWEROFF,	/* it is switched off */
};

/* "log", "run", … as in the file. */
const char *reaction_kind_name(enum reaction_kind kind);

/* Does it do something to the guest itself? */
bool reaction_touches_guest(enum reaction_kind kind);

struct config_reaction {
	char *name;
	enum reaction_kind kind;
	enum severity on_severity;	/* findings of at least this */
	struct texts on_checks;		/* … of these checks only; empty: of all */
	enum verdict on_verdict;	/* not CLEAN: verdicts of at least this, not findings */
	char *program;			/* RUN: absolute path */
	struct texts arguments;		/* RUN: those behind the program's name */
	char *url;			/* WEBHOOK */
	char *token_file;		/* WEBHOOK: holds a bearer token; NULL: none */
	char *directory;		/* DUMP: where the files go */
	uint32_t per_hour;		/* as often at most for one guest */
	uint32_t timeout_s;
};

#define EXPIRES_NEVER INT64_MAX

/* Findings that are known and accepted. */
struct config_allow {
	char *check;		/* id */
	char *object;		/* pattern (base/glob.h) of the object's name, as in the report */
	char *kind;		/* pattern of the object's kind */
	char *owner;		/* pattern of who owns what the finding leads to; "": no one */
	char *reason;		/* for whoever asks why this is not reported */
	char *expires_text;	/* as in the file */
	int64_t expires_s;	/* since 1970: from then on it does not hold any more */
	uint32_t line;		/* where the rule ends in the file */
};

/* What is set for guests whose name or UUID fits a pattern; see config_guest(). */
struct config_guest {
	char *pattern;
	uint64_t set;		/* of what is below: bit n for key n of its table */
	bool watch;
	bool xen_events;
	bool sentinel;
	enum config_mode mode;
	struct texts checks;	/* these only; empty: all */
	struct texts skip;	/* not these */
	uint32_t look_period_ms, cheap_period_ms, middle_period_ms, dear_period_ms;
	uint32_t cpu_permille;	/* the "cpu_percent" of the file */
	struct texts severity[SEVERITY_CRITICAL + 1];	/* checks whose findings have it */
	struct texts reference;	/* packages and directories with known-good code */
	struct texts reactions;	/* by name */
	VEC(struct config_allow) allow;
};

/* No libvirt is asked. */
#define LIBVIRT_NONE "none"

struct config {
	char *path;		/* of the file, for messages */
	char *text;		/* all of it: config_parse() makes the same of it elsewhere */
	size_t text_n;
	enum config_mode mode;
	char *user;		/* that the unprivileged roles run as */
	char *state_dir;	/* store of references, baselines and reports */
	char *agents_dir;	/* the host's copies of the agent */
	char *socket;		/* for the command line */
	char *libvirt;		/* URI, or LIBVIRT_NONE */
	struct texts reference;	/* for all guests */
	uint32_t look_period_ms;	/* comparing the cheap views */
	uint32_t cheap_period_ms, middle_period_ms, dear_period_ms;	/* checks, by their cost */
	uint32_t jitter_percent;	/* of a period: as much shorter or longer, at random */
	uint32_t guest_cpu_permille;	/* "guest_cpu_percent", of one core */
	uint32_t host_cpu_permille;	/* of one core; 0: a quarter of each of the host */
	uint32_t retention_days;	/* reports; 0: for ever */
	uint32_t retention_mib;		/* … of all guests together; 0: no limit */
	struct {
		char *listen;		/* "unix:/PATH", "ADDRESS:PORT"; NULL: nowhere */
		char *token_file;	/* NULL: none */
		char *tls_cert, *tls_key;	/* NULL: none */
	} http;
	VEC(struct config_reaction) reactions;
	VEC(struct config_guest) guests;	/* in the order of the file */
};

/**
 * config_load - read a file
 * @path: a file of root or of the caller that nobody else may write
 * @ret:  receives the whole of it; config_free(). Untouched on failure, so that a reload takes
 *        all or nothing.
 * @err:  "PATH:LINE: what is wrong, and what is allowed"
 *
 * Says nothing of what the file refers to (programs, directories): reaction_usable() does.
 *
 * Return: 0, -EINVAL (it says something that has no meaning), -EACCES (others could write it),
 *         -ELOOP (CONFIG_BYTES_MAX), -ENOMEM, or an errno of reading it.
 */
nodiscard int config_load(const char *path, struct config **ret, struct err *err);

/**
 * config_parse - as config_load(), of a text
 * @path: what to call it in messages
 * Not for several threads at once: libconfuse's scanner is one for the process.
 */
nodiscard int config_parse(const char *path, const char *text, size_t n, struct config **ret,
			   struct err *err);

void config_free(struct config **config);

/* By its name; NULL: there is none. */
const struct config_reaction *config_reaction(const struct config *config, const char *name);

/* What holds for one guest. Everything in it belongs to the configuration. */
struct guest_config {
	bool watch;
	bool xen_events;	/* what Xen tells as it happens, too (xen_events.h) */
	bool sentinel;		/* looks watch code and constants, too (sentinel.h) */
	enum config_mode mode;
	uint32_t look_period_ms, cheap_period_ms, middle_period_ms, dear_period_ms;
	uint32_t cpu_permille;
	const struct texts *checks, *skip, *reactions;	/* never NULL */
	VEC(const struct config_guest *) sections;	/* those that fit, in the file's order */
};

/**
 * config_guest - what holds for one guest
 * @name, @uuid: of the guest; NULL: it has none
 *
 * Every section counts whose pattern fits the name or the UUID, in the order of the file: what
 * a later one sets replaces what an earlier one set. Only allow rules and references add up.
 * What none sets is as for all guests.
 *
 * Return: 0 (guest_config_free()), -ENOMEM.
 */
nodiscard int config_guest(const struct config *config, const char *name, const char *uuid,
			   struct guest_config *ret);
void guest_config_free(struct guest_config *guest);

/* Is a check to run in this guest? */
bool guest_config_runs(const struct guest_config *guest, const char *check);

#endif
