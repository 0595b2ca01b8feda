"""Rules that drop, in real Suricatas: 8 judges headers before it looks for a packet's flow, so what
is forged makes none. `--simulate-ips` has a Suricata that reads a file drop like one inline."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import real_suricata
from agreement import RULES, differences, expected
from example_frames import frames
from procwire import examples
from procwire.compiler.to_suricata import BEFORE_FLOWS
from procwire.suricata import ruleset

pytestmark = pytest.mark.suricata
FORGED, SOUND = 50, 20
SYN, SYN_FIN, SYN_RST, NULL = 0x02, 0x03, 0x06, 0x00
SERVER = b"\xc6\x33\x64\x02"
# Each of them has a source or a port of its own, so each would have a flow of its own.
INLINE = "--runmode", "single", "--simulate-ips"


def segment(number: int, flags: int, server_port: int = 80) -> bytes:
    ports = struct.pack(">HH", 1024 + number, server_port)
    return ports + struct.pack(">IIBBHHH", 1, 0, 0x50, flags, 1024, 0, 0)


def packet(payload: bytes, source: bytes, to: bytes = SERVER, ttl: int = 64) -> bytes:
    """A frame with an IPv4 packet of TCP."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, ttl, 6, 0) + source + to
    words = sum(struct.unpack(">10H", head))
    checksum = 0xFFFF - words % 0xFFFF  # addresses count only where it is right
    return examples.LINK + b"\x08\0" + head[:10] + struct.pack(">H", checksum) + head[12:] + payload


def forged(number: int) -> list[bytes]:
    """One packet for each of the ways in which floods are forged."""
    source = b"\xc0\0\x02" + bytes([number])
    return [
        packet(segment(number, SYN_FIN), source),
        packet(segment(number + 100, SYN_RST), source),
        packet(segment(number + 200, NULL), source),
        packet(segment(number + 300, SYN, server_port=0), source),
        packet(segment(number + 400, SYN), source, ttl=0),
        packet(segment(number + 500, SYN), b"\xe0\0\0" + bytes([number])),
        packet(segment(number + 600, SYN), b"\x7f\0\0" + bytes([number])),
        packet(segment(number + 700, SYN), source, to=source),
    ]


def outcome(version: str, directory: Path, packets: list[bytes]) -> real_suricata.Outcome:
    ruleset.write(directory, ruleset.ruleset(drop=True))
    capture = directory / "sent.pcap"
    capture.write_bytes(examples.capture(packets))
    return real_suricata.run(real_suricata.program(version), directory, capture, *INLINE)


@pytest.mark.parametrize(("version", "of_forged"), [("7", 1), ("8", 0)])
def test_a_forged_flood_fills_no_flow_table(version: str, of_forged: int, tmp_path: Path) -> None:
    """7 makes a flow of each packet before it judges it: so the counter tells."""
    flood = [one for number in range(FORGED) for one in forged(number)]
    sound = [packet(segment(number + 800, SYN), b"\xcb\0\x71\x01") for number in range(SOUND)]
    stats = outcome(version, tmp_path, flood + sound).stats
    assert stats["ips"]["blocked"] == len(flood)
    assert stats["flow"]["total"] == len(sound) + of_forged * len(flood)


def early_sids() -> set[int]:
    lines = ruleset.ruleset(drop=True)[Path("procwire.rules")].splitlines()
    early = [line for line in lines if BEFORE_FLOWS in line]
    assert all(line.startswith("drop ") for line in early)
    return {int(line.partition(" sid:")[2].partition(";")[0]) for line in early}


def test_every_example(tmp_path: Path) -> None:
    """Of headers: inline, Suricata makes segments that are sent again equal to the first."""
    sids = early_sids() & set(RULES)
    packets = [one for sid in sids for one in frames(RULES[sid])]
    given = outcome("8", tmp_path, packets)
    wanted = expected(tmp_path / "sent.pcap", "8")
    asked = [{one for one in verdicts if one[1] in sids} for verdicts in wanted[:2]]
    alerts = {verdict for verdict in given.alerts if verdict[1] in sids}
    assert real_suricata.troubles(given.stats) == {}
    found = differences(wanted._replace(found=asked[0], surely=asked[1]), alerts)
    assert found == {"missed": [], "made up": []}
    assert {sid for _, sid in alerts} == sids


def test_only_rules_that_drop_are_asked_early() -> None:
    """An alert leaves the flow to be made, and would cost one more look at each packet."""
    assert BEFORE_FLOWS not in ruleset.ruleset(drop=False)[Path("procwire.rules")]
    early = {RULES[sid].id for sid in early_sids() if sid in RULES}
    assert {"ipv4.land", "ipv4.martian_src", "ipv4.ttl_zero", "l4.port_zero"} < early
    assert {"tcp.flags_syn_fin", "tcp.flags_null_xmas", "ipv4.bad_hlen", "tcp.bad_hlen"} < early
