/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_OUTPUT_H
#define HVSM_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The standard streams. Output that got lost is an error, except where its reader went away
 * (`hvsm ps vm | head`), which is that reader's choice.
 */

/* At start, before any file is opened. */
void output_init(void);

/**
 * output_finish - write out what is left
 * @status: the exit status if all went well
 *
 * Return: @status, or 2 (and a message) where stdout could not be written.
 */
int output_finish(int status);

/* Say that what was printed did not get where it should. */
void output_lost(int code);

/* May stdout, as it was at start, have colours? On a terminal, unless NO_COLOR (no-color.org). */
bool output_colour(void);

/* Columns of the terminal that stdout was at start; 0: it is none, and nothing is to be cut. */
size_t output_columns(void);

#endif
