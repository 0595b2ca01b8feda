"""What is counted, remembered and folded: fan-out, attempts, flows, episodes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from procwire.settings.section import NANOSECONDS, Capacity, PowerOfTwo, Seconds, Section, Threshold


class FanOutSettings(Section):
    """[fanout] The counters per process (in the kernel) and per source address (on the wire)."""

    windows_s: Annotated[
        tuple[Seconds, Seconds, Seconds],
        Field(strict=False, description="lengths of the windows (TimeWindow)"),
    ] = (10.0, 60.0, 600.0)
    hosts: Annotated[
        Threshold,
        Field(description="distinct hosts that make a host sweep (ScanRateThreshold); 0 = off"),
    ] = 25
    host_ports: Annotated[
        Threshold,
        Field(description="distinct host and port pairs that may make a port scan; 0 = off"),
    ] = 50
    failures: Annotated[
        Threshold, Field(description="failed attempts at which a window is looked at; 0 = off")
    ] = 100
    sequential_run: Annotated[
        Threshold,
        Field(description="attempts in unbroken order that make a scan, or a graver one; 0 = off"),
    ] = 20
    subjects: Annotated[
        Capacity, Field(description="source addresses counted at a time, 9 kB each")
    ] = 6144
    detail_limit: Annotated[
        Threshold, Field(description="connection events of one process per longest window")
    ] = 16
    skip_programs: Annotated[
        tuple[str, ...],
        Field(
            strict=False,
            description="paths of executables whose processes the kernel does not count",
        ),
    ] = ()
    skip_children: Annotated[
        bool, Field(description="nor does it count other programs that these start")
    ] = False

    @field_validator("windows_s")
    @classmethod
    def _rising(cls, windows: tuple[float, float, float]) -> tuple[float, float, float]:
        if not windows[0] < windows[1] < windows[2]:
            raise ValueError("give three lengths, each greater than the one before")
        return windows

    @property
    def windows_ns(self) -> tuple[int, int, int]:
        """The lengths in ns."""
        first, second, third = (round(length * NANOSECONDS) for length in self.windows_s)
        return first, second, third


class ContactSettings(Section):
    """[contacts] Attempts to connect, as seen on the wire."""

    timeout_s: Annotated[
        Seconds, Field(description="a TCP connection unanswered for so long has failed")
    ] = 60.0
    reply_s: Annotated[
        Seconds, Field(description="the same for datagrams, echoes, neighbours and lone segments")
    ] = 5.0
    capacity: Annotated[
        PowerOfTwo, Field(description="attempts remembered, a power of two, 100 bytes each")
    ] = 1 << 18

    @property
    def timeout_ns(self) -> int:
        """The timeout in ns."""
        return round(self.timeout_s * NANOSECONDS)

    @property
    def reply_ns(self) -> int:
        """The time for a reply in ns."""
        return round(self.reply_s * NANOSECONDS)


class FlowSettings(Section):
    """[flows] Conversations on the wire, and when what they show can be trusted."""

    capacity: Annotated[
        PowerOfTwo, Field(description="flows remembered, a power of two, 128 bytes each")
    ] = 1 << 18
    warm_up_s: Annotated[
        Seconds, Field(description="time from the first packet in which tier B raises no alert")
    ] = 60.0

    @property
    def warm_up_ns(self) -> int:
        """The warm-up in ns."""
        return round(self.warm_up_s * NANOSECONDS)


class EpisodeSettings(Section):
    """[episodes] How findings and scans are folded into alerts."""

    quiet_s: Annotated[Seconds, Field(description="an episode ends after so long without news")] = (
        600.0
    )
    open: Annotated[int, Field(ge=1, le=10**7, description="episodes open at a time")] = 20_000
    per_rule: Annotated[
        int,
        Field(ge=1, le=10**7, description="open episodes of one rule; the rest fold into one more"),
    ] = 1_000

    @property
    def quiet_ns(self) -> int:
        """The quiet time in ns."""
        return round(self.quiet_s * NANOSECONDS)
