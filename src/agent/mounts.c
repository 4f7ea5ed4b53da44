/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/mounts.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

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

	if (!strncmp(type, "fuse.", 5) || !strncmp(type, "fuseblk.", 8))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		if (!strcmp(type, slow[i]))
			return true;
	return false;
}

bool mount_is_stacked(const char *type)
{
	return !strcmp(type, "overlay") || !strcmp(type, "ecryptfs") || !strcmp(type, "aufs");
}

/* Who finds two paths of the same sum makes one slow that is not. */
#define STEP(sum, c) (((sum) ^ (uint8_t)(c)) * 0x9e3779b97f4a7c15ull ^ (sum) >> 29)

int mount_put_slow(struct map *slow, const char *point)
{
	uint64_t sum = hash_secret();
	int r;

	for (const char *at = point; *at && strcmp(at, "/") != 0; at++)
		sum = STEP(sum, *at);
	r = map_put(slow, sum | 1, 0);
	return r < 0 ? r : 0;
}

bool mount_way_is_slow(const struct map *slow, const char *point)
{
	uint64_t sum = hash_secret();

	if (!slow->n)
		return false;
	for (const char *at = point;; at++) {
		if ((*at == '/' || !*at) && map_get(slow, sum | 1, NULL))
			return true;
		if (!*at)
			return false;
		sum = STEP(sum, *at);
	}
}
