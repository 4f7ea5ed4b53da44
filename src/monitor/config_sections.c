/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config_sections.h"

#include "base/cleanup.h"
#include "monitor/config.h"

#define TOP(member)	 .at = offsetof(struct config, member)
#define REACTION(member) .at = offsetof(struct config_reaction, member)
#define GUEST(member)	 .at = offsetof(struct config_guest, member)
#define ALLOW(member)	 .at = offsetof(struct config_allow, member)

static const char *const modes[] = {
	[MODE_OBSERVE] = "observe", [MODE_ENFORCE] = "enforce", NULL
};

static const char *const severities[] = {
	[SEVERITY_LOW] = "low", [SEVERITY_MEDIUM] = "medium", [SEVERITY_HIGH] = "high",
	[SEVERITY_CRITICAL] = "critical", NULL
};

static const char *const kinds[] = {
	[REACTION_LOG] = "log", [REACTION_RUN] = "run", [REACTION_WEBHOOK] = "webhook",
	[REACTION_PAUSE] = "pause", [REACTION_DUMP] = "dump", [REACTION_UNLINK] = "unlink",
	[REACTION_SHUTDOWN] = "shutdown", [REACTION_POWEROFF] = "poweroff", NULL
};

/* Of a verdict; a clean one is nothing to react to. */
static const char *const verdicts[] = {
	[VERDICT_CLEAN] = "none", [VERDICT_INCONCLUSIVE] = "inconclusive",
	[VERDICT_SUSPICIOUS] = "suspicious", [VERDICT_COMPROMISED] = "compromised", NULL
};

#define HOUR_MS 3600000

static const struct key top_keys[] = {
	{ "mode", VALUE_CHOICE, TOP(mode), "observe", .choices = modes },
	{ "user", VALUE_WORD, TOP(user), "hvsm" },
	{ "state_dir", VALUE_PATH, TOP(state_dir), "/var/lib/hvsm" },
	{ "agents_dir", VALUE_PATH, TOP(agents_dir), "/usr/lib/hvsm/agents" },
	{ "socket", VALUE_PATH, TOP(socket), "/run/hvsm/hvsmd.sock" },
	{ "libvirt", VALUE_TEXT, TOP(libvirt), "qemu:///system" },
	{ "reference", VALUE_PATH, TOP(reference), .many = KEY_LIST },
	{ "look_period_ms", VALUE_NUMBER, TOP(look_period_ms), "100", 10, HOUR_MS },
	{ "cheap_period_ms", VALUE_NUMBER, TOP(cheap_period_ms), "500", 50, 24 * HOUR_MS },
	{ "middle_period_ms", VALUE_NUMBER, TOP(middle_period_ms), "2000", 50, 24 * HOUR_MS },
	{ "dear_period_ms", VALUE_NUMBER, TOP(dear_period_ms), "15000", 50, 24 * HOUR_MS },
	{ "jitter_percent", VALUE_NUMBER, TOP(jitter_percent), "50", 0, 90 },
	{ "guest_cpu_percent", VALUE_PERCENT, TOP(guest_cpu_permille), "1", 0, 100 },
	{ "host_cpu_percent", VALUE_PERCENT, TOP(host_cpu_permille), NULL, 0, 10000 },
	{ "retention_days", VALUE_NUMBER, TOP(retention_days), "90", 0, 36500 },
	{ "retention_mib", VALUE_NUMBER, TOP(retention_mib), "1024", 0, 1u << 24 },
};

static const struct key http_keys[] = {
	{ "listen", VALUE_LISTEN, TOP(http.listen) },
	{ "token_file", VALUE_PATH, TOP(http.token_file) },
	{ "tls_cert", VALUE_PATH, TOP(http.tls_cert) },
	{ "tls_key", VALUE_PATH, TOP(http.tls_key) },
};

