"""What comes for the first time: learned for a while, then told once and kept waiting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from procwire.config import load
from procwire.context import baseline
from procwire.context.inventory import Inventory, replace_all
from procwire.context.site import Site
from procwire.context.store import MEMORY, Store
from procwire.detect.detector import FIRST_FLOW, FIRST_PROGRAM, FIRST_SERVICE, FIRST_USE
from procwire.detect.habits import APPROVED, LEARNED, PENDING, Habits
from procwire.detect.surroundings import Surroundings
from procwire.episodes import Episodes
from procwire.event import Origin, Outcome
from procwire.record import Process
from test_surroundings import NOW, SECOND, SITE, UDP, connections

HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
LEARNING = ["baseline.learning_s=3600"]
PYTHON = "/usr/bin/python3.11"
PROGRAMS = {1: "/usr/bin/ssh", 2: "/usr/bin/curl", 3: "/tmp/x9", 4: ""}
# What an interpreter was given, by the whole pid.
SCRIPTS = {101: "/opt/poller.py", 102: "/tmp/b.py"}
FAR = "10.20.0.7"


def lookup(key):
    started, pid, _ = key
    script = SCRIPTS.get(pid)
    exe = PYTHON if script else PROGRAMS.get(pid % 10)
    if exe is None:
        return None
    name = exe.rpartition("/")[2]
    argv = (name, script) if script else (name,)
    process = Process(
        key, (0, 0, 0), started, 0, "root", exe, argv, name, None, None, None, "kernel"
    )
    return process, ()


def asks(pid: int, port: int = 443, after: int = 0, **named: object) -> dict[str, object]:
    """A process's connection from 10.10.0.5 to 10.10.0.9, within the office; no process for 0."""
    return {
        "src": "10.10.0.5",
        "dst": "10.10.0.9",
        "dst_port": port,
        "process": (1, pid, 1) if pid else (0, 0, 0),
        "origin": Origin.CONNECT,
        "outcome": Outcome.ESTABLISHED,
        "time": NOW + after,
        **named,
    }


class Run:
    """One run of procwire over a store."""

    def __init__(self, store: Store, inventory: Inventory = SITE) -> None:
        replace_all(store, inventory)
        self.site = Site(store)
        self.store = store
        self.surroundings = Surroundings(load(overrides=LEARNING), self.site.known, lookup)
        self.episodes = Episodes(lookup=lookup, admit=self.site.admit)

    def sees(self, *rows: dict[str, object], batch: int = 1000):
        made = connections(*rows)
        parts = [made[start : start + batch] for start in range(0, len(made), batch)]
        return [seen for part in parts for seen in self.surroundings.update(part)]

    def passes(self, start: int, length: int) -> None:
        """Observe for a while, with a packet every half minute that shows nothing."""
        times = range(start, start + length + 1, 30 * SECOND)
        rows = [asks(0, after=time, dst_port=0, outcome=Outcome.REFUSED) for time in times]
        assert self.sees(*rows) == []


@pytest.fixture
def store():
    with Store(MEMORY) as opened:
        yield opened


def knowing(store: Store) -> Run:
    """ssh uses SSH and curl HTTP, which was learned."""
    run = Run(store)
    assert run.sees(asks(1, 22), asks(2, 443)) == []
    run.passes(0, HOUR)
    return run


@pytest.fixture
def learned(store: Store) -> Run:
    return knowing(store)


def detectors(found) -> list[object]:
    return [one.detector.id for one in found]


def states(run: Run) -> dict[tuple[str, str], str]:
    run.site.save()
    return {(one.habit.kind, one.habit.program): one.state for one in baseline.known(run.store)}


AFTER = HOUR + 60 * SECOND


def test_what_is_usual_is_silent(learned: Run) -> None:
    assert learned.sees(asks(1, 22, AFTER), asks(2, 443, AFTER)) == []
    assert set(states(learned).values()) == {LEARNED}


