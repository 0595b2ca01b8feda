"""Records of network tools, which name no process, made of the attempts of records.py."""

from __future__ import annotations

from records import SOURCE, START, WITH_PROCESSES, Attempt, Writer, clock, lines

ZEEK_FIELDS = (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration conn_state history"
)


def zeek_rows(attempts: list[Attempt]) -> list[list[str]]:
    return [
        [
            f"{START + seconds:.6f}",
            f"C{place}",
            SOURCE,
            str(40000 + place),
            host,
            str(port),
            "tcp",
            "-",
            "0.01",
            "SF" if answered else "REJ",
            "ShADadFf" if answered else "Sr",
        ]
        for place, (seconds, _, host, port, answered) in enumerate(attempts)
    ]


def zeek_columns(attempts: list[Attempt]) -> bytes:
    head = "#separator \\x09\n#unset_field\t-\n#path\tconn\n#fields\t"
    rows = ["\t".join(row) for row in zeek_rows(attempts)]
    return "\n".join([head + ZEEK_FIELDS.replace(" ", "\t"), *rows, "#close\n"]).encode()


def zeek_json(attempts: list[Attempt], dot: str = ".") -> bytes:
    names = [name.replace(".", dot) for name in ZEEK_FIELDS.split()]
    records = []
    for row in zeek_rows(attempts):
        record = dict(zip(names, row, strict=True))
        record |= {"ts": float(row[0]), names[3]: int(row[3]), names[5]: int(row[5])}
        records.append(record)
    return lines(records)


def zeek_json_underscores(attempts: list[Attempt]) -> bytes:
    return zeek_json(attempts, "_")


def eve(attempts: list[Attempt]) -> bytes:
    return lines(
        {
            "timestamp": clock(seconds + 60, "%Y-%m-%dT%H:%M:%S.%f+0000"),
            "flow_id": place,
            "event_type": "flow",
            "src_ip": SOURCE,
            "src_port": 40000 + place,
            "dest_ip": host,
            "dest_port": port,
            "proto": "TCP",
            "flow": {
                "pkts_toserver": 1,
                "pkts_toclient": 1,
                "start": clock(seconds, "%Y-%m-%dT%H:%M:%S.%f+0000"),
            },
            "tcp": {"tcp_flags_ts": "02", "tcp_flags_tc": "12" if answered else "14"},
        }
        for place, (seconds, _, host, port, answered) in enumerate(attempts)
    )


WITHOUT: dict[str, Writer] = {
    "zeek_columns": zeek_columns,
    "zeek_json": zeek_json,
    "zeek_json_underscores": zeek_json_underscores,
    "eve": eve,
}
WRITERS = WITH_PROCESSES | WITHOUT
