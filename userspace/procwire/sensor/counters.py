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
    COUNT_FANOUTS = lib.COUNT_FANOUTS
    LOST_PROCESS_RING_FULL = lib.LOST_PROCESS_RING_FULL
    LOST_SOCKET_RING_FULL = lib.LOST_SOCKET_RING_FULL
    LOST_CONNECTION_RING_FULL = lib.LOST_CONNECTION_RING_FULL
    LOST_FANOUT_RING_FULL = lib.LOST_FANOUT_RING_FULL
    LOST_PROCESS_MAP_FULL = lib.LOST_PROCESS_MAP_FULL
    LOST_CONNECTION_MAP_FULL = lib.LOST_CONNECTION_MAP_FULL
    LOST_ARGV_UNREADABLE = lib.LOST_ARGV_UNREADABLE
    SKIPPED_ARGV_TRUNCATED = lib.SKIPPED_ARGV_TRUNCATED
    SKIPPED_UNKNOWN_SOCKET = lib.SKIPPED_UNKNOWN_SOCKET
    SKIPPED_OTHER_FAMILY = lib.SKIPPED_OTHER_FAMILY
    SKIPPED_CONNECTION_DETAIL = lib.SKIPPED_CONNECTION_DETAIL

    @property
    def label(self) -> str:
        """The name in records and tables."""
        return self.name.lower()


EXPLANATIONS = {
    Counter.COUNT_EXECS: "programs started",
    Counter.COUNT_FORKS: "processes forked, threads not counted",
    Counter.COUNT_EXITS: "processes ended",
    Counter.COUNT_SOCKETS: "raw sockets created",
    Counter.COUNT_ATTEMPTS: "TCP connections attempted",
    Counter.COUNT_OUTCOMES: "TCP connections whose outcome was seen",
    Counter.COUNT_FANOUTS: "fan-out reports sent",
    Counter.LOST_PROCESS_RING_FULL: "process events dropped: their ring was full",
    Counter.LOST_SOCKET_RING_FULL: "socket events dropped: their ring was full",
    Counter.LOST_CONNECTION_RING_FULL: "connection events dropped: their ring was full; "
    "the connections are in the fan-out counts",
    Counter.LOST_FANOUT_RING_FULL: "fan-out reports delayed: their ring was full; "
    "the next attempt sends them again",
    Counter.LOST_PROCESS_MAP_FULL: "connections missing from fan-out counts: "
    "more processes connect than are tracked",
    Counter.LOST_CONNECTION_MAP_FULL: "connections without an outcome: "
    "more were under way than are tracked",
    Counter.LOST_ARGV_UNREADABLE: "command lines that could not be read",
    Counter.SKIPPED_ARGV_TRUNCATED: "command lines cut to 4096 bytes",
    Counter.SKIPPED_UNKNOWN_SOCKET: "connections whose start was not seen",
    Counter.SKIPPED_OTHER_FAMILY: "TCP connections of neither IPv4 nor IPv6",
    Counter.SKIPPED_CONNECTION_DETAIL: "connections counted but not sent one by one: "
    "the process had sent its share",
}
"""One line for people per counter."""
