"""What the sensor must tell of one command each: on this machine's kernel, and on those of others.

A scenario is a row: the command, and everything that its events have to say. The check
(differences.py) is one for all rows, so a kernel that passes tells the same as every other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from procwire.event import FLAG_ARGV_TRUNCATED, Measure, Outcome

# Connects to each HOST@PORT in turn and prints the errno; 7001 is the one port that answers.
CONNECT = """
import socket, sys
server = socket.create_server(("::", 7001), family=socket.AF_INET6, dualstack_ipv6=True)
for line in sys.argv[1:]:
    host, port = line.rsplit("@", 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        print(client.connect_ex((host, int(port))), flush=True)
"""
CONNECT_TWICE = """
import socket
with socket.socket() as client:
    client.connect_ex(("10.98.1.1", 80))
    client.connect_ex(("10.99.0.1", 7002))
"""
# The first socket stays open until the second has ended.
KEPT = """
import socket
kept = socket.socket()
kept.connect_ex(("10.98.1.1", 80))
with socket.socket() as client:
    client.connect_ex(("10.99.0.1", 7002))
"""
# Landlock lets the program connect to port 7002 and no other.
LANDLOCK_OF_CONNECTS = (6, 7)
FORBIDDEN = """
import ctypes, socket, struct, sys
CREATE, ADD, RESTRICT, CONNECT, PORT, NO_NEW_PRIVILEGES = 444, 445, 446, 2, 2, 38
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
rules = libc.syscall(CREATE, struct.pack("=QQ", 0, CONNECT), 16, 0)
allowed = libc.syscall(ADD, rules, PORT, struct.pack("=QQ", CONNECT, 7002), 0)
if rules < 0 or allowed or libc.syscall(RESTRICT, rules, 0):
    sys.exit("Landlock: errno %d" % ctypes.get_errno())
targets = [("10.99.0.1", 7002)] + [("10.99.0.%d" % n, 7003) for n in range(1, 31)] + [("::1", 7003)]
for host, port in targets:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        client.connect_ex((host, port))
"""
# To one host after the other, none of which listens.
SWEEP = """
import socket, sys
for number in range(int(sys.argv[1])):
    with socket.socket() as client:
        client.connect_ex((f"10.99.0.{number + 1}", 7002))
"""
# Every seventh host, from the last one down.
STRIDE = """
import socket
for number in range(22):
    with socket.socket() as client:
        client.connect_ex((f"10.99.0.{250 - 7 * number}", 7002))
"""
# Of sixty hosts that are made peers, a few are sent to, and twice.
PEERS = """
import socket
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("10.99.0.1", 7005))
for number in range(60):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("10.99.0.1", 7005) if number < 4 else (f"10.99.0.{number}", 53))
        for _ in range(2 * (number < 4)): client.send(b"x")
"""
REFUSED_PEERS = """
import socket
for number in range(1, 5):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect((f"10.99.0.{number}", 7006))
        client.send(b"x")
