"""What a watch and the commands say of what is learned, and what the commands decide of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import ENDS
from procwire.cli.context import tell_learning
from procwire.context import baseline
from procwire.context.store import MEMORY, Store
from procwire.detect.habits import DENIED, PENDING
from procwire.output.text import text
from test_baseline import AFTER, HOUR, NOW, Run, asks


def test_a_watch_follows_what_is_decided_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "context.db"
    with Store(path) as watched, Store(path) as command:
        run = Run(watched)
        run.sees(asks(1, 22))
        run.passes(0, HOUR)
        (seen,) = run.sees(asks(3, 443, AFTER))
        (alert,) = run.episodes.update(NOW, [seen])
        assert "x9" in text(alert)
        assert "procwire baseline pending" in text(alert)
        run.site.save()
        number = baseline.known(command, (PENDING,))[0].id
        baseline.decide(command, [number], DENIED, "ann")
        run.site.save()
        assert run.sees(asks(3, 443, AFTER + HOUR))[0].severity == 2
        run.site.save()
        assert baseline.known(command, (PENDING,)) == []


def test_a_watch_says_what_it_learns(capsys: pytest.CaptureFixture[str]) -> None:
    with Store(MEMORY) as store:
        tell_learning(store, 604_800)
        assert "usual in zone unknown: 0 s of 7 days" in capsys.readouterr().err
        run = Run(store)
        run.sees(asks(1, 22), asks(1, 22, src="10.20.0.7", dst="10.20.0.8"))
        run.passes(0, HOUR)
        run.site.save()
        tell_learning(store, 7200)
        assert "zone plant role plc: 60 min of 2 h" in capsys.readouterr().err
        tell_learning(store, 60)
        assert capsys.readouterr().err == ""


def test_the_commands(run, tmp_path: Path) -> None:
    context = tmp_path / "context.db"
    with Store(context) as store:
        site = Run(store)
        site.sees(asks(1, 22))
        site.passes(0, HOUR)
        site.sees(asks(3, 443, AFTER), asks(2, 80, AFTER))
        site.site.save()
    words = ["--context", context]
    shown = run("baseline", "show", *words).out
    assert "observed for 61 min: zone office" in shown
    assert "learned   program  /usr/bin/ssh in zone office  (once since" in shown
    waiting = json.loads(run("baseline", "pending", "--json", *words).out)
    assert {one["habit"]["program"] for one in waiting} == {"/tmp/x9", "/usr/bin/curl"}
    numbers = {
        one["habit"]["program"]: one["id"] for one in waiting if one["habit"]["kind"] == "program"
    }
    denied = run("baseline", "deny", numbers["/tmp/x9"], "--owner", "ann", *words)
    assert "denied" in denied.out
    assert "by ann" in denied.out
    assert run("baseline", "approve", numbers["/usr/bin/curl"], *words).code == 0
    empty = run("baseline", "pending", *words)
    assert (empty.out, empty.talk) == (
        "",
        "nothing waits: `procwire baseline show` lists what is known\n",
    )
    told = json.loads(run("baseline", "show", "--state", "denied", "--json", *words).out)
    assert {one["habit"]["program"] for one in told["habits"]} == {"/tmp/x9"}
    unknown = run("baseline", "approve", "99", *words)
    assert unknown.code == ENDS["usage"]
    assert "nothing has the number 99" in unknown.talk
