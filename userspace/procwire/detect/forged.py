"""Which findings say that a source is forged: its address is one that no host has, so it names
nobody, and the next packet may bear another. Such findings fold by whom they are sent to.
"""

from __future__ import annotations

FORGED = frozenset(("ipv4.martian_src", "ipv6.bad_src"))
"""Ids of the checks."""
