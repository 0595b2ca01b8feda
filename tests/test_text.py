"""Alerts in words for people: what they say, how they fit a terminal, that it gets no orders."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed
from procwire.alert import RECEIVER
from procwire.output.printable import printable
from procwire.output.terminal import colours
from procwire.output.text import text
from told_alerts import ALERTS, HIT, PARENT, PROCESS, SCAN


def test_a_scan_in_words():
    assert text(SCAN).splitlines() == [
        "HIGH    AN1949 AN1057 AN1058 AN2050  /tmp/x9 (pid 4711, www-data) tried 214 hosts "
        "in 38 s, last on tcp/445",
        "        parent: php-fpm   cmd: /tmp/x9 -r 10.20.0.0/24",
        "        97% not established · 200 in unbroken order · fanout.hosts is 25",
        "        F-7Q2KXM raised 2026-09-21T14:13:20.123456+0000 · scan.host_sweep",
    ]


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("colour", [False, True])
def test_words_fit_a_terminal_and_are_cut_between_them(width, colour):
    plain = [line.strip() for line in text(SCAN).splitlines()]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text(SCAN, colour, width)).splitlines()
    assert max(map(len, shown)) <= width
    assert " ".join(line.strip() for line in shown).split() == " ".join(plain).split()


def test_what_took_no_time_says_nothing_of_it():
    at_once = changed(SCAN, first=SCAN.last)
    assert "214 hosts, last on" in text(at_once)
    assert "214 hosts in 30 µs, last on" in text(changed(SCAN, first=SCAN.last - 30_000))


def test_a_finding_in_words():
    headline, why, *_ = text(HIT).splitlines()
    assert headline.endswith(
        "10.0.0.5:40000 -> 10.0.0.9:53 udp  Length field shorter than the UDP header"
    )
    assert "RFC 768, Length · packet 17, offset 38, 2 bytes" in why


def test_a_finding_says_whose_packet_it_is():
    sent = changed(HIT, process=PROCESS, ancestors=(PARENT,))
    assert text(sent).splitlines()[2].rsplit("   ", 1) == [
        " " * 8 + "sent by /tmp/x9 (pid 4711, www-data)",
        "cmd: /tmp/x9 -r 10.20.0.0/24",
    ]
    accepted = changed(sent, process=replace(PROCESS, attribution="inferred"), role=RECEIVER)
    assert "  likely received by /tmp/x9 (pid" in text(accepted)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
def test_words_never_carry_controls(alert):
    shown = text(alert)
    assert len(shown.splitlines()) <= 4
    assert printable(shown.replace("\n", "")) == shown.replace("\n", "")


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" in text(SCAN, colours(Terminal()))
    assert "\x1b[" not in text(SCAN, colours(io.StringIO()))
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in text(SCAN, colours(Terminal()))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in text(SCAN, colours(Terminal()))
