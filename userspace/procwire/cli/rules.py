"""procwire rules: what is checked, why, and proof that every compiled form agrees."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from procwire.detect.detector import DETECTORS, Detector
from procwire.errors import UsageError
from procwire.output.amount import amount
from procwire.output.eve import encode
from procwire.output.printable import printable
from procwire.output.terminal import colours, columns
from procwire.rule import Observed, Rule
from procwire.rules import all_rules, packet_rules


@click.group()
def rules() -> None:
    """List, explain, test and rebuild the rules.

    Example: procwire rules show tcp.bad_hlen
    """


@rules.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def list_rules(as_json: bool) -> None:
    """Every packet rule and every detector. Example: procwire rules list --json | jq length"""
    from procwire.catalogue import catalogue

    entries = catalogue()
    if as_json:
        click.echo(encode(entries), nl=False)
        return
    for entry in entries:
        click.echo(
            f"{entry.sid}  {entry.tier}{entry.severity}  {entry.id:<26} "
            f"{entry.suricata_7:<6}  {entry.suricata_8:<6}  {entry.title}"
        )


@rules.command()
@click.argument("rule_id")
def show(rule_id: str) -> None:
    """One rule: its reason, reference, text and examples.

    Its back ends, too; examples are packets with the bytes marked that it is about.

    Example: procwire rules show tcp.bad_hlen
    """
    from procwire.output.rule_page import page

    click.echo(page(_find(rule_id), columns(sys.stdout), colours(sys.stdout)))


@rules.command()
@click.argument("rule_ids", nargs=-1)
def test(rule_ids: tuple[str, ...]) -> int:
    """Run the rules' examples in plain Python and compiled. Exits with 1 if any disagrees.

    Example: procwire rules test udp.len_mismatch
    """
    from procwire.judging.evaluate import disagreements

    chosen = tuple(_find_rule(name) for name in rule_ids) or packet_rules()
    found = disagreements(chosen)
    for text in found:
        click.echo(text)
    examples = sum(len(rule.fires_on) + len(rule.silent_on) for rule in chosen)
    counts = {"rules": len(chosen), "examples": examples, "disagreements": len(found)}
    click.echo(", ".join(amount(count, things) for things, count in counts.items()), err=True)
    return 1 if found else 0


@rules.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("rule_ids", nargs=-1)
def capture(file: Path, rule_ids: tuple[str, ...]) -> None:
    """Write a pcap FILE with a packet that breaks each rule. Any sensor can be tried with it.

    Example: procwire rules capture broken.pcap tcp.flags_syn_fin
    """
    from procwire import examples

    chosen = tuple(_find_rule(name) for name in rule_ids) or packet_rules()
    try:
        file.write_bytes(examples.capture(examples.frames(chosen)))
    except OSError as problem:
        raise UsageError(f"{file}: {problem.strerror}; name a file that can be written") from None


@rules.command()
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="The project's folder; the one you are in by default.",
)
def build(root: Path) -> None:
    """Write what is generated from the rules. That is kernels, Lua, Suricata rules, documentation.

    Example: procwire rules build
    """
    from procwire.compiler import build as generator

    if not (root / "userspace" / "procwire").is_dir():
        raise UsageError(f"{root}: not the project's folder; go there or give --root")
    changed = generator.build(all_rules(), root)
    for path in changed:
        click.echo(printable(str(path)))
    click.echo(f"{amount(len(changed), 'files')} changed", err=True)


def _find_rule(name: str) -> Rule:
    found = _find(name)
    if not isinstance(found, Rule):
        raise UsageError(f"{found.id} judges several packets together: it has no examples")
    return found


def _find(name: str) -> Rule | Observed | Detector:
    checks = (*all_rules(), *DETECTORS)
    known = {check.id: check for check in checks} | {str(check.sid): check for check in checks}
    if name not in known:
        of_protocol = [each for each in known if each.startswith(name.partition(".")[0] + ".")]
        near = difflib.get_close_matches(name, of_protocol or known, n=1, cutoff=0)[0]
        raise UsageError(f"no check is called {name}; the nearest is {near}")
    return known[name]
