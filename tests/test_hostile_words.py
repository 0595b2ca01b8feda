"""Words that somebody else may have chosen, names of files above all, in every command: what is
said of them gives a terminal no orders, and ends as wrong use or damaged input does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from commands import ENDS
from procwire.output.printable import is_harmful

# Escape sequences of 7 and 8 bits, a carriage return, a bidirectional override, no UTF-8.
HOSTILE = "\x1b[31mX\r\n\u202e\x9b\udcff"


@pytest.fixture
def site(tmp_path: Path) -> dict[str, Path]:
    """Files and folders with such names."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    contents = {
        "garbage": "garbage\n",
        "settings.toml": '[sweep]\nknown_scanners = ["\\u001b[31m\\u202e\\u009b"]\n',
        "unknown.toml": '["\\u001b[31m\\u202e"]\nhosts = 3\n',
        "zones.csv": "zone,kind,network\n\x1b[31mX,it,10.0.0.0/8\n",
        "zones.toml": '[zones."\\u001b\\u202e"]\nkind = "it"\nnetworks = ["10.0.0.0/8"]\n',
        "stats.json": '{"event_type":"stats","timestamp":"\\u001b[2J","stats":{},'
        '"metadata":{"flowints":{"\\u001b[2J":3,"kernel.\\u001b\\u009b":4}}}\n',
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    return {"folder": folder, "none": folder / "none"} | {one: folder / one for one in contents}


def words_of(site: dict[str, Path], words: str) -> list[str | Path]:
    """HOSTILE for @, and the files of the site by their names."""
    return [site.get(word, word.replace("@", HOSTILE)) for word in words.split()]


@pytest.mark.parametrize(
    "words",
    [
        "@",
        "--@",
        "read --@",
        "read garbage",
        "read none",
        "read folder",
        "read -c garbage x",
        "read -c folder x",
        "read --context folder x",
        "read --context garbage x",
        "read --context none x",
        "read --set @=3 x",
        "read --set fanout.hosts=@ x",
        "read --set sweep.known_scanners=@ x",
        "read --format @ x",
        "read -o folder stats.json",
        "config check unknown.toml",
        "config check folder",
        "config check none",
        "config @",
        "explain @ stats.json",
        "explain F-1 garbage",
        "explain F-1 none",
        "explain F-1 folder",
        "coverage garbage",
        "coverage folder",
        "coverage none",
        "rules show @",
        "rules test @",
        "rules list @",
        "rules capture none/x",
        "rules capture folder",
        "rules build --root none",
        "inventory load zones.csv",
        "inventory load zones.toml",
        "inventory load none",
        "inventory show --context none",
        "baseline show --context none",
        "baseline pending --context none",
        "baseline approve @",
        "baseline approve 1 --owner @",
        "allow list --context none",
        "allow remove 1 --context none",
        "allow add --exe /@ --reason x --expires 1d",
        "allow add --user @ --reason x --expires 1d",
        "allow add --source @ --reason x --expires 1d",
        "allow add --port 1 --reason @ --expires 1d",
        "allow add --port 1 --owner @ --reason x --expires 1d",
        "allow add --port 1 --reason x --expires @",
        "tune --context none",
        "tune --per-week @",
        "tune --per-week nan",
        "enrich none",
        "enrich stats.json --history none",
        "suricata build garbage",
        "suricata @",
        "watch -i @",
        "watch @",
        "watch -i lo @",
        "watch --record garbage",
        "doctor @",
    ],
)
def test_wrong_words_are_refused_in_words_that_give_no_orders(run, site, words) -> None:
    ran = run(*words_of(site, words))
    assert ran.code in (ENDS["usage"], ENDS["damage"])
    assert [one for one in ran.out + ran.talk if one != "\n" and is_harmful(one)] == []
    assert not site["none"].exists()


@pytest.mark.parametrize(
    "words",
    [
        "config check settings.toml",
        "config show -c settings.toml",
        "config show --json -c settings.toml",
        "coverage stats.json",
        "coverage --json stats.json",
        "suricata build folder",
        "rules capture folder/broken.pcap",
        "enrich stats.json --history garbage",
    ],
)
def test_right_ones_are_shown_so(run, site, words) -> None:
    ran = run(
        *[
            site["folder"] / "broken.pcap" if "/" in one else site.get(one, one)
            for one in words.split()
        ]
    )
    assert ran.code == ENDS["nothing"]
    assert [one for one in ran.out + ran.talk if one != "\n" and is_harmful(one)] == []


def test_a_history_of_other_lines_is_told(run, site) -> None:
    ran = run("enrich", site["stats.json"], "--history", site["garbage"])
    assert "garbage: left out 1 line that no history has" in ran.talk


def test_settings_with_such_texts_are_read_again(run, site, tmp_path) -> None:
    shown = tmp_path / "again.toml"
    shown.write_text(run("config", "show", "-c", site["settings.toml"]).out)
    assert "\\U0000001b" not in run("config", "check", shown).talk
    assert run("config", "check", shown).out == run("config", "check", site["settings.toml"]).out


def test_entries_of_the_allowlist_give_no_orders(run, tmp_path) -> None:
    hostile = HOSTILE.encode(errors="replace").decode()
    words = ["--exe", f"/{hostile}", "--owner", hostile, "--reason", hostile, "--expires", "1d"]
    context = ["--context", tmp_path / "context.db"]
    for ran in (
        run("allow", "add", *words, *context),
        run("allow", "list", *context),
        run("allow", "list", "--json", *context),
        run("allow", "remove", "1", *context),
    ):
        assert (ran.code, ran.talk) == (ENDS["nothing"], "")
        assert [one for one in ran.out if one != "\n" and is_harmful(one)] == []
        assert ran.out.count("\n") == 1


def test_what_only_shows_a_context_makes_none(run, tmp_path) -> None:
    os.environ["STATE_DIRECTORY"], before = str(tmp_path), os.environ["STATE_DIRECTORY"]
    try:
        for words in ("allow list", "baseline show", "baseline pending", "inventory show", "tune"):
            assert run(*words.split()).code == ENDS["nothing"]
    finally:
        os.environ["STATE_DIRECTORY"] = before
    assert list(tmp_path.iterdir()) == []
