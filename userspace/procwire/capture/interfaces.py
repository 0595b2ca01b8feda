"""What a pcapng section says of its interfaces: link types, snap lengths, clocks.

Kept as arrays, so that the kernel that indexes packets can look their interface up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from procwire.capture import link
from procwire.capture.fields import u8, u16, u32
from procwire.capture.rows import SNAP_LIMIT
from procwire.capture.source import Source

_SMALLEST_INTERFACE_DESCRIPTION = 20
_OPTION_END, _OPTION_RESOLUTION, _OPTION_TIME_OFFSET = 0, 9, 14

# Seconds whose nanoseconds fit 64 bits, also a day later, as answers are waited for: years 1678 to
# 2262.
SECONDS_LIMIT = 2**63 // 10**9 - 86_400
# Ticks a second up to which ten times a fraction of a second fits 64 bits.
_UNITS_LIMIT = 2**63 // 10


class Section(NamedTuple):
    """How to read the packets of one section. Row i of the arrays, shape (capacity,), is interface
    i < interfaces; units: ticks a second; base: seconds to add to every time; described: offset of
    the link type field in the file.
    """

    big: bool
    interfaces: int
    link: NDArray[np.uint16]
    decoded: NDArray[np.bool_]
    snap: NDArray[np.int64]
    units: NDArray[np.int64]
    base: NDArray[np.int64]
    described: NDArray[np.int64]


def new_section(big: bool) -> Section:
    """A section whose integers are most significant byte first if `big`, without interfaces."""
    return Section(
        big=big,
        interfaces=0,
        link=np.zeros(1, np.uint16),
        decoded=np.zeros(1, np.bool_),
        snap=np.zeros(1, np.int64),
        units=np.ones(1, np.int64),
        base=np.zeros(1, np.int64),
        described=np.zeros(1, np.int64),
    )


def read_interface(source: Source, section: Section) -> tuple[Section, int]:
    """The section with the interface that the whole block at source.at describes, and the next
    block. Raises InputDamaged where its fields or options do not fit it.
    """
    data, at = source.data, source.at
    total = u32(data, at + 4, section.big)
    if total < _SMALLEST_INTERFACE_DESCRIPTION:
        problem = f"found an interface description of {total} bytes, expected at least 20"
        raise source.damaged(at + 4, problem)
    units, base = _read_time_options(source, (at + 16, at + total - 4), section.big)
    number = section.interfaces
    if number == section.link.size:
        # Doubling keeps a file of nothing but interfaces from costing its square.
        grown: dict[str, Any] = {
            name: np.concatenate([column, np.zeros_like(column)])
            for name, column in section._asdict().items()
            if isinstance(column, np.ndarray)
        }
        section = section._replace(**grown)
    section.link[number] = u16(data, at + 8, section.big)
    section.decoded[number] = int(section.link[number]) in link.DECODED
    section.snap[number] = u32(data, at + 12, section.big) or SNAP_LIMIT
    section.units[number] = units
    section.base[number] = base
    section.described[number] = source.base + at + 8
    return section._replace(interfaces=number + 1), at + total


def _read_time_options(source: Source, extent: tuple[int, int], big: bool) -> tuple[int, int]:
    """Ticks a second and the seconds to add, from the options in that extent of the window."""
    units, base = 10**6, 0
    data, (at, end) = source.data, extent
    while end - at >= 4:
        code, size = u16(data, at, big), u16(data, at + 2, big)
        if code == _OPTION_END:
            break
        if size > end - at - 4:
            problem = f"found an option of {size} bytes, expected at most {end - at - 4}"
            raise source.damaged(at + 2, problem)
        if code == _OPTION_RESOLUTION and size == 1:
            # The top bit tells powers of two from powers of ten.
            exponent = u8(data, at + 4)
            units = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
            if units > _UNITS_LIMIT:
                problem = f"found {units} ticks a second, expected at most {_UNITS_LIMIT}"
                raise source.damaged(at + 4, problem)
        if code == _OPTION_TIME_OFFSET and size == 8:
            base = int(data[at + 4 : at + 12].view(">i8" if big else "<i8")[0])
            if abs(base) > SECONDS_LIMIT:
                problem = f"found a time offset of {base} s, expected <= {SECONDS_LIMIT}"
                raise source.damaged(at + 4, problem)
        at += 4 + (size + 3) // 4 * 4
    return units, base
