/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_TEXT_H
#define HVSM_REPORT_TEXT_H

#include "report/report.h"

/* Documents for people keep within these. */
#define TEXT_COLUMNS 80

/* SGR sequences (ECMA-48, 8.3.117); findings and verdicts share them. No others are written. */
#define TEXT_RED    "\033[1;31m"
#define TEXT_YELLOW "\033[1;33m"
#define TEXT_GREEN  "\033[1;32m"
#define TEXT_BLUE   "\033[1;34m"
#define TEXT_BOLD   "\033[1m"
#define TEXT_PLAIN  "\033[0m"

/**
 * text_wrap - print a paragraph
 * @first:  columns that are taken on the current line
 * @indent: of the lines that follow, < TEXT_COLUMNS
 * @fmt:    the text; what is the guest's in it is escaped here, with all the rest
 *
 * Breaks between words, and inside one only where it does not fit on a line of its own. Ends
 * with a newline.
 */
void text_wrap(FILE *to, size_t first, size_t indent, const char *fmt, ...) printf_like(4, 5);

/**
 * text_labelled - print a paragraph beside its label
 * @margin: columns before the label
 * @indent: where the paragraph begins; the label ends before that
 */
void text_labelled(FILE *to, size_t margin, size_t indent, const char *label, const char *fmt,
		   ...) printf_like(5, 6);

/* The same of one text that is escaped already: from a document. */
void text_put(FILE *to, size_t first, size_t indent, const char *escaped);

/**
 * text_report - print a report for a person
 * @colour: with ANSI colours
 *
 * Errors of writing are those of @to: ask ferror().
 */
void text_report(const struct report *report, bool colour, FILE *to);

#endif
