"""A scan by a job, of whose processes each stays below the thresholds: one alert, which names the
job and its leading programs, whichever of its processes is told of as well."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from procwire.alert import CLOSED, GROWN, RAISED
from procwire.detect.fanout_detectors import FanoutDetectors
from procwire.episode_records import told_in
from procwire.episodes import Episodes
from procwire.event import Measure, Subject
from procwire.output.eve import Source, encode, record
from procwire.output.explanation import explanation
from procwire.output.text import text
from procwire.record import Attempt, Process
from test_alert import KEY, PARENT, SCANNER_PROCESS, SECOND, START, row

GROUP = "/docker-1"
LAST = (78 * SECOND, 4790, 2)
PROBE = replace(SCANNER_PROCESS, key=LAST, argv=("/tmp/x9", "10.0.0.30"), cgroup=GROUP)
OTHER = replace(PARENT, key=KEY, exe="/bin/sh", argv=("sh",))


def lookup(key: tuple[int, int, int]) -> tuple[Process, list[Process]] | None:
    known = {LAST: PROBE, KEY: OTHER, WORKER: replace(PROBE, key=WORKER)}
    known[STRANGER] = replace(OTHER, key=STRANGER, exe="/usr/bin/nmap")
    known[ELSEWHERE] = replace(PROBE, key=ELSEWHERE, cgroup="/docker-2")
    return (known[key], [PARENT]) if key in known else None


def of_a_job(number=77, kind=Subject.CGROUP, **figures):
    """A row of the kernel: two programs of a job, of which the second leads."""
    figures = {"measure": Measure.HOSTS} | figures
    made = row(subject=kind, job_kind=kind, job=number, **figures)
    made["source"] = 0
    made["process"] = [(LAST[0], LAST[1], LAST[2])]
    programs = made["program"][0]
    programs[0]["process"], programs[0]["processes"], programs[0]["attempts"] = KEY, 1, 2
    programs[1]["process"], programs[1]["processes"], programs[1]["attempts"] = LAST, 23, 23
    return made


def of_a_process(key, number=77, kind=Subject.CGROUP, **figures):
    """A row of the kernel: a process of the job."""
    made = row(job_kind=kind, job=number, measure=Measure.HOSTS, **figures)
    made["source"] = 0
    made["process"] = [key]
    return made


def scans(*rows, known=lookup):
    episodes = Episodes(lookup=known)
    return [
        alert
        for number, one in enumerate(rows)
        for alert in episodes.update(int(one["time_ns"][0]) + number, FanoutDetectors().update(one))
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


# The second runs what leads in the job, the third what nobody else does.
SHELL, WORKER, STRANGER = KEY, (79 * SECOND, 4791, 2), (80 * SECOND, 4792, 2)
# It runs what leads in the job, in another container.
ELSEWHERE = (81 * SECOND, 4793, 2)


def test_a_process_that_had_begun_when_its_job_was_told_is_no_scan_of_its_own():
    """Such as the shell whose children ended when the job's figures were enough."""
    told = scans(of_a_job(), of_a_process(STRANGER, first_ns=START - SECOND))
    assert [(one.state, one.job is not None) for one in told] == [(RAISED, True)]
    later = scans(of_a_job(), of_a_process(STRANGER, first_ns=START + SECOND))
    assert [one.job is not None for one in later] == [True, False]


def test_a_worker_of_the_leading_program_is_part_of_its_job_whenever_it_began():
    worker = of_a_process(WORKER, first_ns=START + SECOND, time_ns=START + 9 * SECOND)
    assert len({one.episode for one in scans(of_a_job(), worker)}) == 1
    # Of another job, or of a kind that the job was not told of.
    apart = of_a_process(WORKER, number=78, first_ns=START + SECOND)
    assert len({one.episode for one in scans(of_a_job(), apart)}) == 2
    pings = of_a_process(WORKER, first_ns=START + SECOND, attempt=Attempt.ECHO, failures=25)
    assert len({one.episode for one in scans(of_a_job(), pings)}) == 2


