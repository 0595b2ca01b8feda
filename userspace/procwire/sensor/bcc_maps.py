"""The maps of programs that bcc has loaded, by name, through their descriptors."""

from __future__ import annotations

import errno

import numpy as np
from numpy.typing import NDArray

from procwire.sensor.open_sockets import OpenSocket
from procwire.sensor.programs import Libbpf

NOT_EXISTING = 1
"""Of update(): what is there already stays as it is (BPF_NOEXIST)."""


class Maps:
    """Reads and writes entries. Keys are u32, but of sockets, which are found by their cookies.

    descriptors: of maps, among others, by name; they may come later. Raises Unavailable where an
    entry cannot be written.
    """

    def __init__(self, bpf: Libbpf, descriptors: dict[str, int]) -> None:
        self._bpf, self._descriptors = bpf, descriptors
        self._ffi, self._lib = bpf.ffi, bpf.lib

    def look_up(self, table: str, key: int, into: NDArray[np.generic]) -> bool:
        """Fills `into` with the entry; whether there is one."""
        found: int = self._lib.bpf_map_lookup_elem(
            self._descriptors[table], self._number(key), self._ffi.from_buffer(into)
        )
        return found == 0

    def update(self, table: str, key: int, row: NDArray[np.generic], flags: int = 0) -> None:
        """Enters a row."""
        self._write(table, self._number(key), row, flags)

    def keep(self, table: str, socket: OpenSocket, row: NDArray[np.void]) -> None:
        """Enters an older socket, unless it is known by now."""
        cookie = self._ffi.new("unsigned long long *", socket.cookie)
        self._write(table, cookie, row, NOT_EXISTING)

    def delete(self, table: str, key: int) -> None:
        """Removes an entry, if there is one."""
        self._lib.bpf_map_delete_elem(self._descriptors[table], self._number(key))

    def _number(self, key: int) -> object:
        number: object = self._ffi.new("unsigned int *", key)
        return number

    def _write(self, table: str, key: object, row: NDArray[np.generic], flags: int) -> None:
        failed = self._lib.bpf_map_update_elem(
            self._descriptors[table], key, self._ffi.from_buffer(row), flags
        )
        if failed < 0 and failed != -errno.EEXIST:
            self._bpf.fail(f"write map {table}", -failed)
