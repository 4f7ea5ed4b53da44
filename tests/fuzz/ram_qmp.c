/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qmp.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is all that the other end ever says; it is there before it is asked. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(qmp_close) struct qmp *qmp = NULL;
	cleanup(freep) char *answer = NULL;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		abort();
	if (send(fds[1], data, size, MSG_DONTWAIT) < 0 && size && errno != EAGAIN)
		abort();
	shutdown(fds[1], SHUT_WR);
	if (qmp_open(fds[0], 1000, 1000, &qmp, NULL) == 0 &&
	    qmp_human(qmp, "info mtree", &answer, NULL) == 0 && !answer)
		abort();
	close(fds[1]);
	return 0;
}
