"""Twin of decode/mail_dialogue.py: what is due is plain variables, patterns are regular
expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from naive_application import SMTP_VERBS

UNJUDGED = re.compile(rb"(bdat|auth|star|turn|atrn|xexc)", re.IGNORECASE)
COMMAND = re.compile(rb"[\r\n]|[A-Za-z0-9!#$%&'*+.^_`|~-]+[ \r\n]")
ENDED = re.compile(rb"[\r\n]|[^\r]*\r\n$")
FURTHER = re.compile(rb"(noop|vrfy|expn|help)[^A-Za-z0-9!#$%&'*+.^_`|~-]", re.IGNORECASE)


@dataclass
class Due:
    """What is known of a dialogue."""

    greeted: bool = False
    judged: bool = True
    replies: bool = False


def is_amiss(due: Due, from_client: bool, line: bytes) -> bool:
    """Whether a line is not what is due, of a dialogue of which nothing was lost."""
    if not from_client:
        wrong = due.replies and due.judged and not re.match(rb"\d{3}", line)
        due.greeted = True
        due.judged &= not line.startswith(b"334")
        return wrong
    if not due.judged:
        return False
    is_needed = line[:4].lower() in SMTP_VERBS
    due.judged = not UNJUDGED.match(line)
    due.replies = is_needed or bool(due.greeted and FURTHER.match(line))
    is_command = COMMAND.match(line) and (is_needed or ENDED.match(line))
    return due.greeted and not is_command
