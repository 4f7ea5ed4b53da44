/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check/check.h"
#include "monitor/config.h"

#define TEXT_SHOWN 40	/* of a value in a message */

static int refuse(const struct key *key, const char *text, struct err *err, const char *allowed)
{
	return err_set(err, -EINVAL, "%s is '%.*s', allowed %s", key->name, TEXT_SHOWN, text,
		       allowed);
}

/* @n digits as a number; -1: something else is there. */
static int digits(const char **text, unsigned n)
{
	int value = 0;

	for (unsigned i = 0; i < n; i++) {
		char c = **text;

		if (c < '0' || c > '9')
			return -1;
		value = value * 10 + (c - '0');
		++*text;
	}
	return value;
}

/* Digits, of which @decimals may stand behind a point, as a number of units of the last one. */
static bool parse_decimal(const char *text, unsigned decimals, uint64_t *ret)
{
	uint64_t value = 0;
	bool point = false, any = false;
	unsigned behind = 0;

	for (; *text; text++) {
		if (*text == '.' && any && !point && decimals) {
			point = true;
			any = false;
			continue;
		}
		if (*text < '0' || *text > '9' || value > UINT32_MAX ||
		    (point && behind == decimals))
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		behind += point;
		any = true;
	}
	for (; behind < decimals; behind++)
		value *= 10;
	*ret = value;
	return any;
}

static int parse_number(const struct key *key, const char *text, union value *ret,
			struct err *err)
{
	bool percent = key->type == VALUE_PERCENT;
	uint32_t unit = percent ? 10 : 1;
	char allowed[80];
	uint64_t value;

	if (parse_decimal(text, percent ? 1 : 0, &value) && value >= (uint64_t)key->min &&
	    value <= (uint64_t)key->max * unit && (!percent || value > 0)) {
		ret->number = (uint32_t)value;
		return 0;
	}
	if (percent)
		snprintf(allowed, sizeof(allowed), "is 0.1 to %u, in percent of a core", key->max);
	else
		snprintf(allowed, sizeof(allowed), "is a number from %u to %u", key->min, key->max);
	return refuse(key, text, err, allowed);
}

static int parse_choice(const struct key *key, const char *text, union value *ret,
			struct err *err)
{
	char allowed[160] = "is";
	size_t n = strlen(allowed);

	for (uint32_t i = 0; key->choices[i]; i++) {
		if (!strcmp(key->choices[i], text)) {
			ret->number = i;
			return 0;
		}
		n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s", i ? ", " : " ",
				      key->choices[i]);
	}
	return refuse(key, text, err, allowed);
}

/* "Z", "+01:00": behind a time; @offset_s is what that place's clocks are ahead of UTC. */
static bool parse_zone(const char *text, int *offset_s)
{
	int hours, minutes, sign = *text == '-' ? -1 : 1;

	if (!strcmp(text, "Z")) {
		*offset_s = 0;
		return true;
	}
	if (*text != '+' && *text != '-')
		return false;
	text++;
	hours = digits(&text, 2);
	if (hours < 0 || hours > 23 || *text++ != ':')
		return false;
	minutes = digits(&text, 2);
	if (minutes < 0 || minutes > 59 || *text)
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* RFC 3339, section 5.6: a full-date, or a date-time in whole seconds. */
static bool parse_time(const char *text, int64_t *ret)
{
	struct tm tm = {0}, same;
	int year, month, day, offset_s = 0;
	int64_t s;

	year = digits(&text, 4);
	if (year < 1970 || *text++ != '-')
		return false;
	month = digits(&text, 2);
	if (month < 1 || month > 12 || *text++ != '-')
		return false;
	day = digits(&text, 2);
	if (day < 1 || day > 31)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	if (!*text) {
		tm.tm_hour = 24;	/* to the end of that day */
	} else {
		if (*text != 'T' && *text != ' ')
			return false;
		text++;
		tm.tm_hour = digits(&text, 2);
		if (tm.tm_hour < 0 || tm.tm_hour > 23 || *text++ != ':')
			return false;
		tm.tm_min = digits(&text, 2);
		if (tm.tm_min < 0 || tm.tm_min > 59 || *text++ != ':')
			return false;
		tm.tm_sec = digits(&text, 2);
		if (tm.tm_sec < 0 || tm.tm_sec > 59 || !parse_zone(text, &offset_s))
			return false;
	}
	same = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday };
	timegm(&same);
	if (same.tm_mday != day)
		return false;	/* the 30th of February */
	s = timegm(&tm);
	*ret = s - offset_s;
	return true;
}

