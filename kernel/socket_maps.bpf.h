/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is kept by socket: attempts under way, and whose each socket is that may send what its own
 * process's context does not show. Every map as in maps.bpf.h.
 */
#ifndef PROCWIRE_SOCKET_MAPS_BPF_H
#define PROCWIRE_SOCKET_MAPS_BPF_H

#include "maps.bpf.h"

#define PENDING_BITS 16
#define MAX_PENDING (1 << PENDING_BITS)
#define MAX_RAW_SOCKETS 4096
#define MAX_DATAGRAM_SOCKETS 65536

/* An attempt whose outcome is not known yet. sent: a SYN, or of a datagram socket with a peer the
 * first packet (or SYN_TOLD); denied: another cgroup program forbids it; ended: of datagrams, the refusal is told. */
struct pending {
	__u64 time_ns;
	struct owner owner;
	struct fanout_target target;
	__u8 detailed;
	__u8 sent;
	__u8 denied;
	__u8 ended;
	__u32 padding;
};

/* socket: 0 where the place is free; seal: over what is written with it, so that of two who take a
 * place at the same moment neither is given the other's name; crowd: attempts of this place that
 * are in crowded_connections. */
struct pending_place {
	__u64 socket;
	__u64 seal;
	__u64 crowd;
	struct pending pending;
};

/*
 * TCP attempts under way, and datagram sockets with a peer, each at the place that its socket's
 * address hashes to. An insertion into a hash map and its deletion would cost more than all the rest
 * of a connect.
 * Taken by: connect, or SYN_SENT where the connect hook does not run (MPTCP subflows), and the walk
 * over the sockets that are older than the sensor. Freed by: the outcome; a further connect, or the
 * release, of a socket that never sent its SYN or has no outcome. An entry never outlives its socket.
 * Taken already: the attempt goes to crowded_connections.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u32);
	__type(value, struct pending_place);
} pending_connections SEC(".maps");

/*
 * Attempts whose place was taken, by socket. Inserted and deleted as above.
 * Full: the attempt is counted, its outcome is not; counted in LOST_CONNECTION_MAP_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u64);
	__type(value, struct pending);
} crowded_connections SEC(".maps");

/*
 * Raw IP sockets with their owners: a packet may leave in softirq, under a foreign current.
 * Inserted by: their creation; the walk over older sockets. Deleted by: their release.
 * Full: their packets name nobody, counted in LOST_SOCKET_MAP_FULL and SKIPPED_UNKNOWN_SOCKET.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_RAW_SOCKETS);
	__type(key, __u64);
	__type(value, struct sending_socket);
} raw_sockets SEC(".maps");

/*
 * Sockets of datagrams with their owners, where flow events are wanted.
 * Inserted by: their creation; the walk over older sockets. Deleted by: their release.
 * Full: their flows name nobody, counted in LOST_SOCKET_MAP_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DATAGRAM_SOCKETS);
	__type(key, __u64);
	__type(value, struct sending_socket);
} datagram_sockets SEC(".maps");

/* queued: the send that is under way has passed the egress hook; unseen: sends that did not; told: as
 * of a sending_socket. */
struct packet_socket {
	__u64 told;
	__u32 pid;
	__u32 queued;
	__u32 unseen;
	__u32 padding;
};

/*
 * AF_PACKET sockets that send. No hook tells of their release, and their owner is whoever sends.
 * Inserted by: the first packet. Deleted by: age; LRU, as an entry lost only announces its socket
 * once more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RAW_SOCKETS);
	__type(key, __u64);
	__type(value, struct packet_socket);
} packet_sockets SEC(".maps");

/* The packet that passed the egress hook last on this CPU: it passes again on each device below
 * the first (VLAN, bond), within the same call. */
struct passed {
	__u64 packet;
	__u64 socket;
	__u64 device;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct passed);
} last_passed SEC(".maps");

#endif
