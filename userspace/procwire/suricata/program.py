"""The Suricata of this machine: its version, the configuration it runs with, its test run.

It is asked, never guessed at: the configuration is what `--dump-config` says, so that includes and
defaults are those of Suricata itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from procwire.errors import Unavailable, UsageError

# 7.0.3 brought the keyword that splits rules by version.
OLDEST, NEWEST = (7, 0, 3), 8
_TIME_LIMIT_S = 300
_YES = ("yes", "true", "on", "1")
_DEFAULT_CONFIG = Path("/etc/suricata/suricata.yaml")


@dataclass(frozen=True)
class Suricata:
    """An installed Suricata. version: (major, minor, patch); has_lua: whether it was built with
    it; settings: its configuration, dotted name -> value."""

    program: Path
    config: Path
    version: tuple[int, int, int]
    has_lua: bool
    settings: dict[str, str]

    @property
    def rule_directory(self) -> Path:
        """Where rules and scripts are looked for."""
        return Path(self.settings.get("default-rule-path", "/var/lib/suricata/rules"))

    @property
    def rule_files(self) -> list[Path]:
        """The rules files in its rule directory that it loads, patterns expanded."""
        names = [value for name, value in self.settings.items() if _is_item(name, "rule-files")]
        return [path for name in names for path in sorted(self.rule_directory.glob(name))]

    @property
    def allows_lua(self) -> bool:
        """Whether its configuration lets rules use Lua: 7 has to be told so, 8 not to."""
        allowed = self.settings.get(
            "security.lua.allow-rules", "no" if self.version[0] == 7 else "yes"
        )
        return is_yes(allowed)

    def loads(self, path: Path) -> bool:
        """Whether the configuration names the file of rules at `path`."""
        names = [value for name, value in self.settings.items() if _is_item(name, "rule-files")]
        return any(path.match(name) or path == self.rule_directory / name for name in names)

    def test(self, rules: Path | None = None, directory: Path | None = None) -> str:
        """What is wrong with the rules that it loads, or with `rules` in place of these; empty if
        nothing is. directory: to look for scripts in, in place of its own."""
        instead = ["-S", str(rules), "--set", "security.lua.allow-rules=true"] if rules else []
        if directory is not None:
            instead += ["--set", f"default-rule-path={directory}"]
        # A test run makes log files, which would be root's.
        with tempfile.TemporaryDirectory() as logs:
            command = [str(self.program), "-T", "-c", str(self.config), "-l", logs]
            done = _run([*command, *instead])
        if done.returncode == 0:
            return ""
        failed = re.findall(r"^(?:E|Error): .*$|.*<Error>.*$", done.stdout, re.MULTILINE)
        return "; ".join(failed)[:500] or done.stdout.strip()[-500:] or "it ended without a word"


def is_yes(value: str) -> bool:
    """Whether a setting is on, as Suricata reads it."""
    return value.lower() in _YES


def find(program: str, config: Path | None) -> Suricata:
    """The Suricata that `program` names, with its configuration.

    Raises Unavailable where there is none, or one that these rules are not for, UsageError for a
    configuration that it cannot read.
    """
    path = shutil.which(program)
    if path is None:
        raise Unavailable(
            f"no program {program}", "apt-get install suricata, or name it with --suricata"
        )
    described = _run([path, "--build-info"]).stdout
    match = re.search(r"Suricata version (\d+)\.(\d+)\.(\d+)", described)
    if match is None:
        raise Unavailable(f"{path} is no Suricata", "name one with --suricata")
    major, minor, patch = (int(number) for number in match.groups())
    version = major, minor, patch
    if version < OLDEST or major > NEWEST:
        raise Unavailable(
            f"{path} is Suricata {major}.{minor}.{patch}; the rules are for "
            f"{'.'.join(map(str, OLDEST))} to {NEWEST}.x",
            "install one of these, or name it with --suricata",
        )
    config = config or _DEFAULT_CONFIG
    has_lua = major > 7 or " HAVE_LUA" in described
    return Suricata(Path(path), config, version, has_lua, _settings(path, config))


def _settings(program: str, config: Path) -> dict[str, str]:
    if not config.is_file():
        raise UsageError(f"{config}: no such file; name Suricata's configuration with --config")
    done = _run([program, "--dump-config", "-c", str(config)])
    if done.returncode != 0:
        raise UsageError(f"{config}: Suricata cannot read it: {done.stdout.strip()[-300:]}")
    settings = {}
    for line in done.stdout.splitlines():
        name, separator, value = line.partition(" = ")
        if separator:
            settings[name] = "" if value == "(null)" else value
    return settings


def _is_item(name: str, sequence: str) -> bool:
    head, _, number = name.rpartition(".")
    return head == sequence and number.isdigit()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unavailable(f"{command[0]} does not run: {problem}", "repair it") from None
