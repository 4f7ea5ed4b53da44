/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/handover.h"

#include <stdlib.h>

#include "base/cleanup.h"

int handover_of(struct ram *ram, struct handover *ret, struct err *err)
{
	void *room = malloc(HANDOVER_BYTES_MAX);
	int r;

	*ret = (struct handover){ .text = writer_of(room, HANDOVER_BYTES_MAX) };
	if (!room)
		return err_set(err, -ENOMEM, "no memory to hand over a guest");
	if (ram->ops->hand_over)
		r = ram->ops->hand_over(ram, ret, err);
	else if (ram->ops->fetch)
		r = served_hand_over(ram, ret, err);
	else
		r = err_set(err, -ENOTSUP, "this memory cannot be handed over");
	if (r >= 0 && !writer_ok(&ret->text))
		r = err_set(err, -ELOOP, "memory in too many pieces");
	return r;
}

void handover_free(struct handover *handover)
{
	free(handover->text.data);
	*handover = (struct handover){0};
}

int handover_add(struct handover *handover, int fd, struct err *err)
{
	if (handover->fds_n == HANDOVER_FDS_MAX)
		return err_set(err, -ELOOP, "memory in over %u files", HANDOVER_FDS_MAX);
	handover->fds[handover->fds_n] = fd;
	return (int)handover->fds_n++;
}

int handover_take(const void *text, size_t size_bytes, const int *fds, size_t fds_n,
		  const struct memory_elsewhere *starter, struct ram **ret, struct err *err)
{
	struct bytes b = bytes_of(text, size_bytes);

	switch (bytes_u8(&b)) {
	case HANDOVER_QEMU:
		return qemu_take(&b, fds, fds_n, ret, err);
	case HANDOVER_IMAGE:
		return image_take(&b, fds, fds_n, ret, err);
	case HANDOVER_SERVED:
		return served_take(&b, fds, fds_n, starter, ret, err);
	default:
		return err_set(err, -EBADMSG, "no guest was handed over");
	}
}
