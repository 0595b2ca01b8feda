"""Records of every format that names processes, made of a few attempts.

An attempt is (time in s, process id, host, port, answered).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

Attempt = tuple[float, int, str, int, bool]
START = 1_790_000_000.0
PROGRAM = "C:\\Users\\eve\\sweep.exe"
MACHINE = "WS1.example"
SOURCE = "10.0.0.5"


def clock(seconds: float, form: str = "%Y-%m-%dT%H:%M:%S.%fZ") -> str:
    return datetime.fromtimestamp(START + seconds, UTC).strftime(form)


def lines(records: Iterable[dict]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in records).encode()


def guid(pid: int) -> str:
    second = int(START)
    return f"{{3ddc5665-{second & 0xFFFF:04x}-{second >> 16:04x}-{pid:04x}-000000000500}}"


def sysmon_started(pid: int, name: str = PROGRAM) -> dict:
    return {
        "UtcTime": clock(0, "%Y-%m-%d %H:%M:%S.%f")[:-3],
        "ProcessGuid": guid(pid),
        "ProcessId": str(pid),
        "Image": name,
        "CommandLine": f"sweep.exe /all {pid}",
        "CurrentDirectory": "C:\\Users\\eve\\",
        "User": "EXAMPLE\\eve",
        "ParentProcessGuid": guid(1),
        "ParentProcessId": "1",
        "ParentImage": "C:\\Windows\\explorer.exe",
        "ParentCommandLine": "explorer.exe",
    }


def sysmon_attempted(one: Attempt, place: int, initiated: bool = True) -> dict:
    seconds, pid, host, port, _ = one
    return {
        "UtcTime": clock(seconds, "%Y-%m-%d %H:%M:%S.%f")[:-3],
        "ProcessGuid": guid(pid),
        "ProcessId": str(pid),
        "Image": PROGRAM,
        "User": "EXAMPLE\\eve",
        "Protocol": "tcp",
        "Initiated": "true" if initiated else "false",
        "SourceIp": SOURCE,
        "SourcePort": str(40000 + place),
        "DestinationIp": host,
        "DestinationPort": str(port),
    }


def sysmon(attempts: list[Attempt]) -> list[tuple[int, float, dict]]:
    """Event number, seconds and fields."""
    pids = dict.fromkeys(pid for _, pid, *_ in attempts)
    begun = [(1, 0.0, sysmon_started(pid)) for pid in pids]
    return begun + [(3, one[0], sysmon_attempted(one, i)) for i, one in enumerate(attempts)]


def flat(attempts: list[Attempt]) -> bytes:
    channel = "Microsoft-Windows-Sysmon/Operational"
    return lines(
        {
            "EventID": number,
            "Channel": channel,
            "Hostname": MACHINE,
            "@timestamp": clock(seconds + 3),
            "EventTime": clock(seconds - 14400, "%Y-%m-%d %H:%M:%S"),
            **fields,
        }
        for number, seconds, fields in sysmon(attempts)
    )


def security(attempts: list[Attempt]) -> bytes:
    """Times only to the second, and in a zone that nothing names."""
    pids = dict.fromkeys(pid for _, pid, *_ in attempts)
    events = [
        (4688, 0.0, {"NewProcessId": hex(pid), "NewProcessName": PROGRAM, "ProcessId": "0x1"})
        for pid in pids
    ]
    events += [
        (
            5156,
            seconds,
            {
                "ProcessId": str(pid),
                "Application": "\\device\\harddiskvolume2\\users\\eve\\sweep.exe",
                "Direction": "%%14593",
                "SourceAddress": SOURCE,
                "SourcePort": str(40000 + place),
                "DestAddress": host,
                "DestPort": str(port),
                "Protocol": "6",
            },
        )
        for place, (seconds, pid, host, port, _) in enumerate(attempts)
    ]
    return lines(
        {
            "EventID": number,
            "Channel": "Security",
            "Hostname": MACHINE,
            "@timestamp": clock(seconds + 2),
            "EventTime": clock(seconds - 14400, "%Y-%m-%d %H:%M:%S"),
            "SubjectUserName": "eve",
            "SubjectDomainName": "EXAMPLE",
            **fields,
        }
        for number, seconds, fields in events
    )


def winlogbeat(attempts: list[Attempt]) -> bytes:
    return lines(
        {
            "@timestamp": clock(seconds),
            "message": "Network connection detected",
            "winlog": {
                "event_id": str(number),
                "channel": "Microsoft-Windows-Sysmon/Operational",
                "computer_name": MACHINE,
                "event_data": fields,
            },
        }
        for number, seconds, fields in sysmon(attempts)
    )


def ecs(attempts: list[Attempt]) -> bytes:
    """Winlogbeat's modules move fields out of event_data."""
    records = []
    for number, seconds, fields in sysmon(attempts):
        record = {
            "@timestamp": clock(seconds),
            "winlog": {
                "event_id": number,
                "channel": "Microsoft-Windows-Sysmon/Operational",
                "computer_name": MACHINE,
                "event_data": {},
            },
            "process": {
                "pid": int(fields["ProcessId"]),
                "entity_id": fields["ProcessGuid"],
                "executable": PROGRAM,
                "command_line": fields.get("CommandLine"),
                "parent": {"pid": 1, "executable": fields.get("ParentImage")},
            },
            "user": {"name": "eve", "domain": "EXAMPLE"},
        }
        if number == 3:
            record |= {
                "source": {"ip": SOURCE, "port": int(fields["SourcePort"])},
                "destination": {
                    "ip": fields["DestinationIp"],
                    "port": int(fields["DestinationPort"]),
                },
                "network": {"transport": "tcp", "direction": "egress"},
            }
        records.append(record)
    return lines(records)


