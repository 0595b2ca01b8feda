"""How Suricata sees each rule: by its own keywords, by a script, or not at all.

A packet reaches a script, or raises an event, by these tables; to_suricata.py writes the rules.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from procwire.compiler import keywords
from procwire.compiler.keywords import HEADERS, Native, searched
from procwire.layers import LAYER_NUMBERS, MAIL_PORTS, TCP_PORTS, UDP_PORTS
from procwire.rule import Observed, Rule

VERSIONS = (7, 8)


class Selection(NamedTuple):
    """Packets in Suricata's words: protocol, ports of both ends, further keywords; or either:
    ports, of which one end at least has one."""

    protocol: str
    ports: str = "any"
    keywords: str = ""
    either: tuple[int, ...] = ()

    def signatures(self, condition: str = "", scripted: bool = True) -> list[str]:
        """Rules for them, none of which shares a packet with another, with {action} and {tail}, the
        metadata, to be filled in. scripted: as few as can be."""
        if not self.either:
            ends = f"any {self.ports}"
            return [signature(self.protocol, ends, ends, self.keywords, condition)]
        ports = f"[{','.join(map(str, self.either))}]"
        if scripted:
            return [
                signature(self.protocol, "any any", f"any {ports}", condition),
                signature(self.protocol, f"any {ports}", f"any !{ports}", condition),
            ]
        # Suricata sorts rules by the port of the server's end, and tries those that leave it open
        # with every packet, but for those that one search of the header finds.
        return [
            signature(transport, source, destination, f"{transport}.hdr; {search}", condition)
            for transport in ("tcp", "udp")
            if self.protocol in (transport, "ip")
            for port in self.either
            for source, destination, search in (
                ("any any", f"any {port}", searched(port, 2, 2)),
                (f"any {port}", f"any !{ports}", searched(port, 2, 0)),
            )
        ]


def signature(protocol: str, source: str, destination: str, *keywords: str) -> str:
    """A rule for packets between the ends, address and port each, with {action} and {tail}, the
    metadata, to be filled in."""
    options = " ".join(filter(None, ("{tail}", *keywords)))
    return f"{{action}} {protocol} {source} -> {destination} ({options})"


# Transport headers that Suricata rejects: it shows no header, and leaves the ports at 0. Of UDP it
# also rejects a length of 0 and one that is less than its packet has.
REJECTED = {
    "tcp_malformed": Selection("tcp", "0"),
    "udp": Selection("udp", "0"),
    "udp_malformed": Selection("udp", "0"),
}


def _of_ports(layer: str) -> Selection:
    """Packets from or to a port of the layer."""
    over_udp, over_tcp = (
        tuple(port for port, number in ports.items() if number == LAYER_NUMBERS[layer])
        for ports in (UDP_PORTS, TCP_PORTS)
    )
    protocol = "ip" if over_udp and over_tcp else "udp" if over_udp else "tcp"
    return Selection(protocol, either=tuple(dict.fromkeys(over_udp + over_tcp)))


def _begins(text: str, *further: str) -> Selection:
    """Segments whose data begin with `text`: many such are found in one search of the data."""
    return Selection("tcp-pkt", "any", " ".join((f'content:"{text}"; startswith;', *further)))


# Messages, and the packets that one may begin in, none of which is in two selections of a layer.
# By hand: decode/ tells messages apart in kernels, and only rules are walked for their cases.
_NO_MAIL = f"![{','.join(map(str, MAIL_PORTS))}]"
_METHODS = ("GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "TRAC", "CONN", "PATC", "PROP")
_KNOWN = rf"(?:{'|'.join(_METHODS)}|(?i:HTTP))"
# Any other token is a method where the line ends in a version (RFC 9110 5.6.2, 9.1).
_REQUEST = r"[\w!#$%&'*+.^`|~-]+ [^\n]* (?i:HTTP)\/1\.\d\r?\n"
_VERSIONS = "byte_test:1,<=,4,2;"
_HELLO = "byte_test:1,>=,1,5; byte_test:1,<=,2,5;"
_SSL_2 = "byte_test:1,>=,128,0;"
MESSAGES = {
    **{layer: (_of_ports(layer),) for layer in ("dns", "ntp", "dhcp", "snmp", "modbus", "dnp3")},
    "http1": (Selection("tcp-pkt", "any", f'pcre:"/^(?:{_KNOWN}|{_REQUEST})/";'),),
    "tls": (
        # Encrypted data count where another record's header follows.
        _begins("|17 03|", _VERSIONS, "byte_jump:2,3; isdataat:4,relative;"),
        *(_begins(f"|{kind} 03|", _VERSIONS) for kind in ("14", "15", "16", "18")),
        # A hello in another version, and one of SSL 2.0.
        _begins("|16|", _HELLO, "byte_test:1,!=,3,1;"),
        _begins("|16 03|", _HELLO, "byte_test:1,>=,5,2;"),
        *(
            Selection("tcp-pkt", "any", f'content:"|{hello}|"; offset:2; depth:1; {_SSL_2}')
            for hello in ("01", "04")
        ),
    ),
    "ssh": (_begins("SSH-"),),
    "smb": (
        Selection(
            "tcp-pkt",
            "any",
            'content:"SMB"; offset:5; depth:3; byte_test:1,=,0,0; byte_test:1,>=,0xFC,4;',
        ),
    ),
    "smtp": (
        _of_ports("smtp"),
        *(
            _begins(f"{greeting} ", "nocase;")._replace(ports=_NO_MAIL)
            for greeting in ("ehlo", "helo")
        ),
    ),
}

# The same packets, for rules without a script. Suricata 7 makes a script of its own for each rule,
# and has room for 64.
UNSCRIPTED = MESSAGES | {
    "http1": (
        *map(_begins, _METHODS),
        _begins("HTTP", "nocase;"),
        Selection(
            "tcp-pkt", "any", f'content:" HTTP/1."; nocase; pcre:"/^(?!{_KNOWN}){_REQUEST}/";'
        ),
    )
}

# Rules on what Suricata's decoder rejects, and its events for the same fault. It reports the first
# fault it meets, in this order. Four differences remain: an IPv6 header below 40 bytes raises no
# event, ESP that is cut one of its own, which IPv4 has as well, and lengths of 0 (segmentation
# offload, jumbograms) are faults to it. It does not know of snap lengths: whatever a capture cut is
# truncated to it.
NATIVE = {
    "eth.truncated": ("ethernet.pkt_too_small",),
    "vlan.truncated": ("vlan.header_too_small",),
    "vlan.too_many_tags": ("vlan.too_many_layers",),
    "ipv4.bad_version": ("ipv4.wrong_ip_version",),
    "ipv4.bad_hlen": ("ipv4.hlen_too_small",),
    "ipv4.len_lt_hlen": ("ipv4.iplen_smaller_than_hlen",),
    "ipv4.truncated": ("ipv4.pkt_too_small", "ipv4.trunc_pkt"),
    "ipv6.bad_version": ("ipv6.wrong_ip_version",),
    "ipv6.truncated": ("ipv6.trunc_pkt",),
    "ipv6.exthdr_truncated": ("ipv6.trunc_exthdr",),
    "gre.bad_header": (
        "gre.pkt_too_small",
        "gre.wrong_version",
        "gre.version0_recur",
        "gre.version0_flags",
        "gre.version0_hdr_too_big",
        "gre.version1_chksum",
        "gre.version1_route",
        "gre.version1_ssr",
        "gre.version1_recur",
        "gre.version1_flags",
        "gre.version1_no_key",
        "gre.version1_wrong_protocol",
        "gre.version1_hdr_too_big",
    ),
    "icmp4.truncated": ("icmpv4.pkt_too_small",),
    "icmp6.truncated": ("icmpv6.pkt_too_small",),
}
# Rules whose packets it rejects in some cases only: shown both ways.
PARTLY_NATIVE = {
    "ipv4.opt_malformed": ("ipv4.opt_invalid_len",),
    "ipv6.carries_icmpv4": ("ipv6.icmpv4",),
}

# Of these, what 8 shows to scripts all the same before it looks for flows.
SEEN_EARLY = frozenset(("ipv6.carries_icmpv4",))

# What only the decoder of 8 tells, in its order; 7 skips these rules.
NATIVE_8 = {
    "arp.bad_sizes": ("arp.invalid_hardware_size", "arp.invalid_protocol_size"),
    "arp.truncated": ("arp.pkt_too_small", "arp.invalid_pkt"),
    "arp.bad_opcode": ("arp.unsupported_opcode",),
}

HOST_ONLY_LAYERS = {
    "arp": "Suricata shows ARP to no rule",
    "ssh_packet": "known by its place in the stream, of which scripts are shown single segments",
    "inner_ip_malformed": "Suricata judges it as a packet of its own, by IPv4's and IPv6's rules",
}
HOST_ONLY = {
    "eth.src_group_bit": "no keyword shows Ethernet, and a script would have to see every packet",
}

# Parts of messages that only a reader of streams finds: scripts are shown one segment at a time.
STREAM_LAYERS = frozenset(("http1_chunk", "http1_trailer", "ssh_packet"))

# Layers whose messages may lie in several TCP segments.
STREAMED = frozenset(("dns", "dnp3", "http1", "modbus", "smb", "smtp", "ssh", "tls"))
SEGMENTWISE = "over TCP a script judges the message that a segment begins with, as far as it goes"

# Checks over several packets that Suricata makes, too, by its events. It keeps state of its own,
# with other limits, so it may find more or fewer.
STATE_EVENTS = {
    "ipv4.frag_overlap": (Selection("pkthdr", "any", "decode-event:ipv4.frag_overlap;"),),
    "ipv6.frag_overlap": (Selection("pkthdr", "any", "decode-event:ipv6.frag_overlap;"),),
    "app.protocol_mismatch": tuple(
        Selection("ip", "any", f"app-layer-event:{event};")
        for event in (
            "applayer_mismatch_protocol_both_directions",
            "applayer_unexpected_protocol",
            "applayer_no_tls_after_starttls",
        )
    ),
}
COUNTED = "a counter: Suricata keeps none for a rule"
NO_SCRIPT = "counts over many packets, which no Suricata script can hold"


class Expression(NamedTuple):
    """How Suricata shows a rule. way: "lua", "native" (by its decoder's events) or "host" (not at
    all); reason: why not, for "host", and for "lua" what a script judges otherwise, if anything.
    """

    way: str
    reason: str = ""


def expression(rule: Rule, version: int) -> Expression:
    """How Suricata `version`, one of VERSIONS, shows `rule`. Raises ValueError if no table has an
    answer."""
    if rule.tier == "C":
        return Expression("host", COUNTED)
    if rule.id in HOST_ONLY:
        return Expression("host", HOST_ONLY[rule.id])
    if rule.id in NATIVE or (version == 8 and rule.id in NATIVE_8):
        return Expression("native")
    for layer in rule.layers:
        if layer in HOST_ONLY_LAYERS:
            return Expression("host", HOST_ONLY_LAYERS[layer])
        if not {layer} & {*HEADERS, *REJECTED, *MESSAGES, *STREAM_LAYERS}:
            raise ValueError(f"{rule.id}: no Suricata table tells how to see {layer}")
    if not any(is_scripted(rule, layer) for layer in rule.layers):
        return Expression("native")
    return Expression("lua", "" if STREAMED.isdisjoint(rule.layers) else SEGMENTWISE)


def is_scripted(rule: Rule, layer: str) -> bool:
    """Whether keywords alone do not show where `rule` fires on `layer`."""
    return layer in REJECTED or not all(native.exact for native in natives(rule, layer))


@functools.cache
def natives(rule: Rule, layer: str) -> tuple[Native, ...]:
    """The keywords that match wherever `rule` fires on `layer`."""
    return tuple(keywords.native(rule, layer)) or (Native("", False),)


def observation(check: Observed) -> Expression:
    """How Suricata shows a check of several packets."""
    return Expression("native") if check.id in STATE_EVENTS else Expression("host", NO_SCRIPT)
