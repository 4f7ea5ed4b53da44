/* SPDX-License-Identifier: Apache-2.0 */
#include "report/identity.h"

#include "report/encode.h"

json_t *identity_json(const struct identity *identity)
{
	return json_pack("{s:o, s:o, s:o, s:o}",
			 "name", encode_text_or_null(identity->name),
			 "uuid", encode_text_or_null(identity->uuid),
			 "target", encode_text(identity->target),
			 "hypervisor", encode_text(identity->hypervisor));
}

const char *identity_name(const struct identity *identity)
{
	return identity->name && *identity->name ? identity->name : identity->target;
}
