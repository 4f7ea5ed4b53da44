/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_SHA1_H
#define HVSM_AGENT_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_BYTES 20

/*
 * SHA-1 (FIPS 180-4, 6.1). Nothing here trusts it: IMA's ASCII list names each of its entries by
 * one (ima.h), and libsodium has none.
 */
void sha1(const uint8_t *data, size_t n, uint8_t digest[SHA1_BYTES]);

#endif
