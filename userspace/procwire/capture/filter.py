"""Capture filters in tcpdump's language: libpcap compiles the text, the kernel runs the program.

pcap-filter(7); a classic BPF program goes to the socket as socket(7) SO_ATTACH_FILTER has it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket

from procwire.capture import batch as links
from procwire.errors import Unavailable, UsageError

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_SNAP_LENGTH = 262144
_NETMASK_UNKNOWN = 0xFFFFFFFF
_INSTRUCTION = 8  # struct bpf_insn and sock_filter alike
# libpcap's own number of a link type whose number in files is another.
_DLT_RAW = 12
_DLT = {links.RAW: _DLT_RAW}


class _Program(ctypes.Structure):
    """struct bpf_program of libpcap, and sock_fprog but for the width of its length."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _SocketProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def compile_filter(expression: str, link: int) -> bytes:
    """The program, 8 bytes an instruction, that selects packets of a link type (LINKTYPE number).

    Raises UsageError with libpcap's own words for an expression that it does not take, Unavailable
    where there is no libpcap.
    """
    name = ctypes.util.find_library("pcap")
    try:
        library = ctypes.CDLL(name or "libpcap.so.0.8")
    except OSError:
        raise Unavailable(
            "libpcap is missing, which compiles capture filters", "apt-get install libpcap0.8"
        ) from None
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_geterr.restype = ctypes.c_char_p
    handle = ctypes.c_void_p(library.pcap_open_dead(_DLT.get(link, link), _SNAP_LENGTH))
    program = _Program()
    mask = ctypes.c_uint(_NETMASK_UNKNOWN)
    try:
        text = expression.encode(errors="surrogateescape")
        if b"\0" in text or library.pcap_compile(handle, ctypes.byref(program), text, 1, mask):
            said = library.pcap_geterr(handle).decode(errors="replace") or "it holds a NUL"
            raise UsageError(f"filter {expression!r}: {said}")
        size = program.length * _INSTRUCTION
        compiled = ctypes.string_at(program.instructions, size) if size else b""
        library.pcap_freecode(ctypes.byref(program))
    finally:
        library.pcap_close(handle)
    return compiled


def attach(to: socket.socket, program: bytes) -> None:
    """Have the kernel drop what the program does not select. Raises UsageError if it refuses."""
    instructions = ctypes.create_string_buffer(program, len(program))
    wanted = _SocketProgram(len(program) // _INSTRUCTION, ctypes.addressof(instructions))
    try:
        to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(wanted))
    except OSError as error:
        raise UsageError(f"the kernel refuses the filter: {error.strerror}") from error


def detach(of: socket.socket) -> None:
    """Have the kernel pass every packet."""
    of.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
