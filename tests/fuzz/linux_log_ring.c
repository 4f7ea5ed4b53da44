/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/log_ring.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "make/log_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A ring of 16 records and 256 bytes, of the input's bytes: ends, text, descriptors, infos.
 * No record is given twice, and all text together is no more than there was room for.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct made_ring *made = made_ring_new(4, 8);
	struct bytes b = bytes_of(data, size);
	struct log log = { 0 };
	uint64_t total = 0;

	made->ring.tail_id = bytes_u64(&b);
	made->ring.head_id = made->ring.tail_id + bytes_u8(&b);
	bytes_copy(&b, made->text, 256);
	for (size_t i = 0; i < 16 && b.left; i++) {
		size_t n = b.left < MADE_DESC_BYTES ? b.left : MADE_DESC_BYTES;

		bytes_copy(&b, made->descs + i * MADE_DESC_BYTES, n);
		bytes_copy(&b, made->infos + i * MADE_INFO_BYTES, b.left < 24 ? b.left : 24);
	}
	if (log_ring_check(&made->ring, NULL) < 0 || log_ring_parse(&made->ring, &log, NULL) < 0)
		total = 0;	/* refused; what it has must hold all the same */
	for (size_t i = 0; i < log.all.n; i++) {
		total += log.all.v[i].text_bytes;
		if (log.all.n > 16 || total > 256 ||
		    (i && log.all.v[i].seq <= log.all.v[i - 1].seq))
			abort();
	}
	log_free(&log);
	made_ring_free(&made);
	return 0;
}
