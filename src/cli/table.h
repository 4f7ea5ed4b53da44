/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_TABLE_H
#define HVSM_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * Rows of text under headings, each column as wide as its widest cell. The last one is not
 * padded. On a terminal a row is cut to its width, so that it stays one row; never elsewhere.
 *
 *	struct table table = table_of(columns, ARRAY_SIZE(columns));
 *	table_text(&table, "%s", comm);	// the next cell, row after row
 *	r = table_print(&table, output_columns(), stdout, err);
 *	table_free(&table);
 */
struct column {
	const char *heading;
	bool right;	/* numbers */
};

struct table {
	const struct column *columns;
	size_t columns_n;
	VEC(char *) cells;
	bool no_memory;
};

struct table table_of(const struct column *columns, size_t n);

/* Add a cell; what is in it may be the guest's text: it is escaped here. */
void table_text(struct table *table, const char *fmt, ...) printf_like(2, 3);

/* The same of text that is escaped already: from a document. */
void table_escaped(struct table *table, const char *text);

/**
 * table_print - write the table
 * @width: columns to cut rows to; 0: do not cut
 * Return: 0, -ENOMEM (then, or when cells were added). Errors of writing are those of @to.
 */
nodiscard int table_print(const struct table *table, size_t width, FILE *to, struct err *err);

void table_free(struct table *table);

#endif
