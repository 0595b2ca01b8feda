/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the programs count, as part of the event ABI (event.h) and written as that is.
 */
#ifndef PROCWIRE_COUNTER_H
#define PROCWIRE_COUNTER_H

/* Per-CPU counters, index of the counters map: what was seen, what user space did not get to see
 * (LOST), and what was left out on purpose (SKIPPED), each with its reason. */
enum sensor_counter {
	COUNT_EXECS = 0,
	COUNT_FORKS = 1,
	COUNT_EXITS = 2,
	COUNT_SOCKETS = 3,
	COUNT_ATTEMPTS = 4,
	COUNT_OUTCOMES = 5,
	COUNT_DATAGRAMS = 6,
	COUNT_RAW_PACKETS = 7,
	COUNT_FANOUTS = 8,
	LOST_PROCESS_RING_FULL = 9,
	LOST_SOCKET_RING_FULL = 10,
	LOST_CONNECTION_RING_FULL = 11,
	LOST_FANOUT_RING_FULL = 12,
	LOST_PROCESS_MAP_FULL = 13,
	LOST_CONNECTION_MAP_FULL = 14,
	LOST_SOCKET_MAP_FULL = 15,
	LOST_ARGV_UNREADABLE = 16,
	LOST_RAW_DESTINATION = 17,
	SKIPPED_ARGV_TRUNCATED = 18,
	SKIPPED_UNKNOWN_SOCKET = 19,
	SKIPPED_OTHER_FAMILY = 20,
	SKIPPED_CONNECTION_DETAIL = 21,
	SKIPPED_RAW_PACKETS = 22,
	SKIPPED_PROGRAM = 23,
	COUNT_FLOWS = 24,
	LOST_FLOW_RING_FULL = 25,
	LOST_JOB_MAP_FULL = 26,
	LOST_HEIR_MAP_FULL = 27,
	SENSOR_COUNTERS = 28,
};

#endif
