/* SPDX-License-Identifier: Apache-2.0 */
#include "check/code.h"

#include <inttypes.h>
#include <stdio.h>

#include "guest/insn.h"

#define SHOWN_BYTES 16u
#define SHOWN_INSNS 3u

void code_evidence_space(struct check_run *run, struct owners *owners, struct finding *finding,
			 const char *what, struct space space, gva at)
{
	char text[160], found[256], symbol[160];
	uint8_t code[SHOWN_BYTES];
	size_t have = 0;

	if (view_read_space(check_view(run), space, at, code, sizeof(code), NULL) < 0)
		return;
	for (size_t i = 0; i < sizeof(code); i++)
		have += (size_t)snprintf(found + have, sizeof(found) - have, "%02x", code[i]);
	snprintf(found + have, sizeof(found) - have, ": %s",
		 insn_print(code, sizeof(code), at, SHOWN_INSNS, text, sizeof(text)));
	finding_evidence(finding, what, at, owner_symbol(owners, at, symbol, sizeof(symbol)), NULL,
			 found);
}

void code_evidence_bytes(struct check_run *run, struct owners *owners, struct finding *finding,
			 const char *what, gva at)
{
	code_evidence_space(run, owners, finding, what, check_kernel(run)->space, at);
}

void code_evidence(struct check_run *run, struct owners *owners, struct finding *finding,
		   const char *what, gva at, const char *expected, gva target)
{
	char symbol[160], found[256];
	struct owner owner;
	struct err why = { 0 };

	if (owner_of(owners, target, &owner, &why) < 0)
		check_inconclusive(run, "owners of code: %s", why.text);
	finding_owner(finding, "%s", owner.text);
	if (owner.has_symbol)
		snprintf(found, sizeof(found), "%#" PRIx64 " %s", target.v, owner.symbol);
	else
		snprintf(found, sizeof(found), "%#" PRIx64, target.v);
	finding_evidence(finding, what, at,
			 at.v ? owner_symbol(owners, at, symbol, sizeof(symbol)) : NULL, expected,
			 found);
	code_evidence_bytes(run, owners, finding, "code there", target);
}
