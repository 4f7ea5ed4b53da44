/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_TEXT_H
#define HVSM_REPORT_TEXT_H

#include "report/report.h"

/* Documents for people keep within these. */
#define TEXT_COLUMNS 80

/**
 * text_wrap - print a paragraph
 * @text:   of the guest or ours; escaped here
 * @first:  columns that are taken on the current line
 * @indent: of the lines that follow, < TEXT_COLUMNS
 *
 * Breaks between words, and inside one only where it does not fit on a line of its own. Ends
 * with a newline.
 */
void text_wrap(const char *text, size_t first, size_t indent, FILE *to);

/**
 * text_report - print a report for a person
 * @colour: with ANSI colours
 *
 * Errors of writing are those of @to: ask ferror().
 */
void text_report(const struct report *report, bool colour, FILE *to);

#endif