def structured(attempts: list[Attempt]) -> bytes:
    return lines(
        {
            "Event": {
                "System": {
                    "EventID": {"#text": number, "#attributes": {"Qualifiers": 0}},
                    "Channel": "Microsoft-Windows-Sysmon/Operational",
                    "Computer": MACHINE,
                    "TimeCreated": {"#attributes": {"SystemTime": clock(seconds)}},
                },
                "EventData": fields,
            }
        }
        for number, seconds, fields in sysmon(attempts)
    )


def sysmon_linux(attempts: list[Attempt]) -> bytes:
    text = ""
    for number, seconds, fields in sysmon(attempts):
        data = "".join(f'<Data Name="{name}">{value}</Data>' for name, value in fields.items())
        when = clock(seconds)
        text += (
            f"{when} {MACHINE} sysmon: <Event><System>"
            '<Provider Name="Linux-Sysmon" Guid="{0}"/>'
            f'<EventID>{number}</EventID><TimeCreated SystemTime="{when}"/>'
            "<Channel>Linux-Sysmon/Operational</Channel>"
            f"<Computer>{MACHINE}</Computer></System><EventData>{data}</EventData></Event>\n"
        )
    return text.replace("C:\\Users\\eve\\sweep.exe", "/home/eve/sweep").encode()


def xml(attempts: list[Attempt]) -> bytes:
    """As wevtutil writes them."""
    text = ""
    for number, seconds, fields in sysmon(attempts):
        data = "".join(f"<Data Name='{name}'>{value}</Data>" for name, value in fields.items())
        text += (
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
            f"<EventID>{number}</EventID><TimeCreated SystemTime='{clock(seconds)}'/>"
            "<Channel>Microsoft-Windows-Sysmon/Operational</Channel>"
            f"<Computer>{MACHINE}</Computer></System><EventData>{data}</EventData></Event>\n"
        )
    return text.encode()


def sockaddr(host: str, port: int) -> bytes:
    return b"\2\0" + port.to_bytes(2) + bytes(map(int, host.split("."))) + bytes(8)


def audit(attempts: list[Attempt]) -> bytes:
    serial, text = 100, ""
    common = 'uid=1000 comm="sweep" exe="/home/eve/sweep" key=(null)'

    def records(seconds: float, *bodies: str) -> str:
        stamp = f"msg=audit({START + seconds:.3f}:{serial})"
        parts = (body.partition(": ") for body in (*bodies, "EOE: "))
        return "".join(f"node={MACHINE} type={kind} {stamp}: {rest}\n" for kind, _, rest in parts)

    for pid in dict.fromkeys(pid for _, pid, *_ in attempts):
        text += records(
            0,
            "SYSCALL: arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 "
            f'ppid=1 pid={pid} {common}\x1dARCH=x86_64 SYSCALL=execve UID="eve"',
            'EXECVE: argc=2 a0="sweep" a1=2F616C6C',
            'CWD: cwd="/home/eve"',
        )
        serial += 1
    for seconds, pid, host, port, answered in attempts:
        end = "success=yes exit=0" if answered else "success=no exit=-111"
        text += records(
            seconds,
            f"SYSCALL: arch=c000003e syscall=42 {end} a0=3 a1=7f ppid=1 pid={pid} {common}",
            f"SOCKADDR: saddr={sockaddr(host, port).hex().upper()}SADDR={{ saddr_fam=inet }}",
        )
        serial += 1
    return text.encode()


def laurel(attempts: list[Attempt]) -> bytes:
    call = {"arch": "0xc000003e", "uid": 1000, "comm": "sweep", "exe": "/home/eve/sweep", "ppid": 1}
    call |= {"UID": "eve"}
    records = [
        {
            "ID": f"{START:.3f}:{pid}",
            "NODE": MACHINE,
            "SYSCALL": {**call, "syscall": 59, "success": "yes", "exit": 0, "pid": pid},
            "EXECVE": {"argc": 2, "ARGV": ["sweep", "/all"]},
            "CWD": {"cwd": "/home/eve"},
        }
        for pid in dict.fromkeys(pid for _, pid, *_ in attempts)
    ]
    for place, (seconds, pid, host, port, answered) in enumerate(attempts):
        end = {"success": "yes", "exit": 0} if answered else {"success": "no", "exit": -111}
        written = "".join(f"%{byte:02x}" for byte in sockaddr(host, port))
        records.append(
            {
                "ID": f"{START + seconds:.3f}:{10**6 + place}",
                "NODE": MACHINE,
                "SYSCALL": {**call, **end, "syscall": 42, "pid": pid},
                "SOCKADDR": [{"saddr": written}],
            }
        )
    return lines(records)


Writer = Callable[[list[Attempt]], bytes]

WITH_PROCESSES: dict[str, Writer] = {
    "flat": flat,
    "security": security,
    "winlogbeat": winlogbeat,
    "ecs": ecs,
    "structured": structured,
    "sysmon_linux": sysmon_linux,
    "xml": xml,
    "audit": audit,
    "laurel": laurel,
}
