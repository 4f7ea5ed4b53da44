/* SPDX-License-Identifier: Apache-2.0 */
#include "report/verdict.h"

static enum verdict verdict_of_result(const struct check_result *result)
{
	enum verdict verdict;

	switch (result->state) {
	case CHECK_CLEAN:
	case CHECK_NOT_COVERED:
		verdict = VERDICT_CLEAN;
		break;
	case CHECK_FINDING:
		verdict = VERDICT_SUSPICIOUS;
		break;
	default:
		verdict = VERDICT_INCONCLUSIVE;
	}

	/* An inconclusive check keeps what it found. */
	for (size_t i = 0; i < result->findings.n; i++) {
		if (result->findings.v[i]->severity >= SEVERITY_HIGH)
			return VERDICT_COMPROMISED;
		verdict = VERDICT_SUSPICIOUS;
	}
	return verdict;
}

enum verdict verdict_of(const struct sweep *sweep)
{
	enum verdict worst = VERDICT_CLEAN;
	bool seen = false;

	for (size_t i = 0; i < sweep->results_n; i++) {
		enum verdict verdict = verdict_of_result(&sweep->results[i]);

		seen |= sweep->results[i].state != CHECK_NOT_COVERED;
		if (verdict > worst)
			worst = verdict;
	}
	return seen ? worst : VERDICT_INCONCLUSIVE;
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_CLEAN] = "clean",
		[VERDICT_INCONCLUSIVE] = "inconclusive",
		[VERDICT_SUSPICIOUS] = "suspicious",
		[VERDICT_COMPROMISED] = "compromised",
	};

	return names[verdict];
}

enum exit_status verdict_exit_status(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_CLEAN:
		return EXIT_CLEAN;
	case VERDICT_INCONCLUSIVE:
		return EXIT_INCONCLUSIVE;
	default:
		return EXIT_FINDINGS;
	}
}

enum exit_status exit_status_worse(enum exit_status a, enum exit_status b)
{
	static const int weight[] = {
		[EXIT_CLEAN] = 0,
		[EXIT_INCONCLUSIVE] = 1,
		[EXIT_UNSCANNED] = 2,
		[EXIT_FINDINGS] = 3,
	};

	return weight[a] >= weight[b] ? a : b;
}
