/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONFIG "reaction r { kind = log\non_severity = low }\nreaction v { kind = pause\n"       \
	       "on_verdict = inconclusive }\nguest '*' { reactions = { r, v }\nallow { check = idt\n" \
	       "object = '*a*'\nreason = x\nexpires = 2020-01-01 }\nseverity_low = { vdso } }"

/* A report of a scanner that was taken over is judged, or refused with words. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *report = json_loadb((const char *)data, size, 0, NULL);
	struct policy_decisions decisions = {0};
	struct policy_outcome outcome = {0};
	struct policy_memory memory = {0};
	struct config *config = NULL;
	struct guest_config guest;
	struct err err = {0};

	if (config_parse("f", CONFIG, strlen(CONFIG), &config, NULL) < 0 ||
	    config_guest(config, "a", NULL, &guest) < 0)
		abort();
	if (policy_apply(&guest, report, 1780315200, &outcome, &err) < 0 ? !*err.text :
	    policy_decide(&memory, config, &guest, &outcome, &decisions) < 0)
		abort();
	vec_free(&decisions.list);
	policy_outcome_free(&outcome);
	policy_memory_free(&memory);
	guest_config_free(&guest);
	config_free(&config);
	json_decref(report);
	return 0;
}
