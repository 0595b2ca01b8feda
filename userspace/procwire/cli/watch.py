"""procwire watch: this host's connections by process, and the packets of its interfaces."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from procwire.alert import Alert
from procwire.cli.context import beside, context_option, context_to_watch, tell_learning
from procwire.cli.ending import Ending
from procwire.cli.results import FINDINGS, Results, analysis_options, tell_summary
from procwire.cli.workers import workers_option
from procwire.compiled.memory import give_back_files, keep_little
from procwire.config import load
from procwire.context.site import Site
from procwire.context.store import FILE_NAME
from procwire.errors import INTERRUPTED, Unavailable, UsageError
from procwire.output import eve
from procwire.output.eve import Source
from procwire.output.printable import printable
from procwire.owners.history import default_history
from procwire.privilege import NEEDED_WHILE_WATCHING, keep_only
from procwire.runs.live import Live, sensor_settings
from procwire.sensor.loader import Sensor
from procwire.sensor.programs import Loader
from procwire.suricata.block import Blocker
from procwire.suricata.protected import Protected


class _HistoryFile(click.Path):
    """click asks no flag_value for what it is to be, as it does a default."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        return super().convert(value() if callable(value) else value, param, ctx)


@click.command()
@click.option(
    "-i",
    "--interface",
    "interfaces",
    multiple=True,
    help="Capture packets of this interface as well. May be repeated.",
)
@click.option(
    "--loader",
    type=click.Choice([loader.value for loader in Loader]),
    default=Loader.AUTO.value,
    show_default=True,
    help="What loads the sensor. auto: libbpf, or bcc where the kernel has no BTF.",
)
@click.option(
    "--history",
    type=_HistoryFile(path_type=Path, dir_okay=False),
    is_flag=False,
    flag_value=default_history,
    help="Write which process began which flow, for `procwire enrich`; bounded. Without FILE where "
    "that looks for it.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write all that is seen into this folder; `procwire read` of it tells the same alerts.",
)
@click.option(
    "--suricata",
    type=click.Path(path_type=Path),
    metavar="SOCKET",
    help="Have the Suricata that takes commands there block scanning hosts (settings: block.*).",
)
@workers_option
@context_option
@analysis_options
@click.argument("expression", nargs=-1)
def watch(
    interfaces: tuple[str, ...],
    expression: tuple[str, ...],
    loader: str,
    history: Path | None,
    record: Path | None,
    suricata: Path | None,
    workers: int,
    context: Path,
    output: Path | None,
    form: str,
    fail_on: str,
    config: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Watch this host until Ctrl-C.

    Tells scans by process and, with -i, protocol violations on the wire.

    EXPRESSION selects the packets of -i as tcpdump's does, pcap-filter(7).

    Needs root. Where the kernel refuses eBPF, -i still watches packets.

    Example: sudo procwire watch -i eth0 --format text not port 22
    """
    if expression and not interfaces:
        raise UsageError(f"{' '.join(expression)!r} filters packets: name an interface with -i")
    settings = load(config, overrides)
    # Named twice, its packets would be scans twice as large.
    interfaces = tuple(dict.fromkeys(interfaces))
    with ExitStack() as stack:
        captures = []
        if interfaces:
            # These load numba and all compiled code.
            from procwire.capture.live import LiveCapture
            from procwire.warm import warm_up

            # A name that is none, or a right that is missing, is said before minutes of compiling.
            for interface in interfaces:
                LiveCapture(interface, " ".join(expression)).close()
            if sys.stderr.isatty():
                click.echo("procwire: preparing kernels (the first time, minutes)", err=True)
            warm_up()
        else:
            keep_little()
            # Before the programs are loaded, which takes ten megabytes for a moment.
            give_back_files()
        for interface in interfaces:
            captures.append(LiveCapture(interface, " ".join(expression), workers, _tell))
            stack.callback(captures[-1].close)
        sensor = None
        try:
            wanted = sensor_settings(settings, with_flows=bool(captures) or history is not None)
            sensor = stack.enter_context(Sensor(wanted, loader=Loader(loader)))
            for gap in sensor.gaps:
                unseen = f"it does not see {gap.name}: {gap.reason}"
                click.echo(f"procwire: loaded by {sensor.loader}, {unseen}", err=True)
        except Unavailable as missing:
            if not captures:
                raise
            click.echo(f"procwire: {missing}", err=True)
            click.echo("procwire: packets only; no process will be named", err=True)
        results = stack.enter_context(Results(output, form, fail_on, lasting=True))
        store = stack.enter_context(context_to_watch(context))
        site = Site(store, _tell)
        tell_learning(store, settings.baseline.learning_s)
        blocker = None
        if suricata is not None:
            protected = Protected(settings.block.protected, stack.enter_context(beside(store)))
            blocker = Blocker(suricata, settings.block, protected, _tell)
            stack.callback(blocker.close)

        def emit(alerts: Iterable[Alert], source: Source) -> None:
            listed = list(alerts)
            results.write(listed, source)
            if blocker is not None:
                records = (eve.record(alert, source) for alert in listed)
                blocker.consider(records, time.monotonic())

        def stopped() -> bool:
            reached = [eve.denied_record(one, Source()) for one in live.denied_contacts()]
            if reached:
                results.denied(reached)
            if blocker is not None:
                blocker.consider(reached, time.monotonic())
                blocker.keep(time.monotonic())
            return ending.is_due

        live = Live(settings, sensor, captures, emit, site, history, record, workers, _tell)
        if record is not None:
            store.copy_to(record / FILE_NAME)
        if sensor is not None:
            sensor.trim_memory()
            # A tenth of what starting used is used again.
            give_back_files()
        keep_only(NEEDED_WHILE_WATCHING)
        ending = Ending()
        seen = ["processes"] * (sensor is not None) + [f"packets of {name}" for name in interfaces]
        click.echo(f"procwire: watching {', '.join(seen)}; Ctrl-C ends it", err=True)

        def counted() -> dict[str, int]:
            blocked = blocker.counters() if blocker is not None else {}
            return live.counters() | blocked | results.counters()

        def tell() -> None:
            results.stats(live.last_time, counted(), Source())

        live.run(stopped, tell)
        tell()
        tell_summary(", ".join(seen), counted())
    if ending.is_interrupt:
        return INTERRUPTED
    return FINDINGS if results.found else 0


def _tell(line: str) -> None:
    click.echo(f"procwire: {printable(line)}", err=True)
