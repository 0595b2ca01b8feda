"""What people see: the progress bar, the summary, the page about a rule, on terminals of any width,
with names that would like to command the terminal."""

from __future__ import annotations

import gzip
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest
from batches import batch_of
from procwire import examples
from procwire.compiler.sights import STREAM_LAYERS
from procwire.decode.frame import decode
from procwire.decode.framing import header_size
from procwire.decode.layer_counts import LayerCounts
from procwire.detect.detector import DETECTORS
from procwire.judging.evaluate import evaluate
from procwire.judging.observe import Observer
from procwire.layers import LAYER_NUMBERS
from procwire.output.rule_page import marked, page
from procwire.output.summary import summary
from procwire.rules import all_rules, packet_rules
from procwire.settings.traffic import FlowSettings

PROCWIRE = Path(sys.executable).with_name("procwire")
CHECKS = (*all_rules(), *DETECTORS)
STYLE = re.compile(r"\x1b\[[0-9;]*m")
ERASE, HIDE, SHOW = "\x1b[2K", "\x1b[?25l", "\x1b[?25h"
BROKEN = examples.frames(packet_rules())
HOSTILE = "\x1b]0;owned\x07\x1b[2J.pcap"


def on_terminal(width: int, *command: str, results: bool = False, terminal: str = "xterm") -> str:
    """What a terminal gets to see of a command's stderr, and of its stdout if `results`."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [str(PROCWIRE), *command],
        stdin=theirs,
        stdout=theirs if results else subprocess.DEVNULL,
        stderr=theirs,
        env=environment | {"TERM": terminal},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    process.wait(timeout=60)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bar_goes_and_the_summary_fits(tmp_path: Path, width: int) -> None:
    file = tmp_path / HOSTILE
    file.write_bytes(examples.capture(BROKEN))
    seen = on_terminal(width, "read", str(file))
    bar, _, rest = seen.rpartition(ERASE)
    assert "100%" in bar
    assert HIDE in bar
    assert rest.startswith(SHOW)
    lines = STYLE.sub("", rest.removeprefix(SHOW)).splitlines()
    assert lines[0] == r"procwire: \x1b]0;owned\x07\x1b[2J.pcap"
    assert "\x1b]" not in seen
    assert "\x1b[2J" not in seen
    assert max(map(len, lines[1:])) <= width
    assert f"{len(BROKEN)} packets" in rest
    # The bar itself stays on its line.
    drawn = STYLE.sub("", bar).split("\r")
    assert max(len(piece.replace(HIDE, "").replace(ERASE, "")) for piece in drawn) <= width


def test_of_a_packed_capture_the_packets_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "packed.pcap.gz"
    file.write_bytes(gzip.compress(examples.capture(BROKEN)))
    seen = on_terminal(80, "read", str(file))
    assert re.search(rf"packets\s+{len(BROKEN)}\b", seen)
    assert "%" not in seen.partition(ERASE)[0]


def test_alerts_and_the_bar_share_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "broken.pcap"
    file.write_bytes(examples.capture(BROKEN))
    seen = on_terminal(100, "read", "--format", "text", str(file), results=True)
    for line in STYLE.sub("", seen).split("\n"):
        if "100%" in line:
            # Whatever follows the bar on its line follows an erasure.
            assert line.rpartition("100%")[2].strip().startswith(ERASE)


def test_errors_do_not_command_the_terminal(tmp_path: Path) -> None:
    (tmp_path / HOSTILE).touch()
    for name in (HOSTILE, "\x1b[2Jmissing.pcap"):
        seen = on_terminal(80, "read", str(tmp_path / name))
        assert "\x1b[2J" not in seen
        assert r"\x1b[2J" in seen


def test_the_summary_tells_what_was_found_and_what_was_not_seen() -> None:
    counters = {
        "packets": 12345,
        "flows.flows": 17,
        "layers.tcp": 99,
        "layers.udp": 0,
        "decode.IP fragment": 7,
        "decode.snapped header": 0,
        "fanout.evicted": 3,
        "kernel.skipped_connection_detail": 5,
        "episodes.rule.tcp.flags_syn_fin": 2,
        "episodes.rule.stream.gap": 4,
        "episodes.rule.scan.block": 1,
        # Two parts of a run may have told of it: their counters are added up.
        "episodes.severity.1.scan.block": 2,
        "episodes.severity.3.scan.block": 4,
    }
    lines = [line.split() for line in summary("a.pcap", counters, CHECKS, 100).splitlines()]
    assert lines[0] == ["procwire:", "a.pcap"]
    assert lines[1] == ["seen", "12,345", "packets,", "17", "flows"]
    assert lines[2] == ["protocols", "tcp", "99"]
    assert lines[3] == ["findings", "1", "high,", "2", "medium,", "4", "counted"]
    assert [line[:3] for line in lines[4:7]] == [
        ["high", "1", "scan.block"],
        ["medium", "2", "tcp.flags_syn_fin"],
        ["counted", "4", "stream.gap"],
    ]
    assert lines[7] == ["not", "decoded", "IP", "fragment", "7"]
    assert lines[8] == ["left", "out", "kernel.skipped_connection_detail", "5"]
    assert lines[9] == ["lost", "fanout.evicted", "3"]
    assert len(lines) == 10


def test_the_summary_tells_of_how_many_flows_the_process_is_known() -> None:
    counters = {
        "correlate.originated_kernel": 1900,
        "correlate.originated_none": 100,
        "correlate.accepted_inferred": 3,
        "correlate.accepted_none": 0,
        "correlate.alerts_kernel": 9,
    }
    (line,) = [one for one in summary("x", counters, CHECKS, 200).splitlines() if "attr" in one]
    assert line.split(maxsplit=1) == [
        "attributed",
        "1,900 of 2,000 flows originated, 3 of 3 flows accepted, kernel 1,900, inferred 3",
    ]


def test_nothing_found_is_said() -> None:
    lines = summary("a.pcap", {"packets": 1, "bytes": 60}, CHECKS, 100).splitlines()
    assert lines[1].split(maxsplit=1)[1] == "1 packet, 60 bytes on the wire"
    assert [line.split() for line in lines[2:]] == [["findings", "nothing"], ["lost", "nothing"]]


def test_layers_are_counted() -> None:
    made = batch_of(BROKEN)
    decoded, counts = decode(made), LayerCounts()
    counts.update(decoded.spans)
    counts.update(decoded.spans)
    wanted = {
        name: 2 * int((decoded.spans.layer == number).sum())
        for name, number in LAYER_NUMBERS.items()
    }
    assert counts.counters() == wanted
    assert sum(wanted.values()) == 2 * len(decoded.spans.layer)


@pytest.mark.parametrize("rule", packet_rules(), ids=lambda rule: rule.id)
def test_the_marked_bytes_are_those_a_finding_points_to(rule) -> None:
    seen = 0
    for text in rule.fires_on:
        shown = marked(rule, text)
        made = batch_of([shown.frame])
        findings = evaluate(made, decode(made))
        if rule.layers[0] in STREAM_LAYERS:
            findings = Observer(FlowSettings(capacity=1024)).update(made, decode(made))
        found = findings[findings["rule"] == all_rules().index(rule)]
        end = len(shown.frame)
        places = {
            (min(start, end), min(start + size, end))
            for start, size in zip(found["start"].tolist(), found["size"].tolist(), strict=True)
        }
        # What follows another message in a stream is judged there alone.
        if places or header_size(LAYER_NUMBERS[rule.layers[0]]) == 0:
            assert (shown.start, shown.end) in places
            seen += 1
    assert seen


def test_a_page_says_what_the_names_in_a_rules_text_stand_for() -> None:
    (check,) = (one for one in CHECKS if one.id == "dns.counts")
    text = page(check, 100).partition("\n\n  text\n")[2].partition("\n\n")[0]
    where = text.splitlines()[-1]
    assert where.split(maxsplit=1) == [
        "where",
        "HEADER = 12; CLASSES = 1, 3, 4, 254, 255; MULTICAST_PORT = 5353",
    ]


@pytest.mark.parametrize("width", [40, 79, 120])
def test_a_page_fits_and_marks_the_evidence(width: int) -> None:
    for check in CHECKS:
        plain = page(check, width)
        assert STYLE.sub("", page(check, width, colour=True)) == plain
        before, _, after = plain.partition("\n\n  text\n")
        # What the rule's text needs is its own.
        where = after.partition("\n\n  fires on\n")[0].partition("\n  where ")[2]
        assert all(len(line) <= width for line in f"  where {where}".splitlines())
        dump = after.partition("\n\n  fires on\n")[2]
        lines = before.splitlines() + dump.splitlines()
        assert max(map(len, lines)) <= width
        if after:
            shown = marked(check, check.fires_on[0])
            first = dump.partition("\n\n")[0]
            digits = "".join(
                line[9 : 10 + 3 * (4 if width < 43 else 8 if width < 78 else 16)]
                for line in first.split("\n")
            )
            evidence = digits.partition("[")[2].partition("]")[0]
            assert bytes.fromhex(evidence) == shown.frame[shown.start : shown.end]


def test_a_terminal_that_obeys_nothing_is_told_nothing(tmp_path: Path) -> None:
    capture = tmp_path / "broken.pcap"
    capture.write_bytes(examples.capture(BROKEN))
    command = "read", "--format", "text", str(capture)
    assert "\x1b" in on_terminal(80, *command, results=True)
    assert "\x1b" not in on_terminal(80, *command, results=True, terminal="dumb")
    assert "\x1b" in on_terminal(80, "doctor", results=True)
    assert "\x1b" not in on_terminal(80, "doctor", results=True, terminal="dumb")
