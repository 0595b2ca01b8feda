"""Twin of decode/spoken.py: a conversation is a list, and what is known of it plain variables."""

from __future__ import annotations

from naive_application import (
    DNS,
    HTTP1,
    MODBUS,
    PORTS,
    SMB,
    SMTP,
    SSH,
    TCP,
    TLS,
    layer_at_port,
)

CARRIES = {22: SSH, 25: SMTP, 80: HTTP1, 139: SMB, 445: SMB, 587: SMTP} | dict.fromkeys(
    (443, 465, 636, 853, 989, 990, 992, 993, 995), TLS
)
CARRIES |= {53: DNS, 502: MODBUS}
KNOWN_BY_BYTES = (HTTP1, TLS, SSH, SMB, SMTP)


def spoken(port: int, payload: bytes) -> int | None:
    """The layer that a payload to or from a server's port begins with, if bytes can tell it."""
    layer = layer_at_port(PORTS[TCP].get(port), payload, len(payload))
    return layer if layer in KNOWN_BY_BYTES else None


def contradiction(port: int, payloads: list[tuple[bool, bytes]]) -> int | None:
    """The first of the payloads, (whether the client sends it, its bytes) in order, that another
    protocol was to be expected of; None if all agree."""
    first: dict[bool, int | None] = {}
    asked = due = False
    for place, (client, payload) in enumerate(payloads):
        layer = spoken(port, payload)
        wrong = due and layer != TLS
        if not due and layer == SMTP:
            if client:
                asked = asked or payload.rstrip(b"\r\n").lower().endswith(b"starttls")
            elif asked and payload.startswith(b"220"):
                asked, due = False, True
                wrong = False
            elif asked and payload[0] >= ord("4"):
                asked = False
        elif due:
            due = False
        if client not in first:
            first[client] = layer
            if layer is not None:
                mail_over_tls = port == 465 and layer == SMTP
                wrong |= CARRIES.get(port, layer) != layer and not mail_over_tls
                wrong |= first.get(not client) not in (None, layer)
        if wrong:
            return place
    return None
