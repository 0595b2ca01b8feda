"""Draws what the demo prints as docs/demo.svg.

    .venv/bin/python packaging/demo.py 2>&1 | .venv/bin/python packaging/picture.py

Plain text elements that keep their blanks: no font, script or style sheet from elsewhere.
"""

from __future__ import annotations

import re
import sys
import textwrap
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"
COLUMNS = 128
SIZE, ADVANCE, LEADING, MARGIN = 13, 7.85, 18, 16
PLAIN, GROUND = "#c9d1d9", "#0d1117"
COLOURS = {
    r"^=== .*$|^    (?=\S).*$": "#ffffff",
    r"^HIGH": "#ff7b72",
    r"^MEDIUM": "#e3b341",
    r"^LOW": "#79c0ff",
    r"^procwire: .*$": "#8b949e",
    r"\(pid \d+, \w+\)": "#ffffff",
    r"RFC \d+[^·]*|offset \d+": "#7ee787",
}
PATTERN = re.compile("|".join(f"({pattern})" for pattern in COLOURS))


def spans(line: str) -> str:
    """The line with its coloured parts, as SVG."""
    parts, at = [], 0
    for found in PATTERN.finditer(line):
        colour = list(COLOURS.values())[(found.lastindex or 1) - 1]
        parts.append(escape(line[at : found.start()]))
        parts.append(f'<tspan fill="{colour}">{escape(found.group())}</tspan>')
        at = found.end()
    return "".join([*parts, escape(line[at:])])


lines = [
    part
    for line in sys.stdin.read().strip("\n").split("\n")
    for part in textwrap.wrap(line, COLUMNS, subsequent_indent=" " * 8, drop_whitespace=False)
    or [""]
]
width, height = 2 * MARGIN + ADVANCE * COLUMNS, 2 * MARGIN + LEADING * len(lines)
texts = [
    f'<text x="{MARGIN}" y="{MARGIN + LEADING * row + SIZE}">{spans(line)}</text>'
    for row, line in enumerate(lines)
]
PICTURE.write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}"'
    f' font-family="monospace" font-size="{SIZE}" fill="{PLAIN}" xml:space="preserve">\n'
    f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>\n' + "\n".join(texts) + "\n</svg>\n"
)
