"""Runs inside a namespace: the live run on an interface, and whose each flow was when it was first
seen there. Says "ready", ends with its input, prints JSON: flows with their owners, counters.
Arguments: interface, who loads the programs."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Iterator

import numpy as np
from procwire.capture.batch import PacketBatch
from procwire.capture.live import LiveCapture
from procwire.context.site import Site
from procwire.decode.frame import decode
from procwire.output.address import address_text
from procwire.record import Endpoint
from procwire.runs.live import Live, sensor_settings
from procwire.sensor.loader import Sensor
from procwire.sensor.programs import Loader
from procwire.settings import Settings
from procwire.warm import warm_up

Flow = tuple[int, bytes, int, bytes, int]
_ICMP = (1, 58)


class Noting(LiveCapture):
    """Asks about every flow when its first packet is handed to the run."""

    live: Live
    seen: dict[Flow, tuple[int, str] | None]

    def batches(self) -> Iterator[PacketBatch]:
        for batch in super().batches():
            self.note(batch)
            yield batch

    def note(self, batch: PacketBatch) -> None:
        packets = decode(batch).packets
        for row in np.flatnonzero(packets.transport):
            source, destination = (
                (int(hi[row]) << 64 | int(lo[row])).to_bytes(16)
                for hi, lo in (
                    (packets.src_hi, packets.src_lo),
                    (packets.dst_hi, packets.dst_lo),
                )
            )
            protocol = int(packets.protocol[row])
            ports = (int(packets.src_port[row]), int(packets.dst_port[row]))
            if protocol in _ICMP:
                ports = (0, 0)
            flow = protocol, source, ports[0], destination, ports[1]
            back = protocol, destination, ports[1], source, ports[0]
            if flow not in self.seen:
                time = int(batch.time[row])
                self.seen[flow] = self.owner(flow, time)
                self.seen[back] = self.owner(back, time)

    def owner(self, flow: Flow, time: int) -> tuple[int, str] | None:
        """Who holds the first end, if its process is known too."""
        protocol, source, source_port, destination, destination_port = flow
        ends = Endpoint(source, source_port), Endpoint(destination, destination_port)
        found = self.live._joined._owners.owner(*ends, protocol, time)
        known = found and self.live._joined.known(found.process)
        return (found.process[1], found.attribution) if found and known else None


def main() -> None:
    settings = Settings()
    warm_up()
    capture = Noting(sys.argv[1], rings=2)
    capture.seen = {}
    wanted = sensor_settings(settings, with_flows=True)
    with Sensor(wanted, loader=Loader(sys.argv[2])) as sensor:
        live = Live(settings, sensor, [capture], lambda alerts, source: None, Site())
        capture.live = live
        print("ready", flush=True)
        live.run(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), tell=lambda: None)
        counters = live.counters()
    flows = [
        (protocol, address_text(source), source_port, address_text(destination), port, owner)
        for (protocol, source, source_port, destination, port), owner in capture.seen.items()
    ]
    lost = {name: n for name, n in counters.items() if n and ("lost" in name or "drop" in name)}
    known = {name: n for name, n in counters.items() if name.startswith("correlate.")}
    json.dump({"flows": flows, "lost": lost, "known": known}, sys.stdout)


if __name__ == "__main__":
    main()
