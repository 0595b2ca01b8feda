"""Puts rules and scripts where a Suricata loads them, and takes them away again.

Strategy: everything is made beside its place, shown to Suricata there, and renamed once it passes:
whatever interrupts this leaves what there was. Nothing else is touched, unless the configuration
shall be edited: then only lines that bear a mark (config_file.py).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from procwire.compiler import HEADLINE
from procwire.compiler.to_suricata import GATE_SID, RULES_FILE, SCRIPTS
from procwire.errors import Unavailable, UsageError
from procwire.output.lines import NO_ROOM
from procwire.suricata import config_file, ruleset
from procwire.suricata.needs import LUA, Naming, Need, as_lines, edited, unmet
from procwire.suricata.program import Suricata, find

# What an interruption by force leaves behind, until the next run.
_DRAFT = ".procwire-draft-"


class Installed(NamedTuple):
    """paths: the files written; merged: the rules file that had the rules already, if any, as
    suricata-update leaves it, so that only scripts were written; lines: settings that the
    configuration lacks."""

    paths: list[Path]
    merged: Path | None
    lines: list[str]


def install(suricata: Suricata, drop: bool, write: bool) -> Installed:
    """Place the rules and test them.

    drop: rules of tier A drop; write: edit the configuration, too. Raises Unavailable where Lua is
    not there or not allowed, where files cannot be written, and where Suricata refuses the rules,
    UsageError where somebody else's file is in the place of one, or the edit is refused; then
    everything is as it was.
    """
    needs = unmet(suricata, drop)
    _expect_lua(suricata, write)
    files = ruleset.ruleset(drop)
    merged = _merged(suricata)
    directory = suricata.rule_directory
    # suricata-update takes rules out of a tarball and leaves the scripts behind.
    placed = [path for path in files if merged is None or path != Path(RULES_FILE)]
    _expect_own(directory / path for path in placed)
    naming = _naming(suricata, merged)
    is_new = not any((directory / path).exists() for path in placed)
    edits = write and (bool(needs) or naming is not Naming.KEEP)
    try:
        paths = _place(suricata, files, placed)
        if merged is not None:
            _expect_passed(suricata, suricata.test(merged))
        if edits:
            _edit(suricata, needs, naming)
        if merged is not None and _is_own(directory / RULES_FILE):
            (directory / RULES_FILE).unlink()
    except BaseException as problem:
        if is_new:
            _remove(directory)
        if isinstance(problem, OSError):
            # A full disk names no file.
            remedy = "free space" if problem.errno in NO_ROOM else "run as its owner, with sudo"
            raise Unavailable(
                f"cannot write {problem.filename or directory}: {problem.strerror}", remedy
            ) from None
        raise
    return Installed(paths, merged, [] if edits else as_lines(needs, naming))


def uninstall(suricata: Suricata) -> list[Path]:
    """Remove what install() placed and undo its edits; returns what was removed or changed."""
    changed = _remove(suricata.rule_directory)
    text = _text(suricata.config)
    before = config_file.undone(text)
    if before != text:
        with _draft_of(suricata.config, before) as draft:
            draft.replace(suricata.config.resolve())
        changed.append(suricata.config)
    return changed


def _expect_lua(suricata: Suricata, write: bool) -> None:
    if not suricata.has_lua:
        raise Unavailable(f"{suricata.program} was built without Lua", "install Debian's suricata")
    if not LUA.met(suricata) and not write:
        raise Unavailable(
            f"{suricata.config} does not allow Lua in rules",
            "set `security: {lua: {allow-rules: true}}` in it, or give --write to have that done",
        )


def _expect_own(paths: Iterator[Path]) -> None:
    for path in paths:
        if path.exists() and not _is_own(path):
            raise UsageError(f"{path} is not procwire's; move it away")


def _is_own(path: Path) -> bool:
    return path.is_file() and HEADLINE in path.read_text(errors="replace")[: 2 * len(HEADLINE)]


def _expect_passed(suricata: Suricata, refusal: str) -> None:
    if refusal:
        raise Unavailable(
            f"{suricata.program} refuses the rules: {refusal}", "nothing was installed"
        )


def _place(suricata: Suricata, files: dict[Path, str], placed: list[Path]) -> list[Path]:
    """Put those of the files into their places once Suricata has passed all of them; their paths.
    Raises OSError, and Unavailable where it refuses them."""
    directory = suricata.rule_directory
    directory.mkdir(parents=True, exist_ok=True)
    _clear(directory)
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=directory) as made:
        draft = Path(made)
        ruleset.write(draft, files)
        _expect_passed(suricata, suricata.test(draft / RULES_FILE, draft))
        # Scripts first: no rule names what is not there yet.
        for path in sorted(placed, key=lambda path: path == Path(RULES_FILE)):
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).replace(directory / path)
    return [directory / path for path in placed]


def _clear(directory: Path) -> None:
    for left in directory.glob(f"{_DRAFT}*"):
        shutil.rmtree(left, ignore_errors=True)


def _merged(suricata: Suricata) -> Path | None:
    own = suricata.rule_directory / RULES_FILE
    for path in suricata.rule_files:
        if path != own and f"sid:{GATE_SID};" in path.read_text(errors="replace"):
            return path
    return None


def _remove(directory: Path) -> list[Path]:
    """Delete what procwire generated below `directory`, and folders that are empty then."""
    folder = directory / SCRIPTS
    _clear(directory)
    removed = []
    for path in (directory / RULES_FILE, *sorted(folder.glob("*.lua"))):
        if _is_own(path):
            path.unlink()
            removed.append(path)
    for emptied in (folder, folder.parent):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
    return removed


def _naming(suricata: Suricata, merged: Path | None) -> Naming:
    named = suricata.loads(suricata.rule_directory / RULES_FILE)
    if merged is None:
        return Naming.KEEP if named else Naming.ADD
    return Naming.REMOVE if named else Naming.KEEP


def _edit(suricata: Suricata, needs: list[Need], naming: Naming) -> None:
    """Edit the configuration; left as it was where Suricata does not read what was meant, or no
    longer passes its own test."""
    by_hand = f"change these lines by hand:\n{chr(10).join(as_lines(needs, naming))}"
    try:
        after = edited(_text(suricata.config), needs, naming)
    except UsageError as problem:
        raise UsageError(f"{suricata.config}: {problem}; {by_hand}") from None
    with _draft_of(suricata.config, after) as draft:
        refusal = _refusal(suricata, draft, needs, naming)
        # Rules of others may have been broken before.
        if refusal and refusal != suricata.test():
            raise UsageError(f"{suricata.config}: Suricata refuses the edit: {refusal}; {by_hand}")
        draft.replace(suricata.config.resolve())


def _refusal(suricata: Suricata, draft: Path, needs: list[Need], naming: Naming) -> str:
    """What speaks against the edited configuration in `draft`, empty if nothing does."""
    try:
        read = find(str(suricata.program), draft)
    except UsageError as problem:
        return str(problem)
    # A section in an included file may be replaced by one of the same name.
    meant = {need.name for need in needs} | {f"rule-files.*={RULES_FILE}"}
    lost = Counter(_unnumbered(suricata.settings)) - Counter(_unnumbered(read.settings))
    unmeant = sorted(line for line in lost if meant.isdisjoint((line, line.partition("=")[0])))
    if unmeant:
        return f"it would no longer read {', '.join(unmeant[:3])}"
    unread = [".".join(need.path) for need in needs if not need.met(read)]
    if naming is not Naming.KEEP and read.loads(read.rule_directory / RULES_FILE) is not (
        naming is Naming.ADD
    ):
        unread.append("rule-files")
    return f"it reads {', '.join(unread)} elsewhere, too" if unread else read.test()


def _unnumbered(settings: dict[str, str]) -> Iterator[str]:
    """Settings as name=value, without the places of items in their sequences."""
    for name, value in settings.items():
        yield f"{re.sub(r'[.][0-9]+(?=[.]|$)', '.*', name)}={value}"


@contextmanager
def _draft_of(path: Path, text: str) -> Iterator[Path]:
    """A file beside `path`, with its owner and permissions, that is gone afterwards unless it was
    renamed."""
    path = path.resolve()
    draft = path.with_name(f"{_DRAFT}{path.name}")
    try:
        facts = path.stat()
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
            os.fchmod(file.fileno(), facts.st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except OSError as problem:
        remedy = "free space" if problem.errno in NO_ROOM else "run with sudo"
        raise Unavailable(f"cannot write {path}: {problem.strerror}", remedy) from None
    finally:
        draft.unlink(missing_ok=True)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path}: {problem}") from None