static bool is_word(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789-_.");

	return n > 0 && n <= 64 && !text[n];
}

/* Is what stands before a port, or a path, this host itself? */
static bool host_is_local(const char *host, size_t n)
{
	static const char *const names[] = { "localhost", "[::1]" };
	struct in_addr address;
	char text[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (n == strlen(names[i]) && !memcmp(host, names[i], n))
			return true;
	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n);
	text[n] = '\0';
	return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_url(const char *text)
{
	bool secure = !strncmp(text, "https://", 8);
	const char *host = text + (secure ? 8 : 7);
	size_t n;

	if ((!secure && strncmp(text, "http://", 7) != 0) || strpbrk(text, " \"\\"))
		return false;
	/* Of "http://127.0.0.1@elsewhere/" the host is not what it looks like. */
	n = strcspn(host, "/?#");
	if (!n || memchr(host, '@', n))
		return false;
	n = *host == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/?#");
	return secure || host_is_local(host, n);
}

/* The host part of "ADDRESS:PORT"; 0: it is not one. */
static size_t listen_host(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct in6_addr address6;
	struct in_addr address;
	char host[64];
	uint64_t port;
	size_t n;

	if (!colon || colon == text || !parse_decimal(colon + 1, 0, &port) || !port ||
	    port > 65535)
		return 0;
	n = (size_t)(colon - text);
	if (n >= sizeof(host))
		return 0;
	memcpy(host, text, n);
	host[n] = '\0';
	if (*host == '[' && n > 2 && host[n - 1] == ']') {
		host[n - 1] = '\0';
		return inet_pton(AF_INET6, host + 1, &address6) == 1 ? n : 0;
	}
	return inet_pton(AF_INET, host, &address) == 1 ? n : 0;
}

bool listen_is_local(const char *listen)
{
	size_t n = listen_host(listen);

	return !strncmp(listen, "unix:/", 6) || (n && host_is_local(listen, n));
}

static int parse_text(const struct key *key, const char *text, struct err *err)
{
	switch (key->type) {
	case VALUE_WORD:
		return is_word(text) ? 0 : refuse(key, text, err, "are up to 64 letters, digits, "
								  "'-', '_' and '.'");
	case VALUE_PATH:
		return *text == '/' && strlen(text) < 4096 ? 0 :
			refuse(key, text, err, "is an absolute path");
	case VALUE_CHECK:
		return check_by_id(text) ? 0 : refuse(key, text, err, "is the id of a check "
								      "(hvsm checks lists them)");
	case VALUE_URL:
		return is_url(text) ? 0 : refuse(key, text, err, "is https://HOST/…, or http:// "
								 "of this host (127.0.0.1)");
	case VALUE_LISTEN:
		return !strncmp(text, "unix:/", 6) || listen_host(text) ? 0 :
			refuse(key, text, err, "is unix:/PATH, ADDRESS:PORT or [ADDRESS]:PORT");
	default:
		return *text ? 0 : err_set(err, -EINVAL, "%s is empty", key->name);
	}
}

int value_parse(const struct key *key, const char *text, union value *ret, struct err *err)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return err_set(err, -EINVAL, "%s has a control character (%#x)", key->name,
				       (unsigned char)*c);

	switch (key->type) {
	case VALUE_NUMBER:
	case VALUE_PERCENT:
		return parse_number(key, text, ret, err);
	case VALUE_CHOICE:
		return parse_choice(key, text, ret, err);
	case VALUE_YES_NO:
		ret->yes = !strcmp(text, "yes");
		return ret->yes || !strcmp(text, "no") ? 0 :
			refuse(key, text, err, "is yes or no");
	case VALUE_EXPIRY:
		if (!strcmp(text, "never"))
			ret->time_s = EXPIRES_NEVER;
		else if (!parse_time(text, &ret->time_s))
			return refuse(key, text, err, "is a day (2026-12-31), a time "
						      "(2026-12-31T18:00:00Z), or never");
		return 0;
	default:
		return parse_text(key, text, err);
	}
}
