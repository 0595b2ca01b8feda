"""Twin of decode/line_cursor.py: the two sides of a mail dialogue as growing strings, from which
lines and replies are taken. What follows STARTTLS is not its business."""

from __future__ import annotations

import re
from dataclasses import dataclass

from naive_application import SMTP_VERBS, begins_smtp
from naive_mail_dialogue import Due, is_amiss

REPLY = re.compile(rb"[0-9][^\n]*\n")
START = 16  # bytes by which a protocol is known
CONTINUED = re.compile(rb"...-", re.DOTALL)


@dataclass
class _Side:
    """phase: "begins", "line", "text", "chunk", "asked", "tls?", or "lost"."""

    phase: str = "begins"
    kept: bytes = b""
    chunk: int = 0
    commands: int = 0
    unbroken: bool = True


def judged(payloads):
    """payloads: (whether the client sends it, bytes) in order. Yields for each the lines and
    replies that it completes, and whether one is not what was due."""
    client, server, due = _Side(), _Side(), Due()
    for from_client, payload in payloads:
        side, peer = (client, server) if from_client else (server, client)
        _begin(side, payload, from_client and peer.phase == "line" and peer.unbroken)
        lines, amiss = [], False
        for line in _take(side, peer, payload):
            lines.append(line)
            if client.unbroken and server.unbroken and server.phase == "line":
                amiss |= is_amiss(due, from_client, line)
            _after(side, peer, line)
        yield lines, amiss


def _begin(side, payload, is_greeted):
    """By its first bytes it is known whether a side speaks SMTP; a client that was greeted so,
    by its first line, too."""
    if side.phase != "begins":
        return
    begun = side.kept + payload
    is_line = b"\n" in begun or len(begun) >= START
    if begins_smtp(begun, len(begun)) or (is_greeted and is_line):
        side.phase = "line"
    elif len(begun) >= START:
        side.phase, side.kept = "lost", b""


def _take(side, peer, payload):
    if side.phase in ("asked", "tls?"):
        side.phase = "lost"
    if side.phase == "lost":
        if not begins_smtp(payload, len(payload)):
            return
        side.phase, side.unbroken, side.kept = "line", False, b""
    side.kept += payload
    while side.kept and side.phase != "begins":
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
