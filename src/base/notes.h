/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_NOTES_H
#define HVSM_BASE_NOTES_H

#include "base/bytes.h"

/* ELF notes (gABI, "Note Section"), as a kernel, a module and their files have them. */

#define BUILD_ID_TEXT 41u	/* 20 bytes in hex, terminated */

/**
 * notes_build_id - the GNU build ID among some notes
 * @ret: receives it in hex; untouched where there is none
 * Return: is there one?
 */
bool notes_build_id(struct bytes notes, char ret[BUILD_ID_TEXT]);

#endif
