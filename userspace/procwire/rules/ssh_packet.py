"""Packets of SSH from the identification strings to NEWKEYS, behind which they are encrypted (RFC
4253 section 6 and 7.1). A rule sees one packet, from its length on.
"""

from procwire.rule import rule
from procwire.words import u8, u32

PADDING, MESSAGE, HEADER = 4, 5, 5
COUNTED_FROM, LEAST, MOST, ALIGNED, LEAST_PADDING = 4, 12, 1 << 18, 8, 4
# SERVICE_REQUEST and SERVICE_ACCEPT; then the messages of services.
OF_SERVICES, FIRST_OF_A_SERVICE = (5, 6), 50


def packet(message: str, padding: int = 0) -> str:
    """A packet as an example: the message, and as much padding as it needs, or `padding` bytes."""
    size = len(bytes.fromhex(message))
    padding = padding or LEAST_PADDING + -(HEADER + size + LEAST_PADDING) % ALIGNED
    return f"{1 + size + padding:08x} {padding:02x} {message} {'00' * padding}"


@rule(
    id="ssh.packet_len",
    sid=9101452,
    title="SSH packet whose length or padding is impossible",
    reference="RFC 4253 section 6, 6.1",
    severity=2,
    needs=6,
    at=(0, 5),
    suricata=("app.ssh.invalid_record",),
    zeek=("SSH_max_packet_length_exceeded",),
    fires_on=[
        "00000008 04 15 000000000000",
        "00100004 04 14 0000",
        "ffffffff 04 14 0000",
        packet("15", padding=2),
        packet("15", padding=9),
        "0000000c 0c 15 " + "00" * 10,
    ],
    silent_on=[packet("15"), packet("14 00"), packet("1e 0000"), "0000000c 0a"],
)
def ssh_packet_sizes_wrong(p):
    """Both sides take these numbers from whoever connects, long before they know who it is."""
    size = u32(p, 0)
    padding = u8(p, PADDING)
    if not LEAST <= size <= MOST or (size + COUNTED_FROM) % ALIGNED != 0:
        return True
    return padding < LEAST_PADDING or padding + 1 >= size


@rule(
    id="ssh.message_early",
    sid=9101453,
    title="SSH message for a service, before keys were exchanged",
    reference="RFC 4253 7.1",
    severity=1,
    needs=6,
    at=(5, 1),
    fires_on=[
        packet("5a 00000007 73657373696f6e 00000000 00004000 00004000"),
        packet("62 00000000 00000004 65786563 01"),
        packet("34"),
        packet("05 0000000c 7373682d7573657261757468"),
    ],
    silent_on=[packet("14 00"), packet("1e"), packet("15"), packet("01"), "0000000c 0a"],
)
def ssh_message_too_early(p):
    """Servers that take a channel, or a log-in as done, from a client that has neither keys nor a
    name run its commands."""
    message = u8(p, MESSAGE)
    return message in OF_SERVICES or message >= FIRST_OF_A_SERVICE
