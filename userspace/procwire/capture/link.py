"""Which link types decode reads, and the names of others that captures are often made of, so that
a refusal says what it met.
"""

from __future__ import annotations

from procwire.capture import batch
from procwire.errors import InputDamaged

DECODED = frozenset(
    {
        batch.NULL,
        batch.ETHERNET,
        batch.PPP,
        batch.RAW_BSD,
        batch.PPP_HDLC,
        batch.RAW,
        batch.CISCO_HDLC,
        batch.LOOP,
        batch.LINUX_SLL,
        batch.IPV4,
        batch.IPV6,
        batch.LINUX_SLL2,
    }
)

# https://www.tcpdump.org/linktypes.html
NAMES = {
    6: "IEEE 802.5 token ring",
    7: "ARCNET",
    8: "SLIP",
    10: "FDDI",
    51: "PPPoE",
    100: "ATM, RFC 1483",
    105: "IEEE 802.11",
    107: "frame relay",
    119: "IEEE 802.11 with Prism header",
    127: "IEEE 802.11 with radiotap header",
    163: "IEEE 802.11 with AVS header",
    187: "Bluetooth HCI",
    189: "Linux USB",
    192: "per-packet information",
    195: "IEEE 802.15.4",
    201: "Bluetooth HCI with direction",
    220: "Linux USB, padded",
    227: "CAN",
    239: "Netfilter log",
    249: "USBPcap",
    251: "Bluetooth low energy",
    252: "Wireshark exported PDU",
    253: "Linux netlink",
    271: "Linux vsock",
}


def undecoded(path: str, offset: int, link: int) -> InputDamaged:
    """The refusal of a link type outside DECODED, whose field lies at `offset` of `path`."""
    name = f" ({NAMES[link]})" if link in NAMES else ""
    return InputDamaged(path, offset, f"link type {link}{name} is not decoded")
