"""What was not seen, and what cannot be, by name and reason: part of every answer to "was there a
scan?".

What a run lost is in its counters, which also say by whom the sensor was loaded and without which
hooks, so that its statistics alone tell its coverage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from procwire.sensor.blind_spots import WIRE_SPOTS, BlindSpot, of_programs
from procwire.sensor.counters import EXPLANATIONS

LOSSES = (
    "lost",
    "dropped",
    "evicted",
    "overflow",
    "unsaved",
    "unwritten",
    "stopped",
    "malformed",
)
ON_PURPOSE = ("skipped",)
"""Words in the names of counters: what a run did not see, and what it left out on purpose."""

_FOUND_IN_PACKETS = ("decode.", "layers.", "episodes.rule.", "episodes.severity.")
_KERNEL, _LOADED_BY, _WITHOUT = "kernel.", "kernel.loaded_by.", "kernel.without."
_MEANINGS = {
    **{f"{_KERNEL}{counter.label}": meaning for counter, meaning in EXPLANATIONS.items()},
    "output.lost": "alerts for which there was no room where results are written",
    "capture.*.dropped": "packets that came faster than they were read",
    "capture.*.stopped": "times that the interface went down: its packets were not captured",
    "not_captured.*": "the interface is up, and its packets were not captured: add -i",
    "decode.*": "packets that were decoded no further",
    "layers.tls": "what TLS carries behind the handshake is encrypted",
    "layers.ssh": "what SSH carries behind the handshake is encrypted",
    "fragments.*": "datagrams whose fragments were not put together",
    "contacts.one_sided": "attempts of sources whose answers are not captured",
    "contacts.*": "attempts whose outcome was forgotten to bound memory",
    "flows.one_sided": "connections of which one direction was captured",
    "flows.midstream": "connections whose beginning was not captured",
    "flows.streams_evicted": "streams forgotten before their end to bound memory",
    "flows.gaps_skipped": "gaps in streams: their bytes were not captured",
    "flows.sync_lost": "places in streams where a message should begin and none does",
    "flows.messages_overflowing": "messages judged by their beginning: longer than is kept",
    "flows.forgotten": "questions forgotten before their answer to bound memory",
    "processes.evicted": "ended processes forgotten to bound memory",
    "correlate.evicted": "whose a flow is, forgotten to bound memory: the oldest connections",
    "correlate.translations_evicted": "translated flows forgotten to bound memory",
    "correlate.translations_lost": "times when more translated flows began than the kernel keeps",
    "correlate.originated_none": "flows that this host began and whose process is not known",
    "correlate.accepted_none": "connections that this host took and whose process is not known",
    "correlate.alerts_none": "alerts on flows of this host whose process is not known",
    "correlate.alerts_forgotten": "alerts on flows whose process was known and is forgotten",
    "context.learning": "roles and zones still learned: what is new there is not told",
    "context.pending": "first-seen things that nobody has approved or denied",
    "context.suppressed": "alerts that allowlist entries kept back",
    "context.habitual": "alerts of scans kept back, for which their programs are known here",
    "context.expired": "alerts told because the allowlist entry that expects them has expired",
    "context.unsaved": "writes of the context that failed",
    "record.stopped": "the record ends before the run: it could not be written",
    "history.unwritten": "lines of the history that could not be written",
    "records.malformed": "records that could not be read",
    "records.out_of_time": "records that counted at another time than their own",
    "*.overflow": "not counted for want of room",
    "*evicted": "forgotten to bound memory",
}
_NO_SENSOR = BlindSpot("processes", "the run had no sensor, packets alone name none")


@dataclass(frozen=True)
class Unseen:
    """A counter of a run that says what was not looked at. meaning: for people, empty where the
    name has to do."""

    name: str
    count: int
    meaning: str


@dataclass(frozen=True)
class Coverage:
    """loader: who loaded the programs, empty if nobody; missing_hooks: sections of those for which
    the kernel had no hook; lost: counters, of those that are not 0; left_out: the same, on purpose;
    not_seen: what could not be seen."""

    loader: str
    missing_hooks: tuple[str, ...]
    lost: tuple[Unseen, ...]
    left_out: tuple[Unseen, ...]
    not_seen: tuple[BlindSpot, ...]


def circumstances(loader: str, left_out: Iterable[str]) -> dict[str, int]:
    """Counters that say who loaded the programs and without which hooks."""
    return {f"{_LOADED_BY}{loader}": 1, **{f"{_WITHOUT}{section}": 1 for section in left_out}}


def of_run(counters: Mapping[str, int]) -> Coverage:
    """What the counters of a run, circumstances among them, say that it did not see."""
    loader = next(iter(_named(counters, _LOADED_BY)), "")
    missing = tuple(_named(counters, _WITHOUT))
    not_seen = of_programs(loader, missing) if loader else (_NO_SENSOR,)
    if counters.get("packets"):
        not_seen += WIRE_SPOTS
    lost, left_out = (
        tuple(Unseen(name, n, meaning_of(name)) for name, n in counting(counters, words).items())
        for words in (LOSSES, ON_PURPOSE)
    )
    return Coverage(loader, missing, lost, left_out, not_seen)


def counting(counters: Mapping[str, int], words: Iterable[str]) -> dict[str, int]:
    """Counters that are not 0 and have one of the words in their names."""
    return {
        name: count
        for name, count in counters.items()
        if count
        and not name.startswith(_FOUND_IN_PACKETS)
        and any(word in name.partition(".")[2] for word in words)
    }


def _named(counters: Mapping[str, int], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in counters if name.startswith(prefix)]


def meaning_of(name: str) -> str:
    """What a counter of something not seen says, for people; empty where its name has to do."""
    return next((said for known, said in _MEANINGS.items() if fnmatchcase(name, known)), "")
