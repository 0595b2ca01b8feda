"""What the compiler knows of each word of procwire.words and of procwire.protocol_words: what it
takes, and how large its results can be.
"""

from __future__ import annotations

from typing import NamedTuple

from procwire.protocol_words import MOST_LABELS
from procwire.words import MOST_TOKEN


class Word(NamedTuple):
    """What the subset must know of a word: how its arguments are read and what it returns.

    arguments: "span" or "int" each; a `constant` argument must be an integer literal; returns
    "bool" or the largest int.
    """

    arguments: tuple[str, ...]
    returns: str | int
    constant: tuple[int, ...] = ()


LARGEST_PACKET = 2**18  # the snap length that every capture tool stops at
LARGEST_RUN = 64  # bytes that one same() or filled() may compare

WORDS: dict[str, Word] = {
    "length": Word(("span",), LARGEST_PACKET),
    "captured": Word(("span",), LARGEST_PACKET),
    "u8": Word(("span", "int"), 2**8 - 1),
    "u16": Word(("span", "int"), 2**16 - 1),
    "u32": Word(("span", "int"), 2**32 - 1),
    "u16_little": Word(("span", "int"), 2**16 - 1),
    "u32_little": Word(("span", "int"), 2**32 - 1),
    "bits": Word(("int", "int", "int"), 2**32 - 1, constant=(1, 2)),
    "same": Word(("span", "int", "int", "int"), "bool", constant=(3,)),
    "header_sums": Word(("span",), "bool"),
    "option": Word(("span", "int", "int"), LARGEST_PACKET),
    "extension_end": Word(("span", "int", "int"), LARGEST_PACKET + 8 + 8 * 255),
    "extension": Word(("span", "int"), LARGEST_PACKET),
    "upper_header": Word(("span",), LARGEST_PACKET * 256 + 255),
    "filled": Word(("span", "int", "int", "int"), "bool", constant=(2, 3)),
    "name_end": Word(("span", "int"), LARGEST_PACKET),
    "name_fault": Word(("span", "int"), 5),
    "one_question": Word(("span",), "bool"),
    "dns_entries": Word(("span",), 4 * 255),
    "dns_entry_end": Word(("span", "int", "int"), LARGEST_PACKET),
    "dns_entry_walk": Word(("span", "int", "int"), 3 * 8 * MOST_LABELS + 5),
    "ber_value": Word(("span", "int"), LARGEST_PACKET),
    "ber_end": Word(("span", "int"), LARGEST_PACKET),
    "find": Word(("span", "int", "int"), LARGEST_PACKET, constant=(2,)),
    "find_before": Word(("span", "int", "int", "int"), LARGEST_PACKET, constant=(3,)),
    "token_end": Word(("span", "int"), LARGEST_PACKET + MOST_TOKEN),
    "folded": Word(("span", "int", "int"), 2**31 - 1),
    "port_end": Word(("span", "int"), LARGEST_PACKET + MOST_TOKEN),
    "crc_dnp": Word(("span", "int", "int"), 2**16 - 1),
}
