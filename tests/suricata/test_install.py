"""`procwire suricata install` and `uninstall` with real Suricatas and their own configuration."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import click.testing
import pytest
import real_suricata
from procwire.cli.main import procwire
from procwire.errors import ProcwireError, UsageError
from procwire.suricata import ruleset
from procwire.suricata.config_file import undone, with_item, with_value
from procwire.suricata.needs import ALWAYS, INLINE, Naming, as_lines, unmet
from procwire.suricata.program import Suricata, find

pytestmark = pytest.mark.suricata
PROCWIRE = Path(sys.executable).with_name("procwire")


class Site:
    """A Suricata with a configuration and a rule directory of the test's own."""

    def __init__(self, version: str, directory: Path) -> None:
        self.program = real_suricata.program(version)
        shipped = self.program.parent / "root" / "etc" / "suricata" / "suricata.yaml"
        if not shipped.exists():
            shipped = Path("/etc/suricata/suricata.yaml")
        self.rules = directory / "rules"
        self.rules.mkdir()
        (self.rules / "suricata.rules").write_text("")
        self.config = directory / "suricata.yaml"
        text = shipped.read_text().replace("/var/lib/suricata/rules", str(self.rules))
        text = text.replace("/etc/suricata/", f"{shipped.parent}/")
        self.config.write_text(text.replace("/var/log/suricata/", str(directory)))

    def call(self, command: str, *options: str) -> click.testing.Result:
        where = ["--suricata", str(self.program), "--config", str(self.config)]
        return click.testing.CliRunner().invoke(procwire, ["suricata", command, *where, *options])

    def found(self) -> Suricata:
        return find(str(self.program), self.config)


