"""What is asked of processes and of the zones that they reach into, beyond their fan-out, and which
hosts are blocked.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, field_validator

from procwire.settings.section import NANOSECONDS, Seconds, Section, Threshold


class IcsSettings(Section):
    """[ics] What is enumeration in a control zone. Zones come from the inventory."""

    hosts: Annotated[
        Threshold,
        Field(description="hosts of control zones asked for one enterprise protocol; 0 = off"),
    ] = 3
    neighbours: Annotated[
        Threshold,
        Field(description="addresses of a control zone asked for that nobody has; 0 = off"),
    ] = 8
    window_s: Annotated[Seconds, Field(description="time in which they are counted")] = 600.0

    @property
    def window_ns(self) -> int:
        """The window in ns."""
        return round(self.window_s * NANOSECONDS)


class NewProcessSettings(Section):
    """[new_process] When a process that has just begun looks for hosts. Its age counts in
    [service_sweep], too."""

    age_s: Annotated[
        Seconds, Field(description="age up to which a process is new (TimeWindow)")
    ] = 60.0
    hosts: Annotated[Threshold, Field(description="hosts that it failed to reach; 0 = off")] = 8

    @property
    def age_ns(self) -> int:
        """The age in ns."""
        return round(self.age_s * NANOSECONDS)


class BaselineSettings(Section):
    """[baseline] What is learned, and what has to be approved."""

    learning_s: Annotated[
        Annotated[float, Field(ge=0, le=86400 * 90)],
        Field(description="time of observation in which a role and zone is learned"),
    ] = 604800.0

    @property
    def learning_ns(self) -> int:
        """The time in ns."""
        return round(self.learning_s * NANOSECONDS)


class BlockSettings(Section):
    """[block] Which scanning hosts a Suricata is told to block, and for how long."""

    expire_s: Annotated[Seconds, Field(description="a host is blocked for so long")] = 3600.0
    severity: Annotated[
        int, Field(ge=1, le=4, description="scans so grave (1 is high, 4 info) or graver")
    ] = 2
    protected: Annotated[
        tuple[str, ...],
        Field(strict=False, description="networks of which no host is ever blocked"),
    ] = ()
    unproven: Annotated[
        bool, Field(description="scanners whose address may be forged are blocked, too")
    ] = False

    @field_validator("protected")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks
