/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

static struct config *good(const char *text)
{
	struct config *config = NULL;
	struct err err = {0};

	if (config_parse("f", text, strlen(text), &config, &err) < 0)
		fail_msg("%s", err.text);
	return config;
}

static void its_text_makes_the_same_of_it_elsewhere(void **state)
{
	static const char text[] = "mode = enforce\n# a remark\nguest 'a*' { watch = no }";
	struct config *config = good(text), *again;

	(void)state;
	assert_int_equal(config->text_n, sizeof(text) - 1);
	assert_memory_equal(config->text, text, sizeof(text));
	again = good(config->text);
	assert_int_equal(again->mode, MODE_ENFORCE);
	assert_int_equal(again->guests.n, 1);
	config_free(&config);
	config_free(&again);
	config = good("");
	assert_string_equal(config->text, "");
	config_free(&config);
}

/* The text is refused, with these words; what was loaded before stays. */
static void bad(const char *text, const char *why)
{
	struct config *before = good(""), *config = before;
	struct err err = {0};

	if (config_parse("f", text, strlen(text), &config, &err) != -EINVAL)
		fail_msg("taken: %s", text);
	assert_ptr_equal(config, before);
	assert_string_equal(err.text, why);
	config_free(&config);
}

static void an_empty_file_is_all_defaults(void **state)
{
	struct config *config = good("");

	(void)state;
	assert_int_equal(config->mode, MODE_OBSERVE);
	assert_string_equal(config->user, "hvsm");
	assert_string_equal(config->state_dir, "/var/lib/hvsm");
	assert_string_equal(config->socket, "/run/hvsm/hvsmd.sock");
	assert_int_equal(config->look_period_ms, 100);
	assert_int_equal(config->guest_cpu_permille, 10);
	assert_null(config->http.listen);
	assert_int_equal(config->guests.n, 0);
	assert_int_equal(config->reactions.n, 0);
	assert_string_equal(config->path, "f");
	config_free(&config);
	assert_null(config);
}

#define ALL                                                                              \
	"# a comment with 'an open quote\n"                                              \
	"mode = enforce\n"                                                               \
	"user = monitor # another\n"                                                     \
	"state_dir = /srv/hvsm\nagents_dir = '/srv/agents'\nsocket = \"/run/s\"\n"       \
	"libvirt = 'test:///default'\n"                                                 \
	"reference = { /srv/a, '/srv/b c' }\n"                                           \
	"look_period_ms = 50\ncheap_period_ms = 60\nmiddle_period_ms = 70\n"             \
	"dear_period_ms = 80\njitter_percent = 0\nguest_cpu_percent = 0.5\n"          \
	"host_cpu_percent = 150\nretention_days = 7\nretention_mib = 0\n"                \
	"http {\n\tlisten = 127.0.0.1:9500\n\ttoken_file = /etc/hvsm/token\n}\n"         \
	"reaction tell {\n\tkind = run\n\tprogram = /usr/bin/tell\n"                     \
	"\targuments = { -x, 'a b' }\n\ton_severity = medium\n"                          \
	"\ton_checks = { syscall-table }\n\tper_hour = 3\n\ttimeout_s = 9\n}\n"          \
	"reaction hook {\n\tkind = webhook\n\turl = https://soc.example/x\n"             \
	"\ton_verdict = inconclusive\n\ttoken_file = /etc/t\n}\n"                        \
	"reaction core {\n\tkind = dump\n\tdirectory = /srv/cores\n}\n"                  \
	"guest 'web-*' {\n\twatch = no\n\tmode = observe\n\tchecks = { syscall-table, idt }\n" \
	"\tskip = { idt }\n\tlook_period_ms = 1000\n\tcpu_percent = 2.5\n"               \
	"\tseverity_low = { security-posture }\n\treference = /srv/web\n"                \
	"\treactions = { tell, core }\n"                                                 \
	"\tallow {\n\t\tcheck = module-code\n\t\tobject = 'falcon_*'\n"                  \
	"\t\treason = \"the sensor's own\"\n\t\texpires = 2026-12-31\n\t}\n"             \
	"\tallow {\n\t\tcheck = idt\n\t\tobject = '*'\n\t\tkind = gate\n"                \
	"\t\treason = 'for ever'\n\t\texpires = never\n\t}\n}\n"