@pytest.fixture(params=real_suricata.VERSIONS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return Site(request.param, tmp_path)


def refusal(result: click.testing.Result) -> tuple[int, str]:
    assert isinstance(result.exception, ProcwireError), result.output
    return result.exception.exit_code, str(result.exception)


def files_of(directory: Path) -> set[Path]:
    return {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}


def test_installs_edits_and_undoes_itself(site: Site) -> None:
    before, others = site.config.read_text(), files_of(site.rules)
    assert site.call("install", "--write", "--drop").exception is None
    found = site.found()
    assert unmet(found, drop=True) == []
    assert found.loads(site.rules / "procwire.rules")
    assert found.test() == ""
    assert files_of(site.rules) == others | set(ruleset.ruleset())
    edited = site.config.read_text()
    assert site.call("install", "--write", "--drop").exception is None
    assert site.config.read_text() == edited
    assert site.call("uninstall").exception is None
    assert site.config.read_text() == before
    assert files_of(site.rules) == others


def test_leaves_the_configuration_alone(site: Site) -> None:
    before = site.config.read_text()
    result = site.call("install")
    assert site.config.read_text() == before
    if site.found().version[0] == 7:
        code, text = refusal(result)
        assert code == 4
        assert "security: {lua: {allow-rules: true}}" in text
        assert files_of(site.rules) == {Path("suricata.rules")}
    else:
        assert result.exception is None
        assert "packet-alert-max: 64" in result.output
        assert "community-id: true" in result.output
        assert "  - procwire.rules" in result.output
        assert Path("procwire.rules") in files_of(site.rules)


def test_adds_the_scripts_that_suricata_update_leaves_behind(site: Site) -> None:
    """It merges the rules of all sources into one file."""
    merged = ruleset.ruleset()[Path("procwire.rules")]
    (site.rules / "suricata.rules").write_text(merged)
    result = site.call("install", "--write")
    assert result.exception is None
    assert "suricata.rules holds the rules already" in result.output
    assert Path("procwire.rules") not in files_of(site.rules)
    assert site.found().test() == ""
    assert site.call("uninstall").exception is None
    assert files_of(site.rules) == {Path("suricata.rules")}


def test_rules_that_are_merged_after_an_installation_are_loaded_once(site: Site) -> None:
    assert site.call("install", "--write").exception is None
    merged = ruleset.ruleset()[Path("procwire.rules")]
    (site.rules / "suricata.rules").write_text(merged)
    assert "uplicate" in site.found().test()
    assert site.call("install", "--write").exception is None
    assert Path("procwire.rules") not in files_of(site.rules)
    assert not site.found().loads(site.rules / "procwire.rules")
    assert site.found().test() == ""


def test_nothing_stays_of_rules_that_suricata_refuses(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ruleset.ruleset() | {Path("lua/procwire/tls.lua"): "this is no Lua"}
    monkeypatch.setattr(ruleset, "ruleset", lambda drop: broken)
    before = site.config.read_text()
    code, text = refusal(site.call("install", "--write"))
    assert code == 4
    assert "refuses the rules" in text
    assert site.config.read_text() == before
    assert Path("procwire.rules") not in files_of(site.rules)


def test_a_full_disk_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ruleset, "write", write)
    code, text = refusal(site.call("install", "--write"))
    assert (code, text) == (
        4,
        f"cannot write {site.rules}: No space left on device; free space",
    )


def test_nothing_is_half_installed_by_an_interruption(site: Site, tmp_path: Path) -> None:
    """By force, while Suricata tests the rules, and then the configuration."""
    before, marker = site.config.read_text(), tmp_path / "waits"
    others = files_of(site.rules)
    for waits_for in (f"-S {site.rules}/.procwire", "draft-suricata.yaml"):
        # A Suricata that does not come to an end with its test.
        slow = tmp_path / "slow"
        slow.write_text(
            f"""#!/bin/sh
            case "$*" in *-T*"{waits_for}"*) echo $$ > {marker}; exec sleep 600;; esac
            exec {site.program} "$@"
            """
        )
        slow.chmod(0o755)
        options = ["--suricata", slow, "--config", site.config, "--write"]
        command = [PROCWIRE, "suricata", "install", *options]
        install = subprocess.Popen(list(map(str, command)))
        while not marker.exists() or not marker.read_text().strip():
            assert install.poll() is None, waits_for
            time.sleep(0.05)
        install.kill()
        install.wait(timeout=60)
        os.kill(int(marker.read_text()), signal.SIGKILL)
        marker.unlink()
        assert site.config.read_text() == before
        assert site.found().test() == ""
    assert site.call("install", "--write").exception is None
    assert unmet(site.found(), drop=False) == []
    assert site.call("uninstall").exception is None
    assert site.config.read_text() == before
    assert files_of(site.rules) == others
    assert [path.name for path in tmp_path.iterdir() if "draft" in path.name] == []


def test_a_refusal_leaves_what_was_installed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.call("install", "--write").exception is None
    installed = {path: (site.rules / path).read_text() for path in files_of(site.rules)}
    broken = ruleset.ruleset() | {Path("lua/procwire/tcp.lua"): "this is no Lua"}
    monkeypatch.setattr(ruleset, "ruleset", lambda drop: broken)
    assert refusal(site.call("install", "--write"))[0] == 4
    assert installed == {path: (site.rules / path).read_text() for path in files_of(site.rules)}


def test_an_edit_takes_nothing_away(site: Site, tmp_path: Path) -> None:
    """What an included file says of the same section is not replaced."""
    included = tmp_path / "local.yaml"
    included.write_text("%YAML 1.1\n---\nrule-files:\n  - suricata.rules\n")
    text = site.config.read_text().replace("rule-files:\n  - suricata.rules\n", "")
    before = f"{text}\ninclude:\n  - {included}\n"
    site.config.write_text(before)
    assert site.found().settings["rule-files.0"] == "suricata.rules"
    code, said = refusal(site.call("install", "--write"))
    assert code == 2
    assert "no longer read rule-files.*=suricata.rules" in said
    assert "by hand:" in said and "  - procwire.rules" in said
    assert site.config.read_text() == before
    assert files_of(site.rules) == {Path("suricata.rules")}


def test_leaves_what_others_made(site: Site) -> None:
    own = site.rules / "procwire.rules"
    own.write_text("# by somebody\n")
    code, text = refusal(site.call("install", "--write"))
    assert (code, f"{own} is not procwire's" in text) == (2, True)
    assert site.call("uninstall").exception is None
    assert own.read_text() == "# by somebody\n"


def test_lines_to_add_mean_what_the_edit_does(site: Site) -> None:
    """Written into a configuration of their own, as they are shown."""
    config = site.config.with_name("lines.yaml")
    lines = as_lines([*ALWAYS, *INLINE], Naming.ADD)
    by_reason = "\n".join(lines).split("# otherwise ")[1:]
    for need, shown in zip((*ALWAYS, *INLINE), by_reason, strict=False):
        config.write_text("%YAML 1.1\n---\n" + shown.partition("\n")[2])
        assert need.met(find(str(site.program), config)), shown


def test_says_what_is_missing(site: Site, tmp_path: Path) -> None:
    assert refusal(site.call("install", "--suricata", "no-such-program"))[0] == 4
    site.config.unlink()
    code, text = refusal(site.call("install"))
    assert (code, "--config" in text) == (2, True)


@pytest.mark.parametrize("described", ["Suricata version 6.0.10", "Suricata version 9.0.0", "nmap"])
def test_refuses_other_programs(tmp_path: Path, described: str) -> None:
    program = tmp_path / "other"
    program.write_text(f"#!/bin/sh\necho This is {described} RELEASE\n")
    program.chmod(0o755)
    command = ["suricata", "install", "--suricata", str(program)]
    assert refusal(click.testing.CliRunner().invoke(procwire, command))[0] == 4


LAYOUT = """%YAML 1.1
---
# first
outputs:
- fast:
    enabled: no
- eve-log:
    types:
      - alert
rule-files:
- a.rules
stream: {memcap: 64mb}
"""


def test_edits_can_be_undone() -> None:
    text = with_value(LAYOUT, ("security", "lua", "allow-rules"), "true")
    text = with_value(text, ("outputs", "- eve-log", "types", "- anomaly", "enabled"), "true")
    text = with_value(text, ("outputs", "- fast", "enabled"), "yes")
    text = with_item(text, "rule-files", "b.rules")
    plain = [line.removesuffix("  # procwire") for line in text.splitlines()]
    assert plain == [
        *LAYOUT.splitlines()[:5],
        "#procwire#     enabled: no",
        "    enabled: yes",
        "- eve-log:",
        "    types:",
        "      - anomaly:",
        "          enabled: true",
        "      - alert",
        "rule-files:",
        "- b.rules",
        "- a.rules",
        "stream: {memcap: 64mb}",
        "security:",
        "  lua:",
        "    allow-rules: true",
    ]
    assert undone(text) == LAYOUT


def test_refuses_what_it_cannot_follow() -> None:
    with pytest.raises(UsageError, match="line 12"):
        with_value(LAYOUT, ("stream", "drop-invalid"), "no")
