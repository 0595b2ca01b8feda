"""Twin of decode/mail_dialogue.py: lines are split, patterns are regular expressions."""

from __future__ import annotations

import re

from naive_application import begins_smtp

UNJUDGED = re.compile(rb"(bdat|auth|star|turn|atrn|xexc)", re.IGNORECASE)
COMMAND = re.compile(rb"\r|[A-Za-z0-9!#$%&'*+.^_`|~-]+[ \r\n]")
FURTHER = re.compile(rb"(noop|vrfy|expn|help)[ \r]", re.IGNORECASE)
REPLY = re.compile(rb"\d[ -~]{2}")


def amiss(payloads: list[tuple[bool, bytes]]) -> list[int]:
    """Which of the payloads, (whether the client sends it, its bytes) in order, begin with no
    command or no reply though one is due."""
    found, due, greeted, reply_due = [], "unknown", None, False
    for place, (client, payload) in enumerate(payloads):
        lines = payload.splitlines(keepends=True)
        if due == "unjudged":
            # What was asked before is answered all the same.
            if not client and reply_due and not payload[:3].isdigit():
                found.append(place)
            reply_due = reply_due and client
            continue
        if not client:
            if reply_due and not payload[:3].isdigit():
                found.append(place)
            reply_due = False
            if greeted is None:
                greeted = bool(REPLY.match(payload))
        if not client and REPLY.match(payload):
            for line in lines:
                if line.startswith(b"334"):
                    due = "unjudged"
                    break
                if line.startswith(b"354"):
                    due = "text"
                elif due == "unknown" and line[3:4] != b"-":
                    due = "command"
        elif client and due == "text":
            if payload == b".\r\n" or payload.endswith(b"\r\n.\r\n"):
                due = "unknown"
        elif client and due == "command":
            if not payload.endswith(b"\r\n"):
                due = "unknown"
            elif not COMMAND.match(payload):
                found.append(place)
            if any(UNJUDGED.match(line) for line in lines):
                due = "unjudged"
        if client and greeted and due != "unjudged" and payload.endswith(b"\r\n"):
            further = due == "command" and bool(FURTHER.match(payload))
            reply_due = reply_due or begins_smtp(payload, len(payload)) or further
    return found
