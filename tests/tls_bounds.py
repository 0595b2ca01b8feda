"""Bounds of the rules on records of TLS: what each fires on, and what not."""

from __future__ import annotations

from header_bounds import Cases

RANDOM = "11" * 32
OUTER = "c000 01bb |"
SEALED = "17 0303 0004 a1b2c3d4"
HANDSHAKE, ALERT, CLIENT, SERVER, CERTIFICATE, DONE = 22, 21, 1, 2, 11, 14


def record(kind: int, body: str, version: str = "0303", size: int | None = None) -> str:
    said = len(bytes.fromhex(body)) if size is None else size
    return f"{kind:02x} {version} {said:04x} {body}"


def message(kind: int, body: str, more: int = 0) -> str:
    """A message of the handshake that says `more` bytes than it has."""
    return f"{kind:02x} {len(bytes.fromhex(body)) + more:06x} {body}"


def client(
    session: str = "00",
    suites: str = "0002 1301",
    compression: str = "01 00",
    rest: str = "",
    version: str = "0303",
    more: int = 0,
) -> str:
    return message(CLIENT, f"{version} {RANDOM} {session} {suites} {compression} {rest}", more)


def server(session: str = "00", rest: str = "", version: str = "0303", more: int = 0) -> str:
    return message(SERVER, f"{version} {RANDOM} {session} c02f 00 {rest}", more)


def certificate(chain: int, size: int, more: int = 0) -> str:
    """A certificate message that says how long its chain is."""
    return message(CERTIFICATE, f"{chain:06x} {'00' * size}", more)


def said(*messages: str) -> str:
    """One record with these messages of a handshake."""
    return record(HANDSHAKE, " ".join(messages))


def ssl_2(kind: int, rest: str, size: int | None = None) -> str:
    """A message of SSL 2.0 behind its header of two bytes."""
    length = 1 + len(bytes.fromhex(rest)) if size is None else size
    return f"{0x8000 + length:04x} {kind:02x} {rest}"


def hello_2(suites: int = 3, session: int = 0, challenge: int = 16, version: str = "0002") -> str:
    sizes = f"{suites:04x} {session:04x} {challenge:04x}"
    return ssl_2(1, f"{version} {sizes} {'00' * (suites + session + challenge)}")


def server_2(sizes: str = "0001 0003 0004", version: str = "0002", behind: int = 8) -> str:
    return ssl_2(4, f"00 01 {version} {sizes} {'00' * behind}")


def heartbeat(kind: int, payload: int, size: int, version: str = "0303") -> str:
    return record(24, f"{kind:02x} {payload:04x} {'00' * (size - 3)}", version)


LARGE = "00" * 16
SERVED = said(server())

