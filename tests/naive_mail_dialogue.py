"""Twin of decode/mail_dialogue.py: what is due is plain variables, patterns are regular
expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from naive_application import SMTP_VERBS

UNJUDGED = re.compile(rb"(bdat|auth|star|turn|atrn|xexc)", re.IGNORECASE)
COMMAND = re.compile(rb"[\r\n]|[A-Za-z0-9!#$%&'*+.^_`|~-]+[ \r\n]")
FURTHER = re.compile(rb"(noop|vrfy|expn|help)[^A-Za-z0-9!#$%&'*+.^_`|~-]", re.IGNORECASE)


@dataclass
class Due:
    """What is known of a dialogue."""

    greeted: bool = False
    judged: bool = True
    reply: bool = False


def is_amiss(due: Due, from_client: bool, line: bytes) -> bool:
    """Whether a line is not what is due, of a dialogue of which nothing was lost."""
    if not from_client:
        wrong = due.reply and not re.match(rb"\d{3}", line)
        due.greeted, due.reply = True, False
        due.judged &= not line.startswith(b"334")
        return wrong
    if not due.judged:
        return False
    if UNJUDGED.match(line):
        due.judged = False
    elif line[:4].lower() in SMTP_VERBS or (due.greeted and FURTHER.match(line)):
        due.reply = True
    return due.greeted and not COMMAND.match(line)
