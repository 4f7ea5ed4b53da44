/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_NEED_H
#define HVSM_MONITOR_NEED_H

#include "monitor/channel.h"
#include "ram/served.h"
#include "reference/baseline.h"
#include "reference/reference.h"
#include "reference/trust.h"

/*
 * What a scanner has not got, it asks its starter for (broker.h): modules of the reference, the
 * baseline, digests that are known, memory of a guest that is served (ram/served.h). To the
 * checks it looks as if all were here.
 *
 * Each question waits for its answer. Where the starter is gone that is -EPIPE, and the scanner
 * ends with the next message that it waits for.
 */

/* All of @channel's tables; it must outlive what is made of them. */
struct reference_elsewhere need_reference(struct channel *channel);
struct baseline_elsewhere need_baseline(struct channel *channel);
struct trust_elsewhere need_trust(struct channel *channel);
struct memory_elsewhere need_memory(struct channel *channel);

#endif
