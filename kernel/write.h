/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Events from what was counted, field by field: a ring's memory comes with what was in it before.
 */
#ifndef PROCWIRE_WRITE_H
#define PROCWIRE_WRITE_H

#include "owner.h"
#include "sockets.h"
#include "window_report.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define AS_ON_THE_WIRE(number) __builtin_bswap64(number)
#else
#define AS_ON_THE_WIRE(number) (number)
#endif

/* Every address of an event lies at a multiple of eight. */
typedef __u64 __attribute__((may_alias)) word;

static __always_inline void write_address(__u8 *address, __u64 hi, __u64 lo)
{
	word *words = (word *)address;

	words[0] = AS_ON_THE_WIRE(hi);
	words[1] = AS_ON_THE_WIRE(lo);
}

static __always_inline void write_target(struct target *target, const struct fanout_target *from)
{
	write_address(target->address, from->hi, from->lo);
	__builtin_memset(target->padding, 0, sizeof(target->padding));
	target->port = from->port;
	target->protocol = from->protocol;
}

static __always_inline void write_fanout(struct fanout_event *event, const struct owner *owner,
					 const struct fanout_state *state,
					 const struct fanout_crossing *crossing, __u32 origin)
{
	event->window_ns = crossing->window_ns;
	event->window_start_ns = crossing->window_start_ns;
	event->first_ns = crossing->first_ns;
	event->process = owner->process;
	event->kind = EVENT_FANOUT;
	event->measure = crossing->measure;
	event->threshold = crossing->threshold;
	event->attempts = crossing->attempts;
	event->established = crossing->established;
	event->refused = crossing->refused;
	event->failures = crossing->failures;
	event->hosts = crossing->hosts;
	event->host_ports = crossing->host_ports;
	event->sequential_run = crossing->sequential_run;
	event->uid = owner->uid;
	event->samples = state->sampled < SAMPLE_TARGETS ? state->sampled : SAMPLE_TARGETS;
	event->attempt = state->kind;
	event->origin = origin;
	event->by_children = crossing->by_children;
	event->net_namespace = owner->net_namespace;
	event->unrouted = crossing->unrouted;
	event->job_kind = SUBJECT_PROCESS;
	event->padding = 0;
	event->job = 0;
	event->subject = SUBJECT_PROCESS;
	__builtin_memset(event->program, 0, sizeof(event->program));
	__builtin_memset(event->source, 0, sizeof(event->source));
	__builtin_memcpy(event->comm, owner->comm, sizeof(event->comm));
	write_target(&event->first, &state->first);
	write_target(&event->last, &state->last);
	FIXED_ROUNDS
	for (int i = 0; i < SAMPLE_TARGETS; i++)
		write_target(&event->sample[i], &state->sample[i]);
}

/* All but times, source and what became of it. */
static __always_inline void write_connection(struct connection_event *event,
					     const struct owner *owner,
					     const struct fanout_target *target, __u32 origin)
{
	event->process = owner->process;
	event->kind = EVENT_CONNECTION;
	event->uid = owner->uid;
	event->net_namespace = owner->net_namespace;
	write_address(event->destination, target->hi, target->lo);
	event->destination_port = target->port;
	event->protocol = target->protocol;
	event->origin = origin;
	event->family = family_of(target);
	__builtin_memcpy(event->comm, owner->comm, sizeof(event->comm));
}

#endif
