/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The same events for kernels without BTF, compiled by bcc when the sensor starts. Without BTF no
 * kernel structure can be read: foreign headers would give wrong offsets, silently. So what names a
 * process is kept here from its fork on, its arguments are read as it asks for the exec, and why a
 * connect failed comes from the tracepoint that reports socket errors.
 *
 * bcc rewrites the map calls of one text alone: whoever compiles this puts the files of bcc/ in place of
 * their includes first.
 */
#include <linux/types.h>

/* bcc has no constant data. Filled by user space, as linear_count.h has it. */
BPF_ARRAY(linear_counts, u32, 513);

static inline __attribute__((always_inline)) u32 linear_count_of(u32 zeros)
{
	u32 *known = linear_counts.lookup(&zeros);

	return known ? *known : 0;
}
#define LINEAR_COUNT(zeros) linear_count_of(zeros)

#include "bcc/types.h"
#include "bcc/maps.h"
#include "pending.h"
#include "bcc/namespace.h"
#include "bcc/fanout.h"
#include "bcc/job.h"
#include "bcc/heir.h"
#include "bcc/attempt.h"
#include "bcc/bytes.h"
#include "bcc/flow.h"
#include "bcc/datagram.h"
#include "bcc/connect.h"
#include "bcc/outcome.h"
#include "bcc/frame.h"
#include "bcc/process.h"
#include "bcc/exit.h"