"""
# A thread ends the process, whose first one waits.
EXIT_BY_THREAD = """
import os, threading, time
threading.Thread(target=os._exit, args=(5,)).start()
time.sleep(60)
"""
RAW_SOCKET = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"

AF_INET, SOCK_RAW, IPPROTO_ICMP = 2, 3, 1
CONNECT_RETURNS = "fexit/__sys_connect_file"
NOBODY = 65534


@dataclass(frozen=True)
class Seen:
    """A connection event. IPv4 addresses that the program mapped into IPv6 are plain IPv4.
    returned: outcome and error where the end of the system call is seen, if others."""

    address: str
    port: int
    outcome: Outcome
    error: int = 0
    family: int = 4
    returned: tuple[Outcome, int] | None = None


@dataclass(frozen=True)
class Report:
    """A fan-out report of the shortest window; measure 0 is the last one, with the totals."""

    measure: int
    threshold: int
    attempts: int
    established: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Scenario:
    """hook: without which a kernel cannot show this; since: the Linux that first had what the
    command uses; wrapped: what executes the command in its own place; signal: what ends it, if it
    does not exit; threads: whether its last two may end at once, and each tell of it; children: the
    command lines of what it forks; at_least_ns: how long each connection takes; reports: those
    whose figures are exact; crossed: every measure that is reported; counters: by how
    much they rise at least."""

    name: str
    command: tuple[str, ...]
    hook: str = ""
    since: tuple[int, int] = (0, 0)
    wrapped: tuple[str, ...] = ()
    uid: int = 0
    flags: int = 0
    exit_code: int = 0
    signal: int = 0
    threads: bool = False
    children: tuple[tuple[str, ...], ...] = ()
    connections: tuple[Seen, ...] = ()
    at_least_ns: int = 0
    sockets: tuple[tuple[int, int, int], ...] = ()
    reports: tuple[Report, ...] = ()
    crossed: frozenset[int] = frozenset()
    counters: dict[str, int] = field(default_factory=dict)


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", script, *arguments)


SCENARIOS = (
    Scenario(
        "a program that a shell becomes, and one that it starts",
        ("/bin/sh", "-c", "exit 3"),
        wrapped=("/bin/sh", "-c", '/bin/echo one; exec "$0" "$@"'),
        exit_code=3,
        children=(("/bin/echo", "one"),),
        counters={"count_execs": 4, "count_forks": 2, "count_exits": 2},
    ),
    Scenario("an exit by another thread", python(EXIT_BY_THREAD), exit_code=5, threads=True),
    Scenario("a signal that ends it", ("/bin/sh", "-c", "kill -TERM $$"), signal=15),
    Scenario(
        "a signal that it handles, and then one that it cannot",
        ("/bin/sh", "-c", "trap : TERM; kill -TERM $$; kill -KILL $$"),
        signal=9,
    ),
    Scenario("a signal that writes a core", ("/bin/sh", "-c", "kill -SEGV $$"), signal=11),
    Scenario(
        "each family and outcome",
        python(
            CONNECT,
            *("10.99.0.1@7001", "10.99.0.2@7002", "::1@7001", "::1@7002"),
            *("::ffff:10.99.0.3@7001", "::ffff:10.99.0.4@7002", "10.98.1.1@80", "10.98.2.1@80"),
        ),
        connections=(
            Seen("10.99.0.1", 7001, Outcome.ESTABLISHED),
            Seen("10.99.0.2", 7002, Outcome.REFUSED, 111),
            Seen("::1", 7001, Outcome.ESTABLISHED, family=6),
            Seen("::1", 7002, Outcome.REFUSED, 111, family=6),
            Seen("10.99.0.3", 7001, Outcome.ESTABLISHED),
            Seen("10.99.0.4", 7002, Outcome.REFUSED, 111),
            # No packet is sent and no state changes: the errno is the system call's alone.
            Seen("10.98.1.1", 80, Outcome.UNREACHABLE, returned=(Outcome.UNREACHABLE, 113)),
            Seen("10.98.2.1", 80, Outcome.UNREACHABLE, returned=(Outcome.DENIED, 13)),
        ),
        counters={"count_attempts": 8, "count_outcomes": 8},
    ),
    # The timer that gives up runs in softirq, under whichever process runs then.
    Scenario(
        "an outcome long after, under a foreign process",
        python(CONNECT, "10.97.0.2@80"),
        connections=(Seen("10.97.0.2", 80, Outcome.TIMED_OUT, 110),),
        at_least_ns=10**9,
    ),
    Scenario(
        "one socket that tries again is two attempts",
        python(CONNECT_TWICE),
        connections=(
            Seen("10.98.1.1", 80, Outcome.UNREACHABLE, returned=(Outcome.UNREACHABLE, 113)),
            Seen("10.99.0.1", 7002, Outcome.REFUSED, 111),
        ),
    ),
    Scenario(
        "a connect without a route is told before its socket ends",
        python(KEPT),
        hook=CONNECT_RETURNS,
        connections=(
            Seen("10.98.1.1", 80, Outcome.UNREACHABLE, 113),
            Seen("10.99.0.1", 7002, Outcome.REFUSED, 111),
        ),
        counters={"count_attempts": 2, "count_outcomes": 2},
    ),
    Scenario(
        "connects that a security module refuses",
        python(FORBIDDEN),
        hook="fexit/security_socket_connect",
        since=LANDLOCK_OF_CONNECTS,
        connections=(
            Seen("10.99.0.1", 7002, Outcome.REFUSED, 111),
            *(Seen(f"10.99.0.{number}", 7003, Outcome.DENIED, 13) for number in range(1, 31)),
            Seen("::1", 7003, Outcome.DENIED, 13, family=6),
        ),
        reports=(
            Report(Measure.SEQUENTIAL_RUN, 20, attempts=21, refused=1),
            Report(0, 0, attempts=32, refused=1),
        ),
        crossed=frozenset({0, Measure.HOSTS, Measure.SEQUENTIAL_RUN}),
        counters={"count_attempts": 32, "count_outcomes": 32},
    ),
    Scenario(
        "another user",
        python(CONNECT, "10.99.0.2@7002"),
        wrapped=("setpriv", f"--reuid={NOBODY}", "--clear-groups"),
        uid=NOBODY,
        connections=(Seen("10.99.0.2", 7002, Outcome.REFUSED, 111),),
    ),
    Scenario(
        "a sweep, reported when it crosses and when it ends",
        python(SWEEP, "120"),
        connections=tuple(
            Seen(f"10.99.0.{number}", 7002, Outcome.REFUSED, 111) for number in range(1, 121)
        ),
        reports=(
            Report(Measure.SEQUENTIAL_RUN, 20, attempts=20, refused=19),
            Report(Measure.FAILURES, 100, attempts=100, refused=100),
            Report(0, 0, attempts=120, refused=120),
        ),
        crossed=frozenset({0, *Measure}),
        counters={"count_attempts": 120, "count_outcomes": 120, "count_fanouts": 13},
    ),
    Scenario(
        "targets that lie one stride apart, whatever it is",
        python(STRIDE),
        connections=tuple(
            Seen(f"10.99.0.{250 - 7 * number}", 7002, Outcome.REFUSED, 111) for number in range(22)
        ),
        reports=(
            Report(Measure.SEQUENTIAL_RUN, 20, attempts=20, refused=19),
            Report(0, 0, attempts=22, refused=22),
        ),
        crossed=frozenset({0, Measure.SEQUENTIAL_RUN}),
    ),
    Scenario(
        "a peer of a datagram socket is told with the first packet",
        python(PEERS),
        connections=(Seen("10.99.0.1", 7005, Outcome.SENT),) * 4,
        counters={"count_datagrams": 4},
    ),
    Scenario(
        "a peer that refuses datagrams",
        python(REFUSED_PEERS),
        hook="tp_btf/inet_sk_error_report",
        connections=tuple(
            seen
            for number in range(1, 5)
            for seen in (
                Seen(f"10.99.0.{number}", 7006, Outcome.SENT),
                Seen(f"10.99.0.{number}", 7006, Outcome.REFUSED, 111),
            )
        ),
    ),
    Scenario(
        "a raw socket",
        python(RAW_SOCKET),
        sockets=((AF_INET, SOCK_RAW, IPPROTO_ICMP),),
        counters={"count_sockets": 1},
    ),
    Scenario(
        "a command line too long to send is cut and counted",
        ("/bin/true", "x" * 5000),
        flags=FLAG_ARGV_TRUNCATED,
        counters={"skipped_argv_truncated": 1},
    ),
)
