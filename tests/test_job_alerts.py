"""A scan by a job, whose processes each end too soon to be told of: one alert, which names the job
and its leading programs."""

from __future__ import annotations

import json
from dataclasses import replace

from procwire.alert import GROWN, RAISED
from procwire.detect.judges import Judges
from procwire.episodes import Episodes
from procwire.event import Subject
from procwire.output.eve import Source, encode, record
from procwire.output.explanation import explanation
from procwire.output.text import text
from procwire.record import Process
from procwire.told import told_in
from test_alert import KEY, PARENT, SCANNER_PROCESS, SECOND, row

GROUP = "/docker-1"
LAST = (78 * SECOND, 4790, 2)
PROBE = replace(SCANNER_PROCESS, key=LAST, argv=("/tmp/x9", "10.0.0.30"), cgroup=GROUP)
OTHER = replace(PARENT, key=KEY, exe="/bin/sh", argv=("sh",))


def lookup(key: tuple[int, int, int]) -> tuple[Process, list[Process]] | None:
    known = {LAST: PROBE, KEY: OTHER}
    return (known[key], [PARENT]) if key in known else None


def of_a_job(number=77, kind=Subject.CGROUP, **figures):
    """A row of the kernel: two programs of a job, of which the second leads."""
    made = row(subject=kind, job=number, **figures)
    made["source"] = 0
    made["process"] = [(LAST[0], LAST[1], LAST[2])]
    programs = made["program"][0]
    programs[0]["process"], programs[0]["processes"], programs[0]["attempts"] = KEY, 1, 2
    programs[1]["process"], programs[1]["processes"], programs[1]["attempts"] = LAST, 23, 23
    return made


def scans(*rows):
    episodes = Episodes(lookup=lookup)
    return [
        alert
        for number, one in enumerate(rows)
        for alert in episodes.update(int(one["time_ns"][0]) + number, Judges().update(one))
    ]


def test_a_job_is_told_of_once_and_again_when_it_grows():
    later = of_a_job(attempts=250, hosts=250, host_ports=250)
    # Another of its processes leads now.
    later["process"] = [KEY]
    alerts = scans(of_a_job(), of_a_job(), later)
    assert [(one.state, one.count) for one in alerts] == [(RAISED, 25), (GROWN, 250)]
    assert len({one.episode for one in alerts}) == 1
    # A session of the same number is another job, and a process is no job.
    apart = scans(of_a_job(), of_a_job(kind=Subject.SESSION), of_a_job(number=78), row())
    assert len({one.episode for one in apart}) == 4


def test_its_record_names_the_programs_that_tried_most_first(tmp_path):
    (alert,) = scans(of_a_job())
    told = tmp_path / "eve.json"
    told.write_bytes(encode(record(alert, Source())))
    context = json.loads(told.read_text())["alert"]["context"]
    assert context["process"]["cmdline"] == "/tmp/x9 10.0.0.30"
    assert context["job"] == {
        "kind": "cgroup",
        "id": 77,
        "cgroup": GROUP,
        "programs": [
            {
                "processes": 23,
                "attempts": 23,
                "pid": 4790,
                "exe": "/tmp/x9",
                "cmdline": "/tmp/x9 10.0.0.30",
            },
            {"processes": 1, "attempts": 2, "pid": 4711, "exe": "/bin/sh", "cmdline": "sh"},
        ],
    }
    explained = explanation(told_in(told, alert.episode), None, None, 100, False)
    assert "processes of cgroup 77 /docker-1" in explained
    assert "23 with 23 attempts, last (pid 4790)  /tmp/x9 10.0.0.30" in explained


def test_its_line_says_how_many_processes_of_which_programs():
    (alert,) = scans(of_a_job(kind=Subject.SESSION))
    line = text(alert).splitlines()[0]
    assert "  24 processes of session 77 (/tmp/x9, /bin/sh) tried" in line


def test_a_program_that_is_forgotten_is_told_by_its_number():
    rows = of_a_job()
    rows["program"][0][0]["process"] = (1, 9, 9)
    (alert,) = scans(rows)
    (_, forgotten) = json.loads(encode(record(alert, Source())))["alert"]["context"]["job"][
        "programs"
    ]
    assert forgotten == {"processes": 1, "attempts": 2, "pid": 9, "exe": None, "cmdline": None}
