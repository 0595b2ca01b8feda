"""Captured text made safe to show: command lines, names and paths are under the attacker's control.

A terminal obeys control characters, and bidirectional and invisible format characters make text
read differently from what it is. Both are written as escapes.
"""

from __future__ import annotations

import unicodedata

# Controls, format characters (bidi controls, tags, zero width), surrogates, line separators.
_HARMFUL = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def is_harmful(character: str) -> bool:
    """Whether a terminal might obey the character, or show nothing or other text for it."""
    return unicodedata.category(character) in _HARMFUL


def is_text(text: str) -> bool:
    """Whether all of it is UTF-8; words of a command line may hold other bytes, as surrogates."""
    return not any(0xD800 <= ord(one) < 0xE000 for one in text)


def printable(text: str) -> str:
    """`text` on one line, harmful characters as \\xNN, \\uNNNN or \\UNNNNNNNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(ord(one)) if is_harmful(one) else one for one in text)


def _escape(code: int) -> str:
    for limit, form in ((0x100, "\\x{:02x}"), (0x10000, "\\u{:04x}")):
        if code < limit:
            return form.format(code)
    return f"\\U{code:08x}"
