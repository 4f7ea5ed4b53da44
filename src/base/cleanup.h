/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_CLEANUP_H
#define HVSM_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Ownership in the type of a local variable: `cleanup(view_close) struct view *view = NULL;`
 * calls view_close(&view) however the function ends. take_ptr() and take_fd() hand the
 * object over and leave nothing behind.
 */
#define cleanup(fn) __attribute__((cleanup(fn)))

#define take_ptr(ptr)                              \
	({                                         \
		__typeof__(*(ptr)) taken_ = *(ptr); \
		*(ptr) = NULL;                     \
		taken_;                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Frees whatever a pointer variable of any type points to. */
static inline void freep(void *ptr)
{
	free(*(void **)ptr);
}

static inline void fd_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void file_close(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
