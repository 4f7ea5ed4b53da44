/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/records.h"

#include <stdlib.h>

#include "keeper/measured.h"
#include "make/agent_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A log, chained again where the first byte is even, so that not all end at the first chain. What
 * is given lies inside of the input, and every page of a segment has a digest.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct made_log log = { .data = malloc(size + 1), .size_bytes = size ? size - 1 : 0 };
	struct measured measured = { 0 };
	struct records records;
	struct record record;

	if (!log.data)
		abort();
	if (size)
		memcpy(log.data, data + 1, size - 1);
	if (size && !(data[0] & 1))
		made_log_chain(&log);
	records = records_of(log.data, log.size_bytes, &(struct log_mark){ 0 });
	while (records_next(&records, &record, NULL) > 0) {
		if (measured_add(&measured, &record, NULL) < 0)
			abort();
	}
	for (size_t i = 0; i < measured.files.n; i++) {
		const struct measured_file *file = measured.files.v[i];

		for (uint32_t n = 0; n < file->segments; n++) {
			if (file->segment[n].pages && !measured_digest(file,
					file->segment[n].first_page + file->segment[n].pages - 1))
				abort();
		}
	}
	measured_free(&measured);
	made_log_free(&log);
	return 0;
}