/* With what is commented out in it, too, of which most is the default. */
static void the_default_file_is_right(void **state)
{
	const char *top = getenv("HVSM_TOP");
	cleanup(file_close) FILE *file = NULL;
	cleanup(freep) char *text = calloc(1, 65536);
	struct config *config;
	size_t n = 0;
	char path[4096], line[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/src/monitor/hvsmd.conf", top ? top : ".");
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		/* Examples are commented out without a blank; of two, one. */
		const char *rest = *line == '#' && line[1] != ' ' ? line + 1 : line;

		if (strcmp(rest, "\tlisten = unix:/run/hvsm/http.sock\n") != 0)
			n += (size_t)snprintf(text + n, 65536 - n, "%s", rest);
	}
	config = good(text);
	assert_int_equal(config->mode, MODE_OBSERVE);
	assert_int_equal(config->reactions.n, 5);
	assert_int_equal(config->guests.n, 2);
	assert_int_equal(config->guests.v[1].allow.n, 1);
	config_free(&config);

	rewind(file);
	n = fread(text, 1, 65535, file);
	text[n] = '\0';
	config = good(text);
	assert_int_equal(config->reactions.n, 1);
	assert_int_equal(config->reactions.v[0].kind, REACTION_LOG);
	assert_string_equal(config->guests.v[0].pattern, "*");
	config_free(&config);
}

static void every_key_arrives(void **state)
{
	struct config *config = good(ALL);
	const struct config_reaction *reaction = config_reaction(config, "tell");
	const struct config_guest *guest = &config->guests.v[0];

	(void)state;
	assert_int_equal(config->mode, MODE_ENFORCE);
	assert_string_equal(config->user, "monitor");
	assert_string_equal(config->state_dir, "/srv/hvsm");
	assert_string_equal(config->agents_dir, "/srv/agents");
	assert_string_equal(config->socket, "/run/s");
	assert_string_equal(config->libvirt, "test:///default");
	assert_int_equal(config->reference.n, 2);
	assert_string_equal(config->reference.v[1], "/srv/b c");
	assert_int_equal(config->look_period_ms, 50);
	assert_int_equal(config->cheap_period_ms, 60);
	assert_int_equal(config->middle_period_ms, 70);
	assert_int_equal(config->dear_period_ms, 80);
	assert_int_equal(config->jitter_percent, 0);
	assert_int_equal(config->guest_cpu_permille, 5);
	assert_int_equal(config->host_cpu_permille, 1500);
	assert_int_equal(config->retention_days, 7);
	assert_int_equal(config->retention_mib, 0);
	assert_string_equal(config->http.listen, "127.0.0.1:9500");
	assert_string_equal(config->http.token_file, "/etc/hvsm/token");

	assert_int_equal(config->reactions.n, 3);
	assert_int_equal(reaction->kind, REACTION_RUN);
	assert_string_equal(reaction->program, "/usr/bin/tell");
	assert_int_equal(reaction->arguments.n, 2);
	assert_string_equal(reaction->arguments.v[1], "a b");
	assert_int_equal(reaction->on_severity, SEVERITY_MEDIUM);
	assert_true(texts_have(&reaction->on_checks, "syscall-table"));
	assert_int_equal(reaction->per_hour, 3);
	assert_int_equal(reaction->timeout_s, 9);
	reaction = config_reaction(config, "hook");
	assert_int_equal(reaction->on_verdict, VERDICT_INCONCLUSIVE);
	assert_string_equal(reaction->url, "https://soc.example/x");
	assert_string_equal(reaction->token_file, "/etc/t");
	assert_int_equal(reaction->on_severity, SEVERITY_HIGH);
	assert_string_equal(config_reaction(config, "core")->directory, "/srv/cores");
	assert_null(config_reaction(config, "no"));

	assert_string_equal(guest->pattern, "web-*");
	assert_int_equal(guest->cpu_permille, 25);
	assert_true(texts_have(&guest->severity[SEVERITY_LOW], "security-posture"));
	assert_string_equal(guest->reference.v[0], "/srv/web");
	assert_int_equal(guest->allow.n, 2);
	assert_string_equal(guest->allow.v[0].reason, "the sensor's own");
	assert_string_equal(guest->allow.v[0].kind, "*");
	/* The first second of the day after: date -u -d 2027-01-01 +%s. */
	assert_int_equal(guest->allow.v[0].expires_s, 1798761600);
	assert_string_equal(guest->allow.v[0].expires_text, "2026-12-31");
	assert_int_equal(guest->allow.v[1].expires_s, EXPIRES_NEVER);
	assert_int_equal(guest->allow.v[1].line, 63);
	config_free(&config);
}