static const struct key reaction_keys[] = {
	{ "kind", VALUE_CHOICE, REACTION(kind), .choices = kinds, .need = KEY_REQUIRED },
	{ "on_severity", VALUE_CHOICE, REACTION(on_severity), "high", .choices = severities },
	{ "on_checks", VALUE_CHECK, REACTION(on_checks), .many = KEY_LIST },
	{ "on_verdict", VALUE_CHOICE, REACTION(on_verdict), "none", .choices = verdicts },
	{ "program", VALUE_PATH, REACTION(program) },
	{ "arguments", VALUE_TEXT, REACTION(arguments), .many = KEY_LIST },
	{ "url", VALUE_URL, REACTION(url) },
	{ "token_file", VALUE_PATH, REACTION(token_file) },
	{ "directory", VALUE_PATH, REACTION(directory) },
	{ "per_hour", VALUE_NUMBER, REACTION(per_hour), "10", 1, 3600 },
	{ "timeout_s", VALUE_NUMBER, REACTION(timeout_s), "30", 1, 3600 },
};

static const struct key guest_keys[] = {
	{ "watch", VALUE_YES_NO, GUEST(watch) },
	{ "xen_events", VALUE_YES_NO, GUEST(xen_events) },
	{ "sentinel", VALUE_YES_NO, GUEST(sentinel) },
	{ "mode", VALUE_CHOICE, GUEST(mode), .choices = modes },
	{ "checks", VALUE_CHECK, GUEST(checks), .many = KEY_LIST },
	{ "skip", VALUE_CHECK, GUEST(skip), .many = KEY_LIST },
	{ "look_period_ms", VALUE_NUMBER, GUEST(look_period_ms), NULL, 10, HOUR_MS },
	{ "cheap_period_ms", VALUE_NUMBER, GUEST(cheap_period_ms), NULL, 50, 24 * HOUR_MS },
	{ "middle_period_ms", VALUE_NUMBER, GUEST(middle_period_ms), NULL, 50, 24 * HOUR_MS },
	{ "dear_period_ms", VALUE_NUMBER, GUEST(dear_period_ms), NULL, 50, 24 * HOUR_MS },
	{ "cpu_percent", VALUE_PERCENT, GUEST(cpu_permille), NULL, 0, 100 },
	{ "severity_low", VALUE_CHECK, GUEST(severity[SEVERITY_LOW]), .many = KEY_LIST },
	{ "severity_medium", VALUE_CHECK, GUEST(severity[SEVERITY_MEDIUM]), .many = KEY_LIST },
	{ "severity_high", VALUE_CHECK, GUEST(severity[SEVERITY_HIGH]), .many = KEY_LIST },
	{ "severity_critical", VALUE_CHECK, GUEST(severity[SEVERITY_CRITICAL]),
	  .many = KEY_LIST },
	{ "reference", VALUE_PATH, GUEST(reference), .many = KEY_LIST },
	{ "reactions", VALUE_WORD, GUEST(reactions), .many = KEY_LIST },
};

static const struct key allow_keys[] = {
	{ "check", VALUE_CHECK, ALLOW(check), .need = KEY_REQUIRED },
	{ "object", VALUE_TEXT, ALLOW(object), .need = KEY_REQUIRED },
	{ "kind", VALUE_TEXT, ALLOW(kind), "*" },
	{ "owner", VALUE_TEXT, ALLOW(owner), "*" },
	{ "reason", VALUE_TEXT, ALLOW(reason), .need = KEY_REQUIRED },
	{ "expires", VALUE_EXPIRY, ALLOW(expires_s), .need = KEY_REQUIRED,
	  .text_at = offsetof(struct config_allow, expires_text) },
};

#define KEYS(table) .keys = (table), .n = ARRAY_SIZE(table)

const struct section sections[SECTIONS] = {
	[SECTION_TOP] = { "root", KEYS(top_keys) },
	[SECTION_HTTP] = { "http", KEYS(http_keys), SECTION_ONCE },
	[SECTION_REACTION] = { "reaction", KEYS(reaction_keys), SECTION_TITLED },
	[SECTION_GUEST] = { "guest", KEYS(guest_keys), SECTION_TITLED },
	[SECTION_ALLOW] = { "allow", KEYS(allow_keys), SECTION_AGAIN },
};

_Static_assert(ARRAY_SIZE(top_keys) < SECTION_KEYS_MAX &&
	       ARRAY_SIZE(guest_keys) < SECTION_KEYS_MAX, "room for sections beside the keys");

const char *reaction_kind_name(enum reaction_kind kind)
{
	return kinds[kind];
}
