"""IP fragments that contradict each other: what decode/defrag.py reports while it reassembles."""

from procwire.rule import observed

OVERLAP_4 = observed(
    id="ipv4.frag_overlap",
    sid=9100121,
    title="IPv4 fragments overlap",
    reference="RFC 815; RFC 1858 section 4; RFC 3128",
    severity=2,
    suricata=("decoder.ipv4.frag_overlap",),
    zeek=("fragment_overlap", "fragment_inconsistency"),
    rationale="""A sender cuts a datagram once, so its fragments meet and never overlap. Receivers
    differ in which copy of a byte they keep: two copies show a sensor one thing and the receiver
    another. An exact repetition of a fragment is a duplicate of the network's making.""",
)
OVERLAP_6 = observed(
    id="ipv6.frag_overlap",
    sid=9100221,
    title="IPv6 fragments overlap",
    reference="RFC 5722; RFC 8200 section 4.5",
    severity=2,
    suricata=("decoder.ipv6.frag_overlap",),
    zeek=("fragment_overlap", "fragment_inconsistency"),
    rationale="""A receiver must drop a datagram whose fragments overlap, with all fragments still
    to come: no honest sender makes them. An exact repetition of a fragment is ignored.""",
)