static void errors_have_their_line_and_say_what_is_allowed(void **state)
{
	(void)state;
	bad("# one\n\n# three\nmod = enforce\n", "f:4: no such option 'mod' outside of sections "
	    "(hvsmd.conf(5) has those that there are)");
	bad("mode = observe\nguest a {\n# c\n\tfoo = 1\n}\n", "f:4: no such option 'foo' in a "
	    "section guest (hvsmd.conf(5) has those that there are)");
	bad("\nmode = dream\n", "f:2: mode is 'dream', allowed is observe, enforce");
	bad("look_period_ms = 5", "f:1: look_period_ms is '5', allowed is a number from 10 to "
	    "3600000");
	bad("look_period_ms = 5s", "f:1: look_period_ms is '5s', allowed is a number from 10 to "
	    "3600000");
	bad("look_period_ms = 4294967396", "f:1: look_period_ms is '4294967396', allowed is a "
	    "number from 10 to 3600000");
	bad("guest_cpu_percent = 0", "f:1: guest_cpu_percent is '0', allowed is 0.1 to 100, in "
	    "percent of a core");
	bad("guest_cpu_percent = 1.23", "f:1: guest_cpu_percent is '1.23', allowed is 0.1 to "
	    "100, in percent of a core");
	bad("guest_cpu_percent = 1.", "f:1: guest_cpu_percent is '1.', allowed is 0.1 to 100, in "
	    "percent of a core");
	bad("state_dir = here", "f:1: state_dir is 'here', allowed is an absolute path");
	bad("user = 'a b'", "f:1: user is 'a b', allowed are up to 64 letters, digits, '-', '_' "
	    "and '.'");
	bad("guest a {\nwatch = maybe\n}", "f:2: watch is 'maybe', allowed is yes or no");
	bad("guest a {\nchecks = { idt,\n nonsense }\n}", "f:3: checks is 'nonsense', allowed is "
	    "the id of a check (hvsm checks lists them)");
	bad("user = \"a\\nb\"", "f:1: user has a control character (0xa)");
}

static void structure_is_strict(void **state)
{
	(void)state;
	bad("mode = observe\nmode = enforce", "f:2: mode is set twice");
	bad("guest a {\nskip = idt\nskip = idt\n}", "f:3: skip is set twice");
	bad("http {\n}\nhttp {\n}\n", "f:4: a second section http");
	bad("guest a {\n}\nguest a {\n}", "f:3: found duplicate title 'a'");
	bad("guest {\n}", "f:1: missing title for section 'guest'");
	bad("guest '' {\n}", "f:2: the pattern of a guest is '', allowed are 1 to 255 characters");
	bad("mode = observe\nguest a {\n\n", "f:2: a '{' without its '}'");
	bad("guest a {\n skip = { idt\n}\n", "f:1: a '{' without its '}'");
	bad("guest a {\n skip = }\n", "f:2: unexpected token '}'");
	bad("\n}", "f:2: unexpected closing brace");
	bad("mode observe", "f:1: missing equal sign after option 'mode'");
	bad("guest a {\nseverity_low = idt\nseverity_high = { vdso, idt }\n}",
	    "f:4: 'idt' stands in severity_low and in severity_high");
}

