"""What Suricata judges on a packet itself: it takes what is inside a tunnel for a packet of its
own, which has no number in the capture."""

from __future__ import annotations

from procwire import layers
from procwire.decode.columns import Decoded

NETWORKS = {layers.ARP, layers.IPV4, layers.IPV6, layers.IPV4_MALFORMED, layers.IPV6_MALFORMED}
BEGINS_INNER = {layers.ETHERNET, layers.VLAN, layers.INNER_IP_MALFORMED} | NETWORKS


def without_inner(decoded: Decoded) -> Decoded:
    """The same without layers for spans of packets inside tunnels, so that no rule sees them."""
    kept = decoded.spans.layer.copy()
    packet, behind_network, inner = -1, False, False
    for row, (of, layer) in enumerate(
        zip(decoded.spans.packet.tolist(), kept.tolist(), strict=True)
    ):
        if of != packet:
            packet, behind_network, inner = of, False, False
        elif layer == layers.ETHERNET or (behind_network and layer in BEGINS_INNER):
            inner = True
        behind_network = behind_network or layer in NETWORKS
        if inner:
            kept[row] = 0
    return decoded._replace(spans=decoded.spans._replace(layer=kept))