def test_a_script_is_a_program_of_its_own(store: Store) -> None:
    run = Run(store)
    run.sees(asks(101, 443))
    run.passes(0, HOUR)
    assert run.sees(asks(101, 443, AFTER)) == []
    (told,) = run.sees(asks(102, 443, AFTER))
    assert told.detector.id == FIRST_PROGRAM.id
    assert told.evidence[0].value == "/tmp/b.py in zone office"
    assert states(run)["program", "/opt/poller.py"] == LEARNED
    assert states(run)["program", "/tmp/b.py"] == PENDING


@pytest.mark.parametrize(
    ("row", "expected", "thing"),
    [
        (asks(3, 443), FIRST_PROGRAM, "/tmp/x9 in zone office"),
        (asks(3, 443, outcome=Outcome.REFUSED), FIRST_PROGRAM, "/tmp/x9 in zone office"),
        (asks(2, 22), FIRST_SERVICE, "/usr/bin/curl speaks ssh in zone office"),
        (asks(2, 8443), FIRST_USE, "/usr/bin/curl asks zone office for tcp/8443 in zone office"),
        (asks(2, 443, protocol=UDP), FIRST_USE, "/usr/bin/curl asks zone office for udp/443 "),
        (asks(2, 4444), FIRST_USE, "tcp/4444"),
        (asks(2, 50_000), FIRST_USE, "tcp, any port"),
        (asks(0, 80, dst=FAR), FIRST_FLOW, "zone office asks zone plant for tcp/80"),
    ],
)
def test_what_is_new_is_told_once_and_waits(
    learned: Run, row: dict[str, object], expected, thing: str
) -> None:
    row = row | {"time": NOW + AFTER}
    (seen,) = learned.sees(row, row)
    assert seen.detector.id == expected.id
    told = {one.name: one.value for one in seen.evidence}
    assert thing in str(told["thing"])
    assert told["state"] == PENDING
    assert learned.sees(row) == []
    learned.site.save()
    (waiting,) = [one for one in baseline.known(learned.store) if one.state == PENDING][:1]
    assert waiting.habit.kind == expected.id.removeprefix("first_seen.").removeprefix("zone_")
    later = Run(learned.store)
    assert later.sees(row | {"time": NOW + 9 * DAY}) == [], "nor by the next run"
    later.site.save()
    assert baseline.known(learned.store, (PENDING,))[0].state == PENDING


@pytest.mark.parametrize(
    "row",
    [
        asks(3, dst="127.0.0.1"),
        asks(3, dst="::1", src="::1"),
        asks(3, dst="10.10.0.5"),
        asks(3, src="0.0.0.0"),
        asks(4),
        asks(5),
        asks(2, 22, outcome=Outcome.REFUSED),
        asks(2, 8443, outcome=Outcome.TIMED_OUT),
        asks(0, 80, dst=FAR, outcome=Outcome.TIMED_OUT),
        asks(0, 80, dst=FAR, origin=Origin.WIRE, outcome=Outcome.PENDING),
        asks(0, 80),
    ],
)
def test_what_is_no_habit(learned: Run, row: dict[str, object]) -> None:
    assert learned.sees(row | {"time": NOW + AFTER}) == []
    assert PENDING not in states(learned).values()


def test_a_new_program_tells_of_itself_alone(learned: Run) -> None:
    ports = [22, 443, 8443, 4444]
    seen = learned.sees(*(asks(3, port, AFTER, dst=FAR) for port in ports))
    assert detectors(seen) == ["first_seen.program", *["first_seen.zone_flow"] * 4]
    learned.site.save()
    (number,) = [
        one.id for one in baseline.known(learned.store, (PENDING,)) if one.habit.kind == "program"
    ]
    decided = baseline.decide(learned.store, [number], APPROVED, "ann")
    assert {one.habit.kind for one in decided} == {"program", "service", "use"}
    assert {one.state for one in decided} == {APPROVED}
    assert {one.decided_by for one in decided} == {"ann"}
    assert {one.habit.kind for one in baseline.known(learned.store, (PENDING,))} == {"flow"}