/* What libconfuse would take, but not as it is meant. */
static void traps_of_the_parser(void **state)
{
	(void)state;
	bad("mode = observe\n/* and\nmode = enforce\n", "f:2: a comment begins with '#'");
	bad("// mode", "f:1: a comment begins with '#'");
	bad("user = 'abc\nmode = enforce'", "f:1: a text that does not end on its line");
	bad("\nuser = \"abc\\\"", "f:2: a text that does not end on its line");
	bad("user = \"${HOME}\"", "f:1: ${…} has no meaning here; in single quotes it stands for "
	    "itself");
	bad("user = ${HOME}", "f:1: '$' has no meaning outside of quotes");
	bad("jitter_percent = +5", "f:1: '+' has no meaning outside of quotes");
	bad("guest a {\nskip += { idt }\n}", "f:2: '+' has no meaning outside of quotes");
	bad("include('/etc/passwd')", "f:1: '(' has no meaning outside of quotes");
}

static void a_nul_byte_does_not_hide_the_rest(void **state)
{
	struct config *config = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(config_parse("f", "mode=observe\n\0mode=x", 20, &config, &err), -EINVAL);
	assert_string_equal(err.text, "f:2: a control character (0)");
	assert_null(config);
}

static void reactions_have_what_they_need(void **state)
{
	(void)state;
	bad("reaction a {\n}\n", "f:2: this section reaction has no kind");
	bad("reaction a {\nkind = run\n}\n", "f:3: a reaction of kind run needs program");
	bad("reaction a {\nkind = dump\n}\n", "f:3: a reaction of kind dump needs directory");
	bad("reaction a {\nkind = webhook\n}\n", "f:3: a reaction of kind webhook needs url");
	bad("reaction a {\nkind = log\nprogram = /bin/x\n}", "f:4: program belongs to reactions of "
	    "kind run only");
	bad("reaction 'a b' {\nkind = log\n}\n", "f:3: the name of a reaction is 'a b', allowed "
	    "are up to 64 letters, digits, '-', '_' and '.'");
	bad("reaction a {\nkind = log\non_verdict = compromised\non_severity = low\n}",
	    "f:5: a reaction is to a verdict (on_verdict) or to findings (on_severity, on_checks), "
	    "not to both");
	bad("guest a {\nreactions = { b }\n}\nreaction b {\nkind = log\n}",
	    "f:2: no reaction 'b' stands above");
}

static void a_webhook_is_secret_or_stays_on_the_host(void **state)
{
	static const char *const refused[] = {
		"http://soc.example/", "http://127.0.0.1@soc.example/", "ftp://127.0.0.1/",
		"http://127.0.0.1.example/", "http://localhost.example/", "https://",
		"http://[::1", "https://a b/", "http://", "http://128.0.0.1/",
	};
	static const char *const taken[] = {
		"https://soc.example/a?b", "http://127.0.0.1:8080/x", "http://localhost/",
		"http://[::1]:80/", "http://127.0.0.1",
	};
	char text[200], why[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		snprintf(text, sizeof(text), "reaction a {\nkind = webhook\nurl = '%s'\n}",
			 refused[i]);
		snprintf(why, sizeof(why), "f:3: url is '%s', allowed is https://HOST/…, or http:// "
			 "of this host (127.0.0.1)", refused[i]);
		bad(text, why);
	}
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		struct config *config;

		snprintf(text, sizeof(text), "reaction a {\nkind = webhook\nurl = %s\n}", taken[i]);
		config = good(text);
		assert_string_equal(config->reactions.v[0].url, taken[i]);
		config_free(&config);
	}
}

