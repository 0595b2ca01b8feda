"""Programs that try others, each in its own way, as scripts for `python -c`.

Unless a script says otherwise it tries forty hosts, 10.99.0.1 and on.
"""

from __future__ import annotations

import sys

PREAMBLE = """
import asyncio, ctypes, os, socket, struct, subprocess, sys, threading, time
def host(n): return f"10.99.0.{n + 1}"
def syn(to):
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 0x50, 2, 1024, 0, 0)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 7, 0, 64, 6, 0,
        socket.inet_aton("10.99.0.250"), socket.inet_aton(to)) + tcp
"""
SENDTO = """
with socket.socket(type=socket.SOCK_DGRAM) as udp:
    for n in range(40): udp.sendto(b"x", (host(n), 7002))
"""
SEND_TO_PEERS = """
for n in range(40):
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.connect((host(n), 7002))
        udp.send(b"x")
"""
SENDMSG_MAPPED = """
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
    for n in range(40): udp.sendmsg([b"x"], [], 0, ("::ffff:" + host(n), 7002))
"""
# struct mmsghdr.
MESSAGE = """
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("size", ctypes.c_uint32), ("parts", ctypes.c_void_p),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_size_t), ("sent", ctypes.c_size_t)]
"""
SENDMMSG = (
    MESSAGE
    + """
part = (ctypes.c_size_t * 2)(ctypes.addressof(text := ctypes.create_string_buffer(b"x")), 1)
names = [ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", 7002)
    + socket.inet_aton(host(n)) + bytes(8), 16) for n in range(40)]
messages = (Message * 40)(*(Message(ctypes.addressof(name), 16, ctypes.addressof(part), 1)
    for name in names))
with socket.socket(type=socket.SOCK_DGRAM) as udp:
    assert ctypes.CDLL(None).sendmmsg(udp.fileno(), messages, 40, 0) == 40
"""
)
# Twenty in each of two calls.
MANY_FRAMES = (
    MESSAGE
    + """
frame = bytes.fromhex("020000000077 020000000001 0800")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("hole", 0))
    for first in (0, 20):
        bytes_of = [ctypes.create_string_buffer(frame + syn(host(first + n))) for n in range(20)]
        parts = [(ctypes.c_size_t * 2)(ctypes.addressof(one), 54) for one in bytes_of]
        messages = (Message * 20)(*(Message(None, 0, ctypes.addressof(part), 1) for part in parts))
        assert ctypes.CDLL(None).sendmmsg(raw.fileno(), messages, 20, 0) == 20
"""
)
CONNECT_MAPPED = """
for n in range(40):
    with socket.socket(socket.AF_INET6) as tcp: tcp.connect_ex(("::ffff:" + host(n), 7002))
"""
FAST_OPEN = """
for n in range(40):
    with socket.socket() as tcp:
        try: tcp.sendto(b"x", socket.MSG_FASTOPEN, (host(n), 7002))
        except ConnectionRefusedError: pass
"""
ASYNCIO = """
async def one(n):
    try: await asyncio.open_connection(host(n % 200), 7002 + n // 200)
    except OSError: pass
async def all(): await asyncio.gather(*map(one, range(1000)))
asyncio.run(all())
"""
THREADS = """
def work(k):
    for n in range(20):
        with socket.socket() as tcp: tcp.connect_ex((host(20 * k + n), 7002))
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for one in threads: one.start()
for one in threads: one.join()
"""
EXECUTES_ITSELF = """
n = int(sys.argv[1])
with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
if n < 24: os.execv(sys.executable, [*sys.orig_argv[:-1], str(n + 1)])
"""
RAW_IP = """
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    for n in range(40): raw.sendto(syn(host(n)), (host(n), 0))
"""
TIMESTAMPS = """
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    for n in range(40): raw.sendto(struct.pack("!BBHHH12x", 13, 0, 0, 7, n), (host(n), 0))
"""
# As `mtr -u` does, of 12 hops.
TRACES_A_PATH = """
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    for n in range(60):
        udp = struct.pack("!4H", 40000, 33000 + n, 44, 0) + bytes(36)
        raw.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 64, 7, 0, n % 12 + 1, 17, 0,
            socket.inet_aton("10.99.0.250"), socket.inet_aton(host(0))) + udp, (host(0), 0))
"""
PACKET = """
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("hole", 0xdd86 if "bound" in sys.argv else 0))
    if "bypass" in sys.argv: raw.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    tag = "8100 0000" if "tagged" in sys.argv else ""
    frame = bytes.fromhex(f"020000000077 020000000001 {tag} 0800")
    for n in range(40): raw.send(frame + syn(host(n)))
"""
PROBED_PORT = 7002
PROCESS_PER_PROBE = (
    f"for i in $(seq 1 40); do (echo > /dev/tcp/10.99.0.$i/{PROBED_PORT}); done 2> /dev/null; true"
)
SESSION_PER_PROBE = """
for i in $(seq 1 40); do
    setsid -w bash -c "echo > /dev/tcp/10.99.0.$i/7002" 2> /dev/null
done; true
"""
# Each process tries one host and starts the next one, which waits until nobody is its parent.
ORPHANS = """
os.setsid()
for n in range(40):
    with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
    parent = os.getpid()
    if os.fork(): os._exit(0)
    while os.getppid() == parent: time.sleep(0.001)
"""
# Workers, each of as many hosts as said. One begins when the one before is done, and all live on
# until the last one is.
WORKERS = """
os.setsid()
done, says = os.pipe()
ends, lives = os.pipe()
tried = 0
for hosts in map(int, sys.argv[1:]):
    if os.fork() == 0:
        os.close(lives)
        for n in range(tried, tried + hosts):
            with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
        os.write(says, b"x")
        os.read(ends, 1)
        os._exit(0)
    os.read(done, 1)
    tried += hosts
"""
# One of several that nobody in their place has started: eight hosts of its own each.
STARTED_FROM_OUTSIDE = """
os.setsid()
for n in range(8):
    with socket.socket() as tcp: tcp.connect_ex((host(8 * int(sys.argv[1]) + n), 7002))
"""
ACCEPTS = """
server = socket.create_server(("10.99.0.1", 7009))
def ask():
    for _ in range(60): socket.create_connection(("10.99.0.1", 7009)).close()
if os.fork() == 0:
    ask()
    os._exit(0)
for _ in range(60): server.accept()[0].close()
"""
# A raw socket and a connect that wait for the sensor to start, however long that takes.
OLDER_SOCKETS = """
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
tcp = socket.socket()
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 6)
tcp.setblocking(False)
tcp.connect_ex(("10.97.0.3", 80))
print("ready", flush=True)
input()
for n in range(40): raw.sendto(syn(host(n)), (host(n), 0))
"""
# Longer than anybody looks.
WAITS = """
tcp = socket.socket()
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 6)
tcp.connect(("10.97.0.3", 80))
"""
CONNECTS = """
for n in range(40):
    with socket.socket() as tcp: tcp.connect_ex((host(n), 7002))
"""
# A child with the pid that is asked for (clone3, Linux 5.5): the kernel goes through all numbers
# before it gives one out again by itself. Two processes of one tick of 10 ms would have one start.
FORK_AS = """
import signal
libc = ctypes.CDLL(None, use_errno=True)
CLONE3 = 435
def fork(pid):
    wanted = (ctypes.c_int * 1)(pid)
    arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0,
        ctypes.addressof(wanted) if pid else 0, 1 if pid else 0, 0)
    time.sleep(0.05)
    child = libc.syscall(CLONE3, arguments, len(arguments))
    if child < 0: sys.exit(os.strerror(ctypes.get_errno()))
    return child
def tries(first, count):
    for n in range(count):
        with socket.socket() as tcp: tcp.connect_ex((host(first + n), 7002))
"""
ONE_PID_TWICE = (
    FORK_AS
    + """
def child(first, count, pid=0):
    number = fork(pid)
    if number == 0:
        tries(first, count)
        os._exit(0)
    os.waitpid(number, 0)
    return number
pid = child(0, 40)
assert child(100, 50, pid) == pid
print(pid)
"""
)
# The first of them ends, and the second begins, as somebody says.
LEFT_TO_THE_NEXT = (
    FORK_AS
    + """
pid = 0
for first, count in ((0, 40), (100, 50)):
    input()
    pid = fork(pid)
    if pid == 0:
        tries(first, count)
        print(os.getpid(), flush=True)
        input()
        os._exit(0)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""
)
# SOCKS 5 (RFC 1928): no authentication, CONNECT to an IPv4 address.
ASKS_A_PROXY = """
for n in range(40):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as proxy:
        proxy.sendall(b"\\5\\1\\0")
        proxy.recv(2)
        proxy.sendall(b"\\5\\1\\0\\1" + socket.inet_aton(host(n)) + struct.pack("!H", 7002))
        proxy.recv(10)
"""


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a script of this file."""
    return (sys.executable, "-I", "-S", "-c", PREAMBLE + script, *arguments)
