/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/hooks_registry.h"

#include "base/cleanup.h"

/*
 * What the kernel looks up by a name or a mark, and then calls: binary formats (fs/exec.c), key
 * types (security/keys/key.c), algorithms (crypto/algapi.c).
 */

/*
 * An algorithm is at the end of a struct of its kind, which has its functions: cra_type says
 * which (crypto/shash.c, skcipher.c, …).
 */
static const struct kind {
	const char *by;		/* the struct crypto_type */
	const char *type;
	const char *base;	/* the struct crypto_alg within it */
} kinds[] = {
	{ "crypto_shash_type", "shash_alg", "shash_alg.base" },
	{ "crypto_ahash_type", "ahash_alg", "ahash_alg.halg.base" },
	{ "crypto_skcipher_type", "skcipher_alg", "skcipher_alg.base" },
	{ "crypto_aead_type", "aead_alg", "aead_alg.base" },
	{ "crypto_rng_type", "rng_alg", "rng_alg.base" },
	{ "crypto_akcipher_type", "akcipher_alg", "akcipher_alg.base" },
	{ "crypto_sig_type", "sig_alg", "sig_alg.base" },
	{ "crypto_kpp_type", "kpp_alg", "kpp_alg.base" },
	{ "crypto_scomp_type", "scomp_alg", "scomp_alg.base" },
	{ "crypto_acomp_type", "acomp_alg", "acomp_alg.base" },
};

/* Single blocks: a union, of which the flags say which one counts (include/linux/crypto.h). */
#define ALG_TYPE_MASK	  0x0fu
#define ALG_TYPE_CIPHER	  0x01u
#define ALG_TYPE_COMPRESS 0x02u

struct single {
	struct hook_walk *walk;
	const struct hook_object *object;
	const char *type;
	gva at;
};

/*
 * Without its prototype: in 5.10 the types know two functions of AppArmor's by the names that
 * those of crypto/deflate.c have.
 */
static int visit_single_function(const struct type_member *member, void *ctx, struct err *err)
{
	const struct single *single = ctx;
	gva at = gva_add(single->at, member->at), target;
	int r;

	if (member->kind != TYPE_FUNCTION)
		return 0;
	r = view_ptr(single->walk->view, at, &target, err);
	if (r < 0)
		return partial_add(&single->walk->partial, r, err);
	return hook_pointer(single->walk, single->object, single->type, member->name, at, target,
			    err);
}

static int visit_single(struct hook_walk *walk, const struct hook_object *object, struct err *err)
{
	static const struct { uint32_t kind; const char *type, *at; } singles[] = {
		{ ALG_TYPE_CIPHER, "cipher_alg", "crypto_alg.cra_u.cipher" },
		{ ALG_TYPE_COMPRESS, "compress_alg", "crypto_alg.cra_u.compress" },
	};
	struct single single = { .walk = walk, .object = object };
	const struct types *types = walk->kernel->types;
	struct field flags, at;
	uint64_t value;
	int r = types_field(types, "crypto_alg.cra_flags", &flags, err);

	if (r >= 0)
		r = field_read(walk->view, object->at, &flags, &value, err);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(singles); i++) {
		if ((value & ALG_TYPE_MASK) != singles[i].kind ||
		    types_field(types, singles[i].at, &at, NULL) < 0)
			continue;
		single.type = singles[i].type;
		single.at = field_at(object->at, &at);
		r = types_members(types, at.type, visit_single_function, &single, err);
	}
	return partial_add(&walk->partial, r, err);
}

static int visit_algorithm(struct hook_walk *walk, const struct hook_object *object,
			   struct err *err)
{
	const struct kernel *kernel = walk->kernel;
	struct field type, base;
	gva by;
	int r = types_field(kernel->types, "crypto_alg.cra_type", &type, err);

	if (r >= 0)
		r = partial_add(&walk->partial,
				field_ptr(walk->view, object->at, &type, &by, err), err);
	if (r < 0)
		return r;
	if (!by.v)
		return visit_single(walk, object, err);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && r >= 0; i++) {
		gva kind = symbols_lookup(kernel->symbols, kinds[i].by);

		if (!kind.v || kind.v != by.v ||
		    types_field(kernel->types, kinds[i].base, &base, NULL) < 0)
			continue;
		r = hook_table(walk, object, kinds[i].type, field_object(object->at, &base), err);
	}
	return r;
}

static const struct registry registries[] = {
	{
		.mechanism = "binary format", .symbol = "formats",
		.member = "elf_format", .type = "linux_binfmt",
		.link = "linux_binfmt.lh", .is_table = true, .registered = true,
	}, {
		.mechanism = "key type", .symbol = "key_types_list", .type = "key_type",
		.link = "key_type.link", .name = "key_type.name", .is_table = true,
	}, {
		.mechanism = "algorithm", .symbol = "crypto_alg_list", .type = "crypto_alg",
		.link = "crypto_alg.cra_list", .name = "crypto_alg.cra_driver_name",
		.is_table = true, .more = visit_algorithm,
	},
};

static int walk_types(struct hook_walk *walk, struct err *err)
{
	return registry_walk(walk, registries, ARRAY_SIZE(registries), err);
}

const struct hook_source hooks_types = { .id = "types", .walk = walk_types };
