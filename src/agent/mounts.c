/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/mounts.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* "\040" and the like, in place (mangle() in fs/proc_namespace.c). */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at;) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' &&
		    at[2] <= '7' && at[3] >= '0' && at[3] <= '7') {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 4;
		} else {
			*to++ = *at++;
		}
	}
	*to = 0;
}

int mount_parse(char *line, struct mount_line *mount)
{
	unsigned long long id;
	unsigned major, minor;
	char *rest, *word[2];
	int n = 0;

	if (sscanf(line, "%llu %*d %u:%u %n", &id, &major, &minor, &n) < 3 || !n)
		return -EBADMSG;
	rest = line + n;
	for (int i = 0; i < 2; i++)
		word[i] = strsep(&rest, " ");	/* what of the file system, and where */
	if (!rest)
		return -EBADMSG;
	/* Options and tags, of which there may be any number, end at " - ". */
	rest = strstr(rest, " - ");
	if (!rest)
		return -EBADMSG;
	rest += 3;
	*mount = (struct mount_line){
		.id = id,
		.device = (uint64_t)major << 20 | minor,
		.point = word[1],
		.type = strsep(&rest, " "),
	};
	unescape(word[1]);
	return *mount->point == '/' ? 0 : -EBADMSG;
}

bool mount_is_slow(const char *type)
{
	static const char *const slow[] = {
		"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "fuse", "fuseblk",
		"ceph", "afs", "coda", "lustre", "gfs2", "ocfs2", "orangefs", "pvfs2", "beegfs",
		"gpfs", "vboxsf", "vmhgfs", "autofs",
	};

	if (!strncmp(type, "fuse.", 5))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		if (!strcmp(type, slow[i]))
			return true;
	return false;
}

bool mount_covers(const char *point, const char *path)
{
	size_t n = strlen(point);

	if (!strcmp(point, "/"))
		return true;
	return !strncmp(point, path, n) && (path[n] == 0 || path[n] == '/');
}
