/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_BTF_H
#define HVSM_TESTS_MAKE_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * BTF out of nothing (Documentation/bpf/btf.rst). Nothing is checked: what is forged comes
 * out as it was asked for. Types are numbered from 1 on in the order in which they are added.
 */
struct btf {
	uint8_t *types;
	size_t types_bytes, types_room;
	char *strings;
	size_t strings_bytes, strings_room;
	uint32_t n;
};

enum {
	BTF_INT = 1, BTF_PTR, BTF_ARRAY, BTF_STRUCT, BTF_UNION, BTF_ENUM, BTF_FWD, BTF_TYPEDEF,
	BTF_VOLATILE, BTF_CONST, BTF_RESTRICT, BTF_FUNC, BTF_FUNC_PROTO, BTF_VAR, BTF_DATASEC,
	BTF_FLOAT, BTF_DECL_TAG, BTF_TYPE_TAG, BTF_ENUM64,
};

/* The offset of a name among the strings; "" is 0. */
uint32_t btf_name(struct btf *btf, const char *name);

/* A type's fixed part; what must follow it for its kind is added with btf_u32(). */
uint32_t btf_type(struct btf *btf, const char *name, unsigned kind, unsigned vlen, bool flag,
		  uint32_t size_or_type);
void btf_u32(struct btf *btf, uint32_t value);

uint32_t btf_int(struct btf *btf, const char *name, uint32_t bytes);
uint32_t btf_pointer(struct btf *btf, uint32_t to);
uint32_t btf_array(struct btf *btf, uint32_t of, uint32_t n);

/* A member; @bits 0: not a bitfield. The struct has the flag for bitfields where any is one. */
void btf_member(struct btf *btf, const char *name, uint32_t type, uint32_t at_bits);
void btf_bitfield(struct btf *btf, const char *name, uint32_t type, uint32_t at_bits,
		  uint32_t bits);

/* Header, types, strings; to be freed by the caller. */
uint8_t *btf_make(const struct btf *btf, size_t *size);

void btf_free(struct btf *btf);

#endif
