/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request line is understood, or refused with words; what was understood has its bounds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = calloc(1, size + 1);
	struct http_request request;
	struct err err = {0};
	unsigned status;
	char *target;

	if (!line)
		abort();
	memcpy(line, data, size);
	target = strchr(line, ' ');
	if (target)
		*target++ = '\0';
	status = http_request_parse(line, target ? target : "", &request, &err);
	if ((status == 200) == (err.code != 0) || request.route > HTTP_ROUTES ||
	    strnlen(request.name, sizeof(request.name)) == sizeof(request.name))
		abort();
	if (status == 200 && (request.route == HTTP_ROUTES || request.query.guest ||
			      request.query.limit - 1 >= HTTP_LIMIT_MAX))
		abort();
	free(line);
	return 0;
}
