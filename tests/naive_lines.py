"""Twin of decode/line_cursor.py: the two sides of a mail dialogue as growing strings, from which
lines and replies are taken. What follows STARTTLS is not its business."""

from __future__ import annotations

import re
from dataclasses import dataclass

from naive_application import SMTP_VERBS, begins_smtp

REPLY = re.compile(rb"[0-9][^\n]*\n")
CONTINUED = re.compile(rb"...-", re.DOTALL)


@dataclass
class _Side:
    """phase: "line", "text", "chunk", "asked", "tls?", or "lost"."""

    phase: str = "line"
    kept: bytes = b""
    chunk: int = 0
    commands: int = 0
    unbroken: bool = True


def judged(payloads):
    """payloads: (whether the client sends it, bytes) in order, the first of each side a line.
    Yields for each the lines and replies that it completes."""
    client, server = _Side(), _Side()
    for from_client, payload in payloads:
        side, peer = (client, server) if from_client else (server, client)
        yield list(_take(side, peer, payload))


def _take(side, peer, payload):
    if side.phase in ("asked", "tls?"):
        side.phase = "lost"
    if side.phase == "lost":
        if not begins_smtp(payload, len(payload)):
            return
        side.phase, side.unbroken, side.kept = "line", False, b""
    side.kept += payload
    while side.kept:
        if side.phase == "text":
            text, dot, rest = (b"\r\n" + side.kept).partition(b"\r\n.\r\n")
            if not dot:
                return
            side.phase, side.kept = "line", rest
            side.commands += 1
        elif side.phase == "chunk":
            passed = min(side.chunk, len(side.kept))
            side.chunk -= passed
            side.kept = side.kept[passed:]
            if side.chunk:
                return
            side.phase = "line"
        elif side.phase == "line":
            line = _line(side.kept)
            if line is None:
                return
            side.kept = side.kept[len(line) :]
            yield line
            _after(side, peer, line)
        else:
            side.phase, side.kept = "lost", b""
            return


def _line(kept):
    """The command or the reply that the bytes begin with, or None if its end is not there."""
    lines = re.findall(rb"[^\n]*\n", kept)
    if not lines:
        return None
    if not REPLY.match(lines[0]):
        return lines[0]
    for number, line in enumerate(lines, 1):
        if not CONTINUED.match(line):
            return b"".join(lines[:number])
    return None


def _after(side, peer, line):
    verb = line[:4].lower()
    if line[:1].isdigit():
        peer.commands = max(peer.commands - 1, 0)
        _answer(peer, line[:3])
    elif verb in SMTP_VERBS:
        side.commands += 1
        if verb == b"bdat":
            sized = re.match(rb"[0-9]+(?= last[\r\n]|[\r\n])", line[5:].lower())
            side.phase, side.chunk = "chunk", int(sized[0]) if sized else 0
        elif verb == b"star":
            side.phase = "tls?"
        elif verb == b"data" and line[4:5] in (b"\r", b"\n"):
            side.phase = "asked"
    elif side.unbroken:
        side.commands += 1
    else:
        side.phase, side.kept = "lost", b""


def _answer(peer, code):
    if peer.phase == "asked" and code == b"354":
        peer.phase, peer.kept = "text", b""
    elif peer.commands == 0 and peer.phase in ("asked", "tls?"):
        peer.phase = "line"
