/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/escape.h"

/* Between two columns. */
#define GAP 2

/* A cell wider than this does not widen its column: one long path must not spread all rows. */
#define WIDTH_MAX 44

struct table table_of(const struct column *columns, size_t n)
{
	return (struct table){ .columns = columns, .columns_n = n };
}

void table_text(struct table *table, const char *fmt, ...)
{
	cleanup(freep) char *text = NULL;
	va_list args;
	char **cell;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		text = NULL;

	cell = vec_add(&table->cells);
	if (!cell || !text || !(*cell = escape_dup(text)))
		table->no_memory = true;
}

void table_escaped(struct table *table, const char *text)
{
	char **cell = vec_add(&table->cells);

	if (!cell || !(*cell = strdup(text)))
		table->no_memory = true;
}

static void put_spaces(size_t n, FILE *to)
{
	fprintf(to, "%*s", (int)n, "");
}

/* One cell, with at most @left columns for it and what pads it. Returns those it took. */
static size_t put_cell(const struct table *table, size_t column, const char *text,
		       size_t width, size_t left, FILE *to)
{
	size_t n = columns_fit(text, left), padding = 0;
	size_t taken = text[n] ? left : columns_of(text);

	if (width > taken)
		padding = width - taken < left - taken ? width - taken : left - taken;
	if (table->columns[column].right)
		put_spaces(padding, to);
	fwrite(text, 1, n, to);
	if (!table->columns[column].right)
		put_spaces(padding, to);
	return taken + padding;
}

static const char *cell_text(const struct table *table, char *const *cells, size_t column)
{
	return cells ? cells[column] : table->columns[column].heading;
}

/*
 * One row; @cells has the text of each column, NULL is the heading. Behind the last cell that
 * is not empty nothing is printed, and that one is padded only to be put to the right.
 */
static void put_row(const struct table *table, char *const *cells, const size_t *widths,
		    size_t width, FILE *to)
{
	size_t left = width ? width : SIZE_MAX, n = table->columns_n;

	while (n && !*cell_text(table, cells, n - 1))
		n--;
	for (size_t i = 0; i < n && left; i++) {
		bool padded = i + 1 < n || table->columns[i].right;

		left -= put_cell(table, i, cell_text(table, cells, i), padded ? widths[i] : 0, left,
				 to);
		if (i + 1 == n || left <= GAP)
			break;
		put_spaces(GAP, to);
		left -= GAP;
	}
	putc('\n', to);
}

static void measure(const struct table *table, size_t *widths)
{
	for (size_t i = 0; i < table->columns_n; i++)
		widths[i] = columns_of(table->columns[i].heading);
	for (size_t i = 0; i < table->cells.n; i++) {
		size_t columns = columns_of(table->cells.v[i]), *width;

		width = &widths[i % table->columns_n];
		if (columns > *width && columns <= WIDTH_MAX)
			*width = columns;
	}
}

int table_print(const struct table *table, size_t width, FILE *to, struct err *err)
{
	cleanup(freep) size_t *widths = calloc(table->columns_n, sizeof(*widths));

	if (!widths || table->no_memory)
		return err_set(err, -ENOMEM, "no memory for the table");
	measure(table, widths);
	put_row(table, NULL, widths, width, to);
	for (size_t i = 0; i + table->columns_n <= table->cells.n; i += table->columns_n)
		put_row(table, table->cells.v + i, widths, width, to);
	return 0;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->cells.n; i++)
		free(table->cells.v[i]);
	vec_free(&table->cells);
}