def test_a_job_whose_leading_program_is_told_of_by_a_process_is_the_same_scan():
    first, job = scans(of_a_process(WORKER), of_a_job(attempts=250, hosts=250, host_ports=250))
    assert (first.job, job.state, job.episode) == (None, GROWN, first.episode)
    assert job.job is not None
    assert job.process.key == WORKER
    # A shell that is told of by itself leads in no job of probes.
    assert len({one.episode for one in scans(of_a_process(SHELL), of_a_job())}) == 2


def test_a_new_worker_that_is_seen_to_fail_is_part_of_its_job():
    """Its detector knows the process, and nothing of jobs."""
    worker = of_a_process(WORKER, first_ns=START + SECOND)
    worker["job_kind"] = worker["job"] = 0
    assert len({one.episode for one in scans(of_a_job(), worker)}) == 1
    elsewhere = of_a_process(ELSEWHERE, first_ns=START + SECOND)
    elsewhere["job_kind"] = elsewhere["job"] = 0
    assert len({one.episode for one in scans(of_a_job(), elsewhere)}) == 2


@pytest.mark.parametrize("cgroup", [None, "/"])
@pytest.mark.parametrize(("parent", "episodes"), [((1, 1, 1), 1), ((2, 2, 2), 2)])
def test_without_a_container_who_has_the_same_parent_is_part_of_the_job(cgroup, parent, episodes):
    def known(key):
        worker = replace(PROBE, cgroup=cgroup, key=WORKER, parent=parent)
        return {LAST: replace(PROBE, cgroup=cgroup), KEY: OTHER, WORKER: worker}[key], [PARENT]

    worker = of_a_process(WORKER, first_ns=START + SECOND)
    worker["job_kind"] = worker["job"] = 0
    assert len({one.episode for one in scans(of_a_job(), worker, known=known)}) == episodes


def test_workers_that_come_after_the_job_was_added_to_one_of_them_are_added_as_well():
    later = of_a_process(LAST, first_ns=START + SECOND, time_ns=START + SECOND)
    told = scans(of_a_process(WORKER), of_a_job(), later, of_a_job())
    assert len({one.episode for one in told}) == 1


def test_processes_of_one_job_that_are_told_of_are_scans_of_their_own():
    assert len({one.episode for one in scans(of_a_process(WORKER), of_a_process(LAST))}) == 2


def test_totals_of_a_window_raise_nothing():
    assert scans(of_a_job(measure=0)) == []
    totals = of_a_job(measure=0, attempts=90, time_ns=START + SECOND)
    episodes = Episodes(lookup=lookup)
    for one in (of_a_job(), totals):
        episodes.update(int(one["time_ns"][0]), FanoutDetectors().update(one))
    (closed,) = episodes.close()
    assert (closed.state, closed.count) == (CLOSED, 90)


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


def test_where_one_process_tried_most_its_line_begins_with_it():
    """Whoever scans from a terminal in which much was done before makes its session cross first."""
    rows = of_a_job(kind=Subject.SESSION)
    rows["program"][0][1]["processes"], rows["program"][0][0]["processes"] = 1, 4
    (alert,) = scans(rows)
    line = text(alert).splitlines()[0]
    assert "  /tmp/x9 (pid 4790, www-data) with 4 more of session 77 tried" in line
    rows["program"][0][0]["attempts"] = 9
    assert "  5 processes of session 77 (/tmp/x9, /bin/sh) tried" in text(*scans(rows))


def test_a_job_of_one_process_is_that_process():
    rows = of_a_job(kind=Subject.SESSION)
    rows["program"][0][1]["processes"] = 1
    rows["program"][0][0] = np.zeros((), rows["program"].dtype)
    (alert,) = scans(rows)
    assert "  /tmp/x9 (pid 4790, www-data) of session 77 tried" in text(alert).splitlines()[0]


def test_a_program_that_is_forgotten_is_told_by_its_number():
    rows = of_a_job()
    rows["program"][0][0]["process"] = (1, 9, 9)
    (alert,) = scans(rows)
    (_, forgotten) = json.loads(encode(record(alert, Source())))["alert"]["context"]["job"][
        "programs"
    ]
    assert forgotten == {"processes": 1, "attempts": 2, "pid": 9, "exe": None, "cmdline": None}