def test_learning_takes_observation_and_not_a_date(store: Store) -> None:
    run = Run(store)
    run.sees(asks(1, 22))
    # The clock jumps a day, back again, and the sensor was off for a week.
    run.sees(asks(0, after=DAY), asks(0, after=1), asks(0, after=60 * SECOND))
    assert run.sees(asks(2, 443, after=61 * SECOND)) == [], "it still learns"
    run.site.save()
    run = Run(store)
    assert run.sees(asks(3, 443, after=8 * DAY)) == [], "and does so in the next run"
    run.passes(8 * DAY, HOUR)
    assert detectors(run.sees(asks(3, 445, after=8 * DAY + 2 * HOUR))) == ["first_seen.service"]
    (observed,) = baseline.learned(store)
    assert observed.observed_s < 600
    run.site.save()
    assert 3600 <= baseline.learned(store)[0].observed_s < 4000


def test_each_role_and_zone_learns_by_itself(learned: Run) -> None:
    plc = {"src": "10.20.0.7", "dst": "10.20.0.8", "after": AFTER}
    assert learned.sees(asks(3, 502, **plc)) == [], "a plc has only begun"
    assert detectors(learned.sees(asks(3, 502, AFTER))) == ["first_seen.program"]
    learned.site.save()
    by_group = {(one.role, one.zone): one.observed_s for one in baseline.learned(learned.store)}
    assert set(by_group) == {("", "office"), ("plc", "plant")}
    assert by_group["plc", "plant"] < 1 < by_group["", "office"]


def test_a_replay_learns_nothing_for_good(learned: Run, tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    with Store(path) as kept:
        replace_all(kept, SITE)
        baseline.keep(kept, learned.site.known.habits)
    for _ in range(2):
        with Store(path, read_only=True) as frozen:
            site = Site(frozen)
            again = Surroundings(load(overrides=LEARNING), site.known, lookup)
            assert detectors(again.update(connections(asks(3, 443, AFTER)))) == [
                "first_seen.program"
            ]


def test_more_programs_than_habits_are_one(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr("procwire.detect.habits.MOST", 4)
    habits = Habits()
    numbers = [habits.word(f"/tmp/{n}") for n in range(20)]
    assert numbers == [*range(1, 8), *[0] * 13]
    assert habits.word("/tmp/3") == 4


def test_nothing_new_is_nothing_to_write(tmp_path: Path) -> None:
    with Store(tmp_path / "context.db") as watched, Store(tmp_path / "context.db") as other:
        run = Run(watched)
        run.sees(asks(1, 22), asks(1, 22, SECOND))
        run.site.save()
        assert other.changed()
        run.site.save()
        assert not other.changed()


ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([22, 80, 443, 4444, 50_000]),
        st.sampled_from([0, 1, 59, 61, 3000, 86_400, -86_400]),
        st.sampled_from(["10.10.0.9", FAR]),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(rows=ROWS, cut=st.integers(1, 9))
def test_batches_change_nothing_and_nothing_new_is_lost(rows, cut: int) -> None:
    times = np.cumsum([step for _, _, step, _ in rows]) * SECOND
    made = [
        asks(pid, port, int(time), dst=dst)
        for (pid, port, _, dst), time in zip(rows, times, strict=True)
    ]
    outcomes = []
    for batch in (cut, 1000):
        with Store(MEMORY) as store:
            run = Run(store)
            told = [(one.time, one.evidence) for one in run.sees(*made, batch=batch)]
            run.site.save()
            listed = baseline.known(store)
            kept = {(one.habit, one.state, one.count, one.first, one.last) for one in listed}
            outcomes.append((sorted(told, key=repr), kept))
            programs = {one.habit.program for one in listed if one.habit.kind == "program"}
            assert programs == {PROGRAMS[pid] for pid, *_ in rows}
    assert outcomes[0] == outcomes[1]
