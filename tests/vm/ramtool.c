/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ramtool TARGET layout             where the layout comes from, and the ranges, as JSON
 * ramtool TARGET read ADDRESS SIZE  bytes of the guest to stdout
 * ramtool TARGET passes N           attach, say so, wait for a line; then read all that is
 *                                   populated N times, and once all that there is; as JSON
 *
 * For tests/vm/test_ram.py: src/ram and nothing else of hvsm.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ram/guests.h"
#include "ram/handover.h"

#define CHUNK (1u << 20)

static int print_json(json_t *json)
{
	int r = json_dumpf(json, stdout, JSON_COMPACT);

	putchar('\n');
	json_decref(json);
	return r;
}

static int layout(struct ram *ram)
{
	json_t *ranges = json_array();

	for (size_t i = 0; i < ram->ranges_n; i++)
		json_array_append_new(ranges, json_pack("[I, I]",
			(json_int_t)ram->ranges[i].start.v,
			(json_int_t)ram->ranges[i].size_bytes));
	return print_json(json_pack("{s:s, s:o}", "layout", ram->layout, "ranges", ranges));
}

/* [@at, @at + @len), to stdout where @print. */
static int read_run(struct ram *ram, gpa at, uint64_t len, bool print, struct err *err)
{
	static uint8_t chunk[CHUNK];

	while (len) {
		size_t n = len < CHUNK ? (size_t)len : CHUNK;
		int r = ram_read(ram, at, chunk, n, err);

		if (r < 0)
			return r;
		if (print && fwrite(chunk, 1, n, stdout) != n)
			return -EIO;
		at.v += n;
		len -= n;
	}
	return 0;
}

static int pass(struct ram *ram, uint64_t *bytes, struct err *err)
{
	uint64_t len;
	gpa at = { 0 };
	int r;

	*bytes = 0;
	while ((r = ram_populated(ram, at, &at, &len, err)) == 0) {
		r = read_run(ram, at, len, false, err);
		if (r < 0)
			return r;
		*bytes += len;
		at.v += len;
	}
	return r == -ENOENT ? 0 : r;
}

static int passes(struct ram *ram, unsigned n, struct err *err)
{
	uint64_t bytes = 0;
	int r = 0;

	puts("ready");
	fflush(stdout);
	(void)getchar();
	for (unsigned i = 0; i < n && r == 0; i++)
		r = pass(ram, &bytes, err);
	for (size_t i = 0; i < ram->ranges_n && r == 0; i++)
		r = read_run(ram, ram->ranges[i].start, ram->ranges[i].size_bytes, false, err);
	if (r < 0)
		return r;
	return print_json(json_pack("{s:I, s:I}", "populated", (json_int_t)bytes, "reads",
				    (json_int_t)ram->reads));
}

static int run(char **argv, int argc, struct ram *ram, struct err *err)
{
	if (argc == 3 && !strcmp(argv[2], "layout"))
		return layout(ram);
	if (argc == 5 && !strcmp(argv[2], "read"))
		return read_run(ram, gpa_of(strtoull(argv[3], NULL, 0)),
				strtoull(argv[4], NULL, 0), true, err);
	if (argc == 4 && !strcmp(argv[2], "passes"))
		return passes(ram, (unsigned)atoi(argv[3]), err);
	return err_set(err, -EINVAL, "usage: ramtool TARGET layout|read|passes ...");
}

/* As a scanner gets it, which has no right to more than these descriptors. */
static int hand_over(struct ram **ram, struct err *err)
{
	cleanup(handover_free) struct handover handover = {0};
	int fds[HANDOVER_FDS_MAX], r = handover_of(*ram, &handover, err);
	struct ram *taken;

	for (size_t i = 0; i < handover.fds_n && r >= 0; i++)
		r = fds[i] = fcntl(handover.fds[i], F_DUPFD_CLOEXEC, 0);
	if (r >= 0)
		r = handover_take(handover.text.data, handover.text.n, fds, handover.fds_n, NULL,
				  &taken, err);
	if (r < 0)
		return r;
	ram_close(ram);
	*ram = taken;
	return 0;
}

int main(int argc, char **argv)
{
	struct guest guest = { 0 };
	struct ram *ram = NULL;
	struct err err = { 0 };
	int r = guests_resolve(argc > 1 ? argv[1] : "", &guest, &ram, &err);

	if (r == 0)
		r = hand_over(&ram, &err);
	if (r == 0)
		r = run(argv, argc, ram, &err);
	if (r < 0)
		fprintf(stderr, "ramtool: %s\n", err.code ? err.text : strerror(-r));
	ram_close(&ram);
	guest_free(&guest);
	return r < 0 ? 2 : 0;
}
