"""Keys of claims on flows and ends, as five 64-bit words: source and destination in two halves
each, and ports with the protocol. What a claim does not name is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from procwire.event import FLAG_ANY_ADDRESS, FlowRole

WORDS = 5
# ARP, ICMP and ICMPv6.
WITHOUT_PORTS = (0, 1, 58)
ANY = bytes(16)

# With the namespace behind it, in place of the source of a socket on every address: ff::/8 is none.
EVERYWHERE = np.uint64(2**64 - 1)
# Within the last word.
PEER_PORT, PROTOCOL = np.uint64(0xFFFF << 16), np.uint64(0xFFFF)
_SOURCE_PORT, _DESTINATION_PORT = np.uint64(32), np.uint64(16)


def key_of(
    protocol: int, source: bytes, source_port: int, peer: bytes = ANY, peer_port: int = 0
) -> NDArray[np.uint64]:
    """The key of a claim on a flow, or without a peer on an end: (5,)."""
    words = np.frombuffer(source + peer, ">u8").astype(np.uint64)
    return np.append(words, np.uint64(source_port << 32 | peer_port << 16 | protocol))


def keys_of_events(events: NDArray[np.void]) -> NDArray[np.uint64]:
    """The keys (n, 5) of what FLOW_EVENT (n,) claim: of an end there is no destination."""
    keys = np.zeros((len(events), WORDS), np.uint64)
    keys[:, 0:2] = np.ascontiguousarray(events["source"]).view(">u8")
    keys[:, 2:4] = np.ascontiguousarray(events["destination"]).view(">u8")
    ports = events["source_port"].astype(np.uint64) << _SOURCE_PORT
    peer = events["destination_port"].astype(np.uint64) << _DESTINATION_PORT
    whole = events["role"] == FlowRole.CONNECTS
    any_address = ~whole & (events["flags"] & FLAG_ANY_ADDRESS != 0)
    keys[any_address, 0] = EVERYWHERE
    keys[any_address, 1] = events["net_namespace"][any_address]
    keys[~whole, 2:4] = 0
    keys[:, 4] = ports | np.where(whole, peer, 0) | events["protocol"]
    return keys


def keys_of_contacts(
    rows: NDArray[np.void], at: NDArray[np.int64], own: str, peer: str
) -> NDArray[np.uint64]:
    """The keys (n, 5) of claims on the flows of record.CONNECTION at these places (n,). own, peer:
    src and dst, by whose claims are looked for."""
    keys = np.empty((len(at), WORDS), np.uint64)
    for place, half in enumerate(f"{side}_{half}" for side in (own, peer) for half in ("hi", "lo")):
        keys[:, place] = rows[half][at]
    protocol = rows["protocol"][at]
    ports = rows[f"{own}_port"][at].astype(np.uint64) << _SOURCE_PORT
    ports |= rows[f"{peer}_port"][at].astype(np.uint64) << _DESTINATION_PORT
    ports[np.isin(protocol, WITHOUT_PORTS)] = 0
    keys[:, 4] = ports | protocol
    return keys