static void http_beyond_the_host_needs_tls(void **state)
{
	struct config *config;

	(void)state;
	bad("http {\nlisten = 0.0.0.0:80\ntoken_file = /t\n}", "f:4: listening on 0.0.0.0:80, "
	    "beyond this host, needs tls_cert and tls_key");
	bad("http {\nlisten = [::]:80\ntoken_file = /t\n}", "f:4: listening on [::]:80, beyond "
	    "this host, needs tls_cert and tls_key");
	bad("http {\nlisten = 127.0.0.1:80\n}", "f:3: listening on 127.0.0.1:80 needs a "
	    "token_file");
	bad("http {\ntls_key = /k\n}", "f:3: tls_cert and tls_key belong together");
	bad("http {\nlisten = localhost\n}", "f:2: listen is 'localhost', allowed is unix:/PATH, "
	    "ADDRESS:PORT or [ADDRESS]:PORT");
	bad("http {\nlisten = 127.0.0.1:65536\n}", "f:2: listen is '127.0.0.1:65536', allowed is "
	    "unix:/PATH, ADDRESS:PORT or [ADDRESS]:PORT");
	config = good("http {\nlisten = unix:/run/h\n}");
	config_free(&config);
	config = good("http {\nlisten = [2001:db8::1]:443\ntoken_file = /t\ntls_cert = /c\n"
		      "tls_key = /k\n}");
	assert_string_equal(config->http.listen, "[2001:db8::1]:443");
	config_free(&config);
}

#define RULE(rest) "guest a {\nallow {\ncheck = idt\nobject = x\n" rest "}\n}"

static void allow_rules_need_a_reason_and_an_end(void **state)
{
	(void)state;
	bad(RULE("expires = never\n"), "f:6: this section allow has no reason");
	bad(RULE("reason = r\n"), "f:6: this section allow has no expires");
	bad(RULE("reason = ''\nexpires = never\n"), "f:5: reason is empty");
	bad("guest a {\nallow {\nreason = r\nexpires = never\nobject = x\n}\n}",
	    "f:6: this section allow has no check");
}

static void days_and_times(void **state)
{
	static const struct { const char *text; int64_t s; } times[] = {
		{ "1970-01-01", 86400 },
		{ "2024-02-29", 1709251200 },
		{ "2026-06-01T12:00:00Z", 1780315200 },
		{ "2026-06-01T12:00:00+02:00", 1780315200 - 7200 },
		{ "2026-06-01T12:00:00-00:30", 1780315200 + 1800 },
	};
	static const char *const refused[] = {
		"2026-02-29", "2026-13-01", "2026-1-1", "tomorrow", "2026-06-01T12:00:00",
		"2026-06-01T24:00:00Z", "2026-06-01T12:00Z", "2026-06-01Z", "2026-06-01T12:00:00Zx",
		"Never",
	};
	char text[200], why[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct config *config;

		snprintf(text, sizeof(text), RULE("reason = r\nexpires = '%s'\n"), times[i].text);
		config = good(text);
		assert_int_equal(config->guests.v[0].allow.v[0].expires_s, times[i].s);
		config_free(&config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		snprintf(text, sizeof(text), RULE("reason = r\nexpires = '%s'\n"), refused[i]);
		snprintf(why, sizeof(why), "f:6: expires is '%s', allowed is a day (2026-12-31), a "
			 "time (2026-12-31T18:00:00Z), or never", refused[i]);
		bad(text, why);
	}
}

static void later_sections_replace_what_they_set(void **state)
{
	struct config *config = good(
		"jitter_percent = 1\nguest_cpu_percent = 3\n"
		"reaction r { kind = log }\n"
		"guest '*' { skip = { idt, vdso }\nreactions = { r }\ncpu_percent = 2\n"
		" allow { check = idt\nobject = a\nreason = b\nexpires = never }\n}\n"
		"guest 'db-?' { watch = no\nmode = enforce\nskip = {}\nlook_period_ms = 700 }\n"
		"guest '0c8e*' { watch = yes\nxen_events = yes\nchecks = { idt }\n}\n");
	struct guest_config guest;

	(void)state;
	assert_int_equal(config_guest(config, "web", NULL, &guest), 0);
	assert_true(guest.watch);
	assert_false(guest.xen_events);
	assert_int_equal(guest.mode, MODE_OBSERVE);
	assert_int_equal(guest.cpu_permille, 20);
	assert_int_equal(guest.look_period_ms, 100);
	assert_int_equal(guest.sections.n, 1);
	assert_true(guest_config_runs(&guest, "syscall-table"));
	assert_false(guest_config_runs(&guest, "idt"));
	guest_config_free(&guest);

	assert_int_equal(config_guest(config, "db-1", "ffff", &guest), 0);
	assert_false(guest.watch);
	assert_int_equal(guest.mode, MODE_ENFORCE);
	assert_int_equal(guest.look_period_ms, 700);
	assert_int_equal(guest.skip->n, 0);
	assert_true(guest_config_runs(&guest, "idt"));
	assert_true(texts_have(guest.reactions, "r"));
	guest_config_free(&guest);

	assert_int_equal(config_guest(config, "db-1", "0c8e-1", &guest), 0);
	assert_true(guest.watch);
	assert_true(guest.xen_events);
	assert_int_equal(guest.sections.n, 3);
	assert_true(guest_config_runs(&guest, "idt"));
	assert_false(guest_config_runs(&guest, "vdso"));
	guest_config_free(&guest);

	/* A guest without a name is one of all guests, too. */
	assert_int_equal(config_guest(config, NULL, NULL, &guest), 0);
	assert_int_equal(guest.sections.n, 1);
	guest_config_free(&guest);
	config_free(&config);
}

/* A file of its own in /tmp, with these rights. */
static void write_file(char path[64], const char *text, mode_t mode)
{
	cleanup(fd_close) int fd = -1;

	strcpy(path, "/tmp/hvsm-config-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void files_that_others_may_write_are_refused(void **state)
{
	struct config *config = NULL;
	struct err err = {0};
	char path[64];

	(void)state;
	write_file(path, "mode = enforce\n", 0644);
	assert_int_equal(config_load(path, &config, &err), 0);
	assert_int_equal(config->mode, MODE_ENFORCE);
	assert_string_equal(config->path, path);
	config_free(&config);

	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(config_load(path, &config, &err), -EACCES);
	assert_non_null(strstr(err.text, "others than its owner may write it"));
	assert_int_equal(chmod(path, 0602), 0);
	assert_int_equal(config_load(path, &config, &err), -EACCES);
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 1234, 0), 0);
		assert_int_equal(config_load(path, &config, &err), -EACCES);
		assert_non_null(strstr(err.text, "belongs to user 1234"));
	}
	unlink(path);
	assert_int_equal(config_load(path, &config, &err), -ENOENT);
	assert_int_equal(config_load("/tmp", &config, &err), -EINVAL);
	assert_null(config);
}