# Rule -> what it fires on, and what not.
TLS_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "tls.record_bad": (
        (
            # RFC 8446 5.1, RFC 6520: types 20 to 24, versions 3.0 to 3.4.
            *(record(kind, "0100") for kind in (0, 1, 19, 25, 127)),
            *(record(23, "0100", version) for version in ("0203", "0403", "0003", "0305", "03ff")),
            *(f"{SEALED} {record(*one)}" for one in ((19, "00"), (25, "00"), (23, "00", "0305"))),
            # 5.1: none of these is empty; RFC 5246 6.2.3: 2^14 + 2048 bytes at most.
            *(record(kind, "") for kind in (20, 21, 22)),
            *(f"{SEALED} {record(kind, '')}" for kind in (20, 21, 22)),
            *(record(kind, LARGE, size=0x4801) for kind in (20, 22, 23, 24)),
            *(f"{OUTER} {SEALED} {record(kind, LARGE, size=0x4801)}" for kind in (20, 23)),
            record(HANDSHAKE, client(), size=0x4001),
            # RFC 8446 4.1.3, RFC 5246 E.1: a server has one version in hello and record, and 3.
            *(record(HANDSHAKE, server(version=version), "0303") for version in ("0300", "0301")),
            *(record(HANDSHAKE, server(version=version), "0303") for version in ("0302",)),
            *(record(HANDSHAKE, server(version="0303"), version) for version in ("0300", "0302")),
            *(record(HANDSHAKE, server(version="0303"), version) for version in ("0304",)),
            *(
                said(hello(version=version))
                for hello in (client, server)
                for version in ("0203", "0403", "fefd")
            ),
            f"{SEALED} {record(HANDSHAKE, server(), '0301')}",
            record(HANDSHAKE, server("20" + "00" * 32), "0301"),
            # RFC 6176: SSL 2.0, whose server's hello its fields fill; none behind a record.
            *(f"{OUTER} {server_2(*one)}" for one in ((), ("0000 0003 0005",))),
            *(f"{OUTER} {server_2(*one)}" for one in (("0008 0000 0000",),)),
            *(ssl_2(kind, "0002 0000") for kind in (0, 1, 4)),
            "8000 0000 00",
            "ffff 0000 00",
        ),
        (
            *(record(kind, "0100") for kind in range(20, 25)),
            *(record(23, "0100", version) for version in ("0300", "0301", "0302", "0303", "0304")),
            *(record(kind, "") for kind in (23, 24)),
            *(record(kind, LARGE, size=0x4800) for kind in (20, 22, 23, 24)),
            *(f"{OUTER} {record(kind, LARGE, size=0x4801)}" for kind in (20, 22, 23, 24)),
            record(HANDSHAKE, client(), size=0x4000),
            record(HANDSHAKE, f"03 {client()[3:]}", size=0x4001),
            *(record(HANDSHAKE, hello(), "0303") for hello in (client, server)),
            *(record(HANDSHAKE, client(), version) for version in ("0300", "0301", "0304")),
            record(HANDSHAKE, server(more=1), "0301"),
            record(HANDSHAKE, server("21" + "00" * 33), "0301"),
            *(
                said(hello(version="0403", more=more))
                for hello in (client, server)
                for more in (1, -1)
            ),
            said(message(3, f"0403 {RANDOM} 00")),
            # Behind an alert a connection may go on without TLS.
            *(f"{record(ALERT, '0100')} {behind}" for behind in ("00", "323236206f6b")),
            *(f"{record(ALERT, '0100')} {behind}" for behind in ("19 0303 0001 00",)),
            *(f"{OUTER} {server_2(sizes)}" for sizes in ("0001 0003 0003", "0001 0003 0005")),
            *(f"{OUTER} {server_2(version=version)}" for version in ("0003", "0102", "0300")),
            *(f"{OUTER} {ssl_2(kind, '00 01 0002 0001 0003 0004' + '00' * 8)}" for kind in (0, 1)),
            *(f"{OUTER} {ssl_2(kind, '00 01 0002 0001 0003 0004' + '00' * 8)}" for kind in (3, 5)),
            f"{SEALED} 17 03",
        ),
    ),
    "tls.handshake_bad": (
        (
            # RFC 8446 4.1.2: a session of 32 bytes at most, suites of two, a compression at least.
            *(
                said(hello(f"{size:02x} {'00' * size}"))
                for hello in (client, server)
                for size in (33, 34, 255)
            ),
            *(said(client(suites=suites)) for suites in ("0000", "0001 13", "0003 130113")),
            *(said(client(version=version, compression="00")) for version in ("0300", "0304")),
            said(client("20" + "00" * 32, compression="00")),
            # 4.2: extensions that fill the hello, and lie inside of it.
            *(said(client(rest=rest)) for rest in ("00", "0001", "0000 00", "0005 0000 0000")),
            *(said(client(rest=rest)) for rest in ("0003 0000 00",)),
            *(said(client(rest=rest)) for rest in ("0004 0000 0001", "0008 0000 0001 00 0000")),
            *(said(client(rest=rest)) for rest in ("0001 00 00",)),
            *(said(server(rest=rest)) for rest in ("0001", "0000 00", "0004 0000 0001")),
            *(said(server(rest=rest)) for rest in ("0005 0000 0000",)),
            *(said(client(suites=suites)) for suites in ("0004 1301", "0006 1301")),
            said(client(compression="02 00")),
            *(said(client(), rest) for rest in ("00", "0000 0000", message(DONE, ""))),
            *(said(message(kind, f"0303 {RANDOM}")) for kind in (CLIENT, SERVER)),
            *(said(message(kind, f"0303 {RANDOM} 00 00")) for kind in (CLIENT, SERVER)),
            # RFC 5246 7.4: what a server says in the clear behind its hello.
            *(said(server(), message(kind, "00")) for kind in (0, 1, 2, 3, 5, 8, 10, 15, 16, 20)),
            *(said(server(), message(kind, "00")) for kind in (24, 255)),
            *(f"{SERVED} {said(message(kind, '00'))}" for kind in (0, 1, 8, 15, 20, 24)),
            said(server(), message(DONE, ""), message(3, "")),
            # 7.4.2: a chain that fills its message; RFC 8446 section 4: no other kinds.
            *(said(certificate(chain, 2)) for chain in (0, 1, 3, 0x10002)),
            *(said(certificate(2, 2, more)) for more in (-1, 1)),
            *(said(server(), certificate(chain, 2)) for chain in (0, 1, 3, 0x10002)),
            *(f"{SERVED} {said(certificate(chain, 2))}" for chain in (1, 3)),
            *(said(message(kind, "000000")) for kind in (3, 5, 7, 8, 9, 10, 17, 18, 19, 20, 24)),
            *(said(message(kind, "000000")) for kind in (25, 254, 255)),
        ),
        (
            *(
                said(hello(f"{size:02x} {'00' * size}"))
                for hello in (client, server)
                for size in (0, 1, 31, 32)
            ),
            *(said(client(suites=suites)) for suites in ("0002 1301", "0004 13011302")),
            *(said(client(compression=compression)) for compression in ("01 00", "02 0001")),
            *(
                said(hello(rest=rest))
                for hello in (client, server)
                for rest in ("", "0000", "0004 0000 0000", "0005 0000 0001 00")
            ),
            said(client(rest="0008 0000 0000 0001 0000")),
            said(client(more=1)),
            said(server(more=1)),
            *(said(client(version=version, compression="00")) for version in ("0203", "0305")),
            *(said(client(version=version, compression="00")) for version in ("0403",)),
            *(said(server(), message(kind, "00")) for kind in (4, 12, 13, 14, 22, 23)),
            *(said(server(), certificate(chain, chain)) for chain in (0, 2)),
            f"{SERVED} {record(20, '01')} {said(message(3, '00'))}",
            f"{SERVED} {record(HANDSHAKE, message(3, '00'), '0403')}",
            *(said(certificate(chain, chain)) for chain in (0, 2)),
            said(certificate(3, 2, 1)),
            *(said(certificate(5, 2, more)) for more in (-3, 4)),
            *(said(message(kind, "000000")) for kind in (0, 4, 6, *range(12, 17), 21, 22, 23)),
            *(said(message(kind, "000000", more)) for kind in (3, 20) for more in (-1, 1)),
            *(said(f"{kind:02x} 010008 {'00' * 8}") for kind in (3, 20)),
            said("0b 010005 000003 0000"),
            said(server("21" + "00" * 33).replace("02 00", "02 01", 1)),
            *(record(kind, client(compression="00")) for kind in (20, 23, 24)),
            record(HANDSHAKE, client(compression="00"), "0203"),
        ),
    ),
    "tls.sslv2": (
        (
            # RFC 6101 E.1, RFC 5246 E.2: suites of three bytes, and sizes that fill the hello.
            *(hello_2(*sizes) for sizes in ((3, 0, 16), (3, 16, 16), (30, 0, 32), (3, 0, 0))),
            *(hello_2(version=version) for version in ("0002", "0300", "0301", "0302", "0303")),
        ),
        (
            *(hello_2(*sizes) for sizes in ((0, 0, 16), (1, 0, 16), (2, 0, 16), (4, 0, 16))),
            *(hello_2(version=version) for version in ("0001", "0003", "02ff", "0304", "0200")),
            *(ssl_2(1, f"0002 0003 0000 0010 {'00' * size}") for size in (18, 20)),
            *(ssl_2(kind, f"0002 0003 0000 0010 {'00' * 19}") for kind in (0, 2, 4)),
            *(ssl_2(1, f"0002 0003 0000 0010 {'00' * 19}", size) for size in (27, 29)),
            "001c 01 0002 0003 0000 0010" + "00" * 19,
        ),
    ),
    "tls.heartbeat_abuse": (
        (
            # RFC 6520 section 4: kind, length, payload and 16 bytes of padding at least.
            *(heartbeat(kind, payload, 19) for kind in (1, 2) for payload in (1, 16, 0x4000)),
            *(heartbeat(kind, 0, 18) for kind in (1, 2)),
            *(heartbeat(kind, 16, 34) for kind in (1, 2)),
            *(heartbeat(kind, 0, 19) for kind in (0, 3)),
            *(heartbeat(1, payload, size) for payload, size in ((17, 35), (32, 35), (62, 80))),
            *(heartbeat(1, 1, 19, version) for version in ("0300", "0301", "0302")),
        ),
        (
            *(heartbeat(kind, payload, 19 + payload) for kind in (1, 2) for payload in (0, 1, 15)),
            *(heartbeat(1, payload, 35) for payload in (0, 15, 16, 33, 0x4000)),
            *(heartbeat(kind, 17, 35) for kind in (0, 2, 3)),
            *(heartbeat(0, 0x4000, size) for size in (35, 36)),
            *(heartbeat(1, 1, 19, version) for version in ("0304", "0403", "0203")),
            *(record(kind, "01 4000") for kind in (23, 25)),
        ),
    ),
}
