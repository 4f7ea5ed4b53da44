/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/interpreter.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/*
 * A name, and after it whatever says which version: python3.11, ruby3.1, lua5.4. A program that
 * is named otherwise is no interpreter to us; what a "#!" line starts is measured in any case, as
 * the kernel opens the script itself.
 */
static const char *const names[] = {
	"sh", "ash", "dash", "bash", "rbash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh",
	"busybox", "toybox", "perl", "python", "pypy", "ruby", "node", "nodejs", "deno", "bun",
	"php", "lua", "luajit", "tclsh", "expect", "awk", "gawk", "mawk", "java", "mono",
	"Rscript", "guile", "insmod", "modprobe", "kmod",
};

bool interpreter_by_name(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(base, names[i], n) &&
		    base[n + strspn(base + n, "0123456789.-")] == 0)
			return true;
	}
	return false;
}

unsigned interpreter_files(const char *arguments, size_t n,
			   const char *files[INTERPRETER_FILES_MAX])
{
	unsigned found = 0;

	for (size_t at = 0; at < n && found < INTERPRETER_FILES_MAX;) {
		size_t bytes = strnlen(arguments + at, n - at);

		if (at + bytes == n)
			break;
		/* "-c", "-ec": the next one is the program itself, and no file follows. */
		if (at && bytes > 1 && arguments[at] == '-' && arguments[at + 1] != '-' &&
		    arguments[at + bytes - 1] == 'c' && !found)
			break;
		if (at && bytes && arguments[at] != '-')
			files[found++] = arguments + at;
		at += bytes + 1;
	}
	return found;
}

int interpreter_path(uint32_t pid, const char *file, char *path, size_t size)
{
	static const struct {
		const char *name, *means;
	} own[] = {
		{ "/proc/self/", "" }, { "/dev/fd/", "fd/" }, { "/dev/stdin", "fd/0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		size_t n = strlen(own[i].name);

		if (!strncmp(file, own[i].name, n))
			return snprintf(path, size, "/proc/%u/%s%s", pid, own[i].means, file + n);
	}
	return snprintf(path, size, "/proc/%u/%s%s", pid, *file == '/' ? "root" : "cwd/", file);
}
