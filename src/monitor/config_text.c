/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/config_text.h"

#include <string.h>

/* The end of a comment: its newline, or that of the text. */
static size_t blank_comment(char *text, size_t n, size_t at)
{
	while (at < n && text[at] != '\n')
		text[at++] = ' ';
	return at;
}

/* The quote that ends what begins at @at. */
static int skip_quoted(const char *text, size_t n, size_t *at, struct err *err)
{
	char quote = text[*at];

	for (size_t i = *at + 1; i < n && text[i] != '\n'; i++) {
		if (text[i] == quote) {
			*at = i;
			return 0;
		}
		if (quote == '"' && text[i] == '$' && i + 1 < n && text[i + 1] == '{')
			return err_set(err, -EINVAL, "${…} has no meaning here; in single quotes "
						     "it stands for itself");
		/* The other one may be a quote; a newline may not. */
		if (text[i] == '\\' && i + 1 < n && text[i + 1] != '\n')
			i++;
	}
	return err_set(err, -EINVAL, "a text that does not end on its line");
}

static int one(char *text, size_t n, size_t *at, struct err *err)
{
	char c = text[*at], next = *at + 1 < n ? text[*at + 1] : '\0';

	if ((unsigned char)c < ' ' && c != '\t' && c != '\n' && c != '\r')
		return err_set(err, -EINVAL, "a control character (%#x)", (unsigned char)c);
	if (c == '"' || c == '\'')
		return skip_quoted(text, n, at, err);
	if (c == '#')
		*at = blank_comment(text, n, *at) - 1;
	else if (c == '+' || c == '(' || c == ')' || c == '$' || c == '\\')
		return err_set(err, -EINVAL, "'%c' has no meaning outside of quotes", c);
	else if (c == '/' && (next == '*' || next == '/') &&
		 (*at == 0 || strchr(" \t\r\n={},", text[*at - 1])))
		return err_set(err, -EINVAL, "a comment begins with '#'");
	return 0;
}

int config_text_plain(char *text, size_t n, unsigned *line, struct err *err)
{
	unsigned lines = 1, depth = 0, opened = 1;

	for (size_t at = 0; at < n; at++) {
		int r = one(text, n, &at, err);

		if (r < 0) {
			*line = lines;
			return r;
		}
		if (text[at] == '{' && !depth++)
			opened = lines;
		else if (text[at] == '}' && depth)
			depth--;
		lines += text[at] == '\n';
	}
	if (depth) {
		*line = opened;
		return err_set(err, -EINVAL, "a '{' without its '}'");
	}
	return 0;
}
