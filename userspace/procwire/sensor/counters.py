"""The sensor's counters: their names, and for people what each one means."""

from __future__ import annotations

from enum import IntEnum

from procwire._event import lib


class Counter(IntEnum):
    """enum sensor_counter: seen (COUNT), not delivered (LOST), left out on purpose (SKIPPED)."""

    COUNT_EXECS = lib.COUNT_EXECS
    COUNT_FORKS = lib.COUNT_FORKS
    COUNT_EXITS = lib.COUNT_EXITS
    COUNT_SOCKETS = lib.COUNT_SOCKETS
    COUNT_ATTEMPTS = lib.COUNT_ATTEMPTS
    COUNT_OUTCOMES = lib.COUNT_OUTCOMES
    COUNT_DATAGRAMS = lib.COUNT_DATAGRAMS
    COUNT_RAW_PACKETS = lib.COUNT_RAW_PACKETS
    COUNT_FANOUTS = lib.COUNT_FANOUTS
    LOST_PROCESS_RING_FULL = lib.LOST_PROCESS_RING_FULL
    LOST_SOCKET_RING_FULL = lib.LOST_SOCKET_RING_FULL
    LOST_CONNECTION_RING_FULL = lib.LOST_CONNECTION_RING_FULL
    LOST_FANOUT_RING_FULL = lib.LOST_FANOUT_RING_FULL
    LOST_PROCESS_MAP_FULL = lib.LOST_PROCESS_MAP_FULL
    LOST_CONNECTION_MAP_FULL = lib.LOST_CONNECTION_MAP_FULL
    LOST_SOCKET_MAP_FULL = lib.LOST_SOCKET_MAP_FULL
    LOST_ARGV_UNREADABLE = lib.LOST_ARGV_UNREADABLE
    LOST_RAW_DESTINATION = lib.LOST_RAW_DESTINATION
    SKIPPED_ARGV_TRUNCATED = lib.SKIPPED_ARGV_TRUNCATED
    SKIPPED_UNKNOWN_SOCKET = lib.SKIPPED_UNKNOWN_SOCKET
    SKIPPED_OTHER_FAMILY = lib.SKIPPED_OTHER_FAMILY
    SKIPPED_CONNECTION_DETAIL = lib.SKIPPED_CONNECTION_DETAIL
    SKIPPED_RAW_PACKETS = lib.SKIPPED_RAW_PACKETS
    SKIPPED_PROGRAM = lib.SKIPPED_PROGRAM
    COUNT_FLOWS = lib.COUNT_FLOWS
    LOST_FLOW_RING_FULL = lib.LOST_FLOW_RING_FULL
    LOST_JOB_MAP_FULL = lib.LOST_JOB_MAP_FULL
    LOST_HEIR_MAP_FULL = lib.LOST_HEIR_MAP_FULL

    @property
    def label(self) -> str:
        """The name in records and tables."""
        return self.name.lower()


EXPLANATIONS = {
    Counter.COUNT_EXECS: "programs started",
    Counter.COUNT_FORKS: "processes forked, threads not counted",
    Counter.COUNT_EXITS: "processes ended",
    Counter.COUNT_SOCKETS: "raw and AF_PACKET sockets found",
    Counter.COUNT_ATTEMPTS: "TCP connections attempted",
    Counter.COUNT_OUTCOMES: "TCP connections whose outcome was seen",
    Counter.COUNT_DATAGRAMS: "datagrams sent without connect, and with it the first to each peer",
    Counter.COUNT_RAW_PACKETS: "packets sent through raw and AF_PACKET sockets",
    Counter.COUNT_FANOUTS: "fan-out reports sent",
    Counter.LOST_PROCESS_RING_FULL: "process events dropped: their ring was full",
    Counter.LOST_SOCKET_RING_FULL: "socket events dropped: their ring was full",
    Counter.LOST_CONNECTION_RING_FULL: "connection events dropped: their ring was full; "
    "the connections are in the fan-out counts",
    Counter.LOST_FANOUT_RING_FULL: "fan-out reports delayed: their ring was full; "
    "the next attempt sends them again",
    Counter.LOST_PROCESS_MAP_FULL: "attempts missing from the counts of their process: "
    "more processes make some than are tracked",
    Counter.LOST_CONNECTION_MAP_FULL: "connections without an outcome: "
    "more were under way than are tracked",
    Counter.LOST_SOCKET_MAP_FULL: "sockets whose packets name no process: "
    "more are open than are tracked",
    Counter.LOST_ARGV_UNREADABLE: "command lines that could not be read",
    Counter.LOST_RAW_DESTINATION: "sends past every hook: their process is known, "
    "their destinations are not",
    Counter.SKIPPED_ARGV_TRUNCATED: "command lines cut to 4096 bytes",
    Counter.SKIPPED_UNKNOWN_SOCKET: "connections whose start was not seen",
    Counter.SKIPPED_OTHER_FAMILY: "TCP connections of neither IPv4 nor IPv6",
    Counter.SKIPPED_CONNECTION_DETAIL: "connections counted but not sent one by one: "
    "the process had sent its share",
    Counter.SKIPPED_RAW_PACKETS: "raw packets that try nobody: answers, groups, fragments, "
    "other protocols",
    Counter.SKIPPED_PROGRAM: "attempts of programs that fanout.skip_programs names",
    Counter.COUNT_FLOWS: "flows whose process was told, while packets are captured",
    Counter.LOST_FLOW_RING_FULL: "flow events dropped: their ring was full; "
    "the packets of these flows name no process",
    Counter.LOST_JOB_MAP_FULL: "attempts missing from the counts of their session or container: "
    "more of these make some than are tracked",
    Counter.LOST_HEIR_MAP_FULL: "attempts of ended processes missing from the counts of their "
    "parents: more processes make some than are tracked",
}
"""One line for people per counter."""