static void a_file_has_a_largest_size(void **state)
{
	cleanup(freep) char *text = malloc(CONFIG_BYTES_MAX + 2);
	struct config *config = NULL;
	struct err err = {0};
	char path[64];

	(void)state;
	memset(text, '\n', CONFIG_BYTES_MAX + 1);
	text[CONFIG_BYTES_MAX + 1] = '\0';
	assert_int_equal(config_parse("f", text, CONFIG_BYTES_MAX, &config, &err), 0);
	config_free(&config);
	write_file(path, text, 0600);
	assert_int_equal(config_load(path, &config, &err), -ELOOP);
	unlink(path);
	assert_null(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_text_makes_the_same_of_it_elsewhere),
		cmocka_unit_test(an_empty_file_is_all_defaults),
		cmocka_unit_test(the_default_file_is_right),
		cmocka_unit_test(every_key_arrives),
		cmocka_unit_test(errors_have_their_line_and_say_what_is_allowed),
		cmocka_unit_test(structure_is_strict),
		cmocka_unit_test(traps_of_the_parser),
		cmocka_unit_test(a_nul_byte_does_not_hide_the_rest),
		cmocka_unit_test(reactions_have_what_they_need),
		cmocka_unit_test(a_webhook_is_secret_or_stays_on_the_host),
		cmocka_unit_test(http_beyond_the_host_needs_tls),
		cmocka_unit_test(allow_rules_need_a_reason_and_an_end),
		cmocka_unit_test(days_and_times),
		cmocka_unit_test(later_sections_replace_what_they_set),
		cmocka_unit_test(files_that_others_may_write_are_refused),
		cmocka_unit_test(a_file_has_a_largest_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
