/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/maps.h"

#include <stdio.h>
#include <string.h>

#include "agent/format.h"

int map_parse(char *line, struct map_line *map)
{
	unsigned long long start, end, offset, inode;
	unsigned major, minor;
	char rights[5];
	int n = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu%n", &start, &end, rights, &offset, &major,
		   &minor, &inode, &n) < 7 || end < start || strlen(rights) != 4)
		return -EBADMSG;
	line[strcspn(line, "\n")] = 0;
	*map = (struct map_line){
		.executable = rights[2] == 'x',
		.first_page = offset / AGENT_PAGE_BYTES,
		.pages = (end - start) / AGENT_PAGE_BYTES,
		.device = (uint64_t)major << 20 | minor,
		.inode = inode,
		.path = line + n + strspn(line + n, " "),
	};
	snprintf(map->range, sizeof(map->range), "%llx-%llx", start, end);
	return 0;
}
