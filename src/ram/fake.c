/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/fake.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fake {
	struct ram ram;
	const uint8_t **bytes;
	uint64_t fail_at;	/* count of reads from which on all fail; 0: never */
};

/* @nth: which read this is, of all */
static bool is_readable(const struct fake *fake, size_t range, uint64_t nth)
{
	return fake->bytes[range] && (!fake->fail_at || nth < fake->fail_at);
}

static int fake_read(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		     struct err *err)
{
	const struct fake *fake = (const struct fake *)ram;

	if (!is_readable(fake, range, ram->reads))
		return err_set(err, -EFAULT, "fault on purpose");
	memcpy(buf, fake->bytes[range] + offset, len);
	return 0;
}

static int fake_read_in_place(struct ram *ram, size_t range, uint64_t offset, size_t len,
			      ram_reader_fn *reader, void *ctx)
{
	const struct fake *fake = (const struct fake *)ram;

	/* Only one that comes to something counts. */
	if (!is_readable(fake, range, ram->reads + 1))
		return -EAGAIN;
	reader(fake->bytes[range] + offset, len, ctx);
	return 0;
}

static void fake_close(struct ram *ram)
{
	free(((struct fake *)ram)->bytes);
	free(ram);
}

static const struct ram_ops fake_ops = {
	.name = "fake",
	.read = fake_read,
	.read_in_place = fake_read_in_place,
	.close = fake_close,
};

int fake_open(const struct ram_range *ranges, void *const *bytes, size_t n, struct ram **ret,
	      struct err *err)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	int r = -ENOMEM;

	if (!fake)
		return -ENOMEM;
	fake->ram.ops = &fake_ops;
	fake->bytes = calloc(n ? n : 1, sizeof(*fake->bytes));
	if (fake->bytes) {
		/* Sorted by the caller or refused: the buffers must stay with their ranges. */
		for (size_t i = 0; i + 1 < n; i++)
			if (ranges[i].start.v > ranges[i + 1].start.v)
				n = 0;
		for (size_t i = 0; i < n; i++)
			fake->bytes[i] = bytes[i];
		r = ram_set_ranges(&fake->ram, ranges, n, err);
	}
	if (r < 0) {
		fake_close(&fake->ram);
		return r;
	}
	*ret = &fake->ram;
	return 0;
}

void fake_fail_after(struct ram *ram, uint64_t nth)
{
	((struct fake *)ram)->fail_at = nth ? ram->reads + nth : 0;
}
