"""Random input of a live run: what the kernel tells and what interfaces bring, turn by turn, in odd
windows, with clocks that are set meanwhile. Everything follows from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from ipaddress import ip_address
from pathlib import Path
from random import Random

import numpy as np
from conversations import (
    ACCEPTED,
    FIN,
    NOBODY_ANSWERS,
    PSH,
    REFUSED,
    SECOND,
    START,
    URG,
    Conversations,
)
from frames import frame
from procwire.capture.batch import ETHERNET, PacketBatch
from procwire.event import (
    CONNECTION_EVENT,
    FANOUT_EVENT,
    FLAG_ANY_ADDRESS,
    FLAG_OLDER,
    FLOW_EVENT,
    PROCESS_EVENT,
    EventKind,
    FlowRole,
    Measure,
    Origin,
    Outcome,
    Subject,
)
from procwire.owners.translations import TRANSLATION
from procwire.record import Attempt, Process
from procwire.sensor.loader import SensorEvents, no_events
from procwire.settings import Settings

DAY = 86400 * SECOND
ME = "10.0.0.1"
HOME = Path("/proc/self/ns/net").stat().st_ino
INTERFACES = ("eth0", "eth1")
ROWS = ("start", "captured", "length", "time", "link", "cut")


@dataclass
class Turn:
    """What one turn of a run is given. now: the wall clock, set by set_by since the beginning, ns;
    packets: by interface."""

    now: int
    set_by: int
    events: SensorEvents
    translations: np.ndarray
    packets: dict[str, PacketBatch] = field(default_factory=dict)


class Mixture:
    """The turns of a run, drawn from `source`. settings: small tables, odd windows."""

    def __init__(self, source: Random, turns: int) -> None:
        self._source = source
        self.people = [self._process(number) for number in range(1, 6)]
        self.settings = Settings.model_validate(
            {
                "flows": {"capacity": 4096, "warm_up_s": source.choice((0.5, 5.0))},
                "contacts": {
                    "capacity": 512,
                    "timeout_s": source.choice((0.7, 3.0)),
                },
                "fanout": {
                    "windows_s": source.choice(((0.3, 1.7, 7.1), (1.0, 3.3, 11.0))),
                    "hosts": source.choice((7, 25)),
                    "subjects": 64,
                },
                "random_walk": {"sources": 64},
                "coverage": {"networks": 64},
                "episodes": {
                    "quiet_s": source.choice((1.3, 600.0)),
                    "per_rule": source.choice((1, 3, 512)),
                    "open": source.choice((8, 4096)),
                },
                "baseline": {"learning_s": source.choice((0.0, 4.0))},
            }
        )
        self.turns = list(self._turns(turns))

    def _turns(self, count: int) -> Iterator[Turn]:
        source, set_by, numbers = self._source, 0, dict.fromkeys(INTERFACES, 1)
        packets = {name: self._packets() for name in INTERFACES}
        length = max(1, max(len(one.time) for one in packets.values()) // count)
        clock = START
        for number in range(count):
            if source.random() < 0.3:
                set_by = source.choice((0, DAY, -DAY, 90 * SECOND, -SECOND))
            given = {}
            for name, whole in packets.items():
                part = slice(number * length, (number + 1) * length)
                if number == count - 1:
                    part = slice(number * length, None)
                rows = {one: getattr(whole, one)[part] for one in ROWS}
                if len(rows["time"]) and source.random() < 0.9:
                    rows["time"] = rows["time"] + set_by
                    given[name] = whole._replace(**rows, first=numbers[name])
                    numbers[name] += len(rows["time"])
            last = [int(one.time[-1]) for one in given.values()]
            clock = max([clock + SECOND // 50, *(one - set_by for one in last)])
            now = clock + set_by
            yield Turn(now, set_by, self._events(now), self._translated(), given)
            for _ in range(source.choice((0, 0, 2))):
                # Turns in which nothing happens, while the clock is somewhere else.
                idle = clock + source.choice((0, DAY, -DAY))
                yield Turn(idle, idle - clock, no_events(), self._translated()[:0])

    def _packets(self) -> PacketBatch:
        """Scans, conversations and what no program sends, with times that go back now and then."""
        source, talk = self._source, Conversations()
        for _ in range(source.randint(2, 6)):
            at, pause = source.uniform(0, 5), source.choice((0.001, 0.02, 0.3))
            who = source.choice((ME, ME, "10.0.0.9", "2001:db8::9"))
            port, outcome = source.choice((22, 445, 502)), source.choice((0, 0, 0, 1, 2))
            way = source.randrange(6)
            for number in range(source.choice((4, 12, 40))):
                there = f"10.20.0.{number + 1}" if ":" not in who else f"2001:db8:20::{number + 1}"
                when = at + number * pause
                if way == 0:
                    talk.connect(
                        when, who, there, port, (NOBODY_ANSWERS, REFUSED, ACCEPTED)[outcome % 3]
                    )
                elif way == 1:
                    talk.connect(when, who, _first(there), port + number, NOBODY_ANSWERS)
                elif way == 2:
                    talk.segment(when, (who, 50000, there, 80), FIN | PSH | URG)
                elif way == 3:
                    ends = (who, 40000 + number, there, 161)
                    talk.datagram(when, ends, payload=source.randbytes(12))
                    if source.random() < 0.5:
                        talk.unreachable(when + 0.01, there, ends)
                elif way == 4:
                    talk.echo(when, who, there, source.random() < 0.3)
                else:
                    talk.ask_neighbour(when, who, there, source.random() < 0.3)
        for _ in range(source.choice((0, 30, 120))):
            data, _, link = frame(source)
            if link == ETHERNET:
                talk.packets.append((source.uniform(0, 8), data))
        batch = talk.batch()
        time = batch.time.copy()
        for _ in range(source.choice((0, 0, 3, 40))):
            # Processors that receive at a time, and a clock that is wrong for one packet.
            time[source.randrange(len(time))] += source.choice(
                (-5_000_000, -SECOND, 2 * SECOND, DAY, -DAY)
            )
        return batch._replace(time=time)

    def _events(self, now: int) -> SensorEvents:
        source = self._source
        return SensorEvents(
            process=self._some(PROCESS_EVENT, now, self._life),
            socket=no_events().socket,
            connection=self._some(CONNECTION_EVENT, now, self._connection),
            fanout=self._some(FANOUT_EVENT, now, self._fanout),
            flow=self._some(FLOW_EVENT, now, self._flow, source.choice((2, 40))),
        )

    def _some(self, dtype, now, fill, most=12) -> np.ndarray:
        rows = np.zeros(self._source.randint(0, most), dtype)
        for at in range(len(rows)):
            one = rows[at : at + 1]
            one["time_ns"] = now - self._source.randrange(SECOND)
            one["process"] = self._key()
            fill(one)
        return rows

    def _key(self) -> tuple[int, int, int]:
        return self._source.choice(self.people).key

    def _process(self, number: int) -> Process:
        hostile = ("\x1b[2J\udcff", "-sS", "ü\n")
        exe = f"/tmp/{number}"
        return Process(
            (number * SECOND, 2**22 + number, 1),
            (SECOND, 2**22 + 1, 1),
            START - self._source.choice((1, 300)) * SECOND,
            33,
            "www-data",
            exe,
            (exe, self._source.choice(hostile)),
            exe[-1],
            "/",
            self._source.choice((None, "/", "/docker/a")),
            None,
            "snapshot",
        )

    def _life(self, row) -> None:
        source = self._source
        row["kind"] = source.choice((EventKind.FORK, EventKind.EXEC, EventKind.EXIT))
        row["parent"] = self._key()
        started, pid, executed = self._key()
        if row["kind"] == EventKind.FORK:
            started, pid = started + source.randrange(1000), pid + 100 * source.randrange(9)
        elif row["kind"] == EventKind.EXEC:
            executed += 1
        row["process"] = (started, pid, executed)
        text = b"/tmp/new\0-a\x1b\xff\0"
        row["argv_size"], row["argv"], row["exe"] = len(text), text, b"/tmp/new"
        row["comm"], row["uid"] = b"new", 1000
        if row["kind"] != EventKind.EXIT:
            self.people.append(with_fields(self.people[0], key=(started, pid, executed)))

    def _connection(self, row) -> None:
        source = self._source
        row["family"], row["protocol"] = 4, source.choice((6, 6, 17, 1))
        row["origin"] = source.choice((Origin.CONNECT, Origin.SENDMSG, Origin.RAW))
        row["outcome"] = source.choice([one for one in Outcome if one != Outcome.PENDING])
        row["source_port"], row["destination_port"] = source.randrange(65536), 445
        row["source"], row["destination"] = _bytes(ME), _bytes(self._host())
        row["kind"], row["net_namespace"] = EventKind.CONNECTION, HOME

    def _fanout(self, row) -> None:
        source = self._source
        figure = source.choice((8, 40, 300, 5000))
        refused = source.randrange(figure + 1)
        row["subject"] = source.choice((Subject.PROCESS, Subject.PROCESS, *Subject))
        row["attempt"] = source.choice((Attempt.CONNECT, Attempt.CONNECT, *Attempt))
        row["measure"] = source.choice((0, *Measure))
        row["window_ns"] = source.choice(self.settings.fanout.windows_ns)
        row["first_ns"] = row["window_start_ns"] = row["time_ns"] - row["window_ns"] // 2
        row["attempts"], row["refused"], row["failures"] = figure, refused, refused
        row["hosts"], row["host_ports"] = source.choice(((figure, figure), (1, figure)))
        row["sequential_run"] = source.choice((1, figure))
        row["job"], row["origin"], row["samples"] = source.randrange(3), Origin.CONNECT, 1
        row["job_kind"] = source.choice((0, Subject.SESSION, Subject.CGROUP))
        row["program"]["process"] = self._key()
        row["program"]["processes"] = row["program"]["attempts"] = 4
        for name in ("first", "last", "sample"):
            row[name]["address"] = _bytes(self._host())
            row[name]["port"], row[name]["protocol"] = 445, 6

    def _flow(self, row) -> None:
        source = self._source
        row["kind"], row["role"] = EventKind.FLOW, source.choice(list(FlowRole))
        row["flags"] = source.choice((0, 0, FLAG_OLDER, FLAG_ANY_ADDRESS))
        row["net_namespace"] = source.choice((HOME, HOME, HOME, HOME + 1))
        row["protocol"] = source.choice((6, 6, 17, 0))
        row["source"], row["destination"] = _bytes(ME), _bytes(self._host())
        row["source_port"] = source.choice((50000, 32768 + source.randrange(40)))
        row["destination_port"] = source.choice((22, 80, 445))

    def _translated(self) -> np.ndarray:
        rows = np.zeros(self._source.choice((0, 0, 3)), TRANSLATION)
        rows["outer"], rows["inner"] = self._source.randrange(9), self._source.randrange(9)
        return rows

    def _host(self) -> str:
        return f"10.20.0.{self._source.randint(1, 40)}"


def _first(address: str) -> str:
    """One target for all."""
    return "2001:db8:20::1" if ":" in address else "10.20.0.1"


def _bytes(address: str) -> np.ndarray:
    return np.frombuffer(bytes(10) + b"\xff\xff" + ip_address(address).packed, np.uint8)
