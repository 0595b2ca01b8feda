"""Bounds of the rules on lines of SMTP and SSH, and on SSH's packets: what each fires on, and what
not."""

from __future__ import annotations

from header_bounds import Cases
from procwire.layers import MAIL_PORTS


def sent(lines: str, port: int = 25) -> str:
    """What a client of SMTP sends; "|" stands for the end of a line."""
    return f"c000 {port:04x} | {_hex(lines)}"


def replied(lines: str, port: int = 25) -> str:
    return f"{port:04x} c000 | {_hex(lines)}"


def banner(line: str) -> str:
    """What a peer of SSH begins with."""
    return _hex(line)


def _hex(lines: str) -> str:
    return lines.replace("|", "\r\n").encode("latin-1").hex()


def packet(size: int, padding: int, message: int = 21) -> str:
    """The beginning of a packet of SSH that says these sizes."""
    return f"{size:08x} {padding:02x} {message:02x} 000000"


# Rule -> what it fires on, and what not.
LINE_BOUNDS: dict[str, tuple[Cases, Cases]] = {
    "smtp.line_bad": (
        (
            # RFC 5321 4.5.3.1.4: 512 bytes with CR LF; RFC 3461, RFC 4954 and others add to paths.
            sent(f"QUIT|HELO {'a' * 506}|"),
            sent(f"MAIL FROM:<{'a' * 2035}>|"),
            sent(f"RCPT TO:<{'a' * 2037}>|"),
            # 2.3.8: a CR only before a LF, and a LF only behind a CR.
            *(sent(f"{verb}\n") for verb in ("data", "rset", "quit")),
            *(sent(f"{verb} a\n") for verb in ("ehlo", "helo", "auth", "bdat 1", "starttls")),
            sent("MAIL FROM:<a@b>|RCPT TO:<c@d>\n"),
            sent("MAIL FROM:<a@b>|RSET|RCPT TO:<c\0@d>|"),
            *(sent(f"QUIT|{line}|") for line in ("EHLO a\rb", "DATA\ra", "RSET\ra", "QUIT\ra")),
            sent(f"HELO {'a' * 507}"),
            sent(f"MAIL FROM:<{'a' * 2037}"),
            # RFC 3030 section 2: BDAT, a number, and LAST at most.
            *(sent(f"BDAT {end}|") for end in ("1 FAST", "1xLAST", "1 LASTx", "1  LAST", "1 ")),
            *(sent(f"BDAT {end}|") for end in ("-1",)),
            *(sent(f"BDAT {end}|") for end in ("/", ":", "1/", "1:", " 1", " LAST", "1" * 20)),
            # RFC 5321 4.2: 2 to 5, 0 to 5, 0 to 9, then a space, a hyphen or nothing.
            *(replied(f"{code} a|") for code in ("150", "650", "260", "25:", "25/", "2:0", "2/0")),
            *(replied(f"{code} a|") for code in ("000", "999", "25", "2 50", "25x")),
            *(replied(f"250{mark}a|") for mark in ",./!"),
            *(replied(f"{codes} a|") for codes in ("250-a|251", "250-a|240", "250-a|350")),
            *(replied(f"{codes} a|") for codes in ("250-a|2",)),
            replied("250-a|250-b|251 c|"),
            replied("250-a|250 b|260 c|"),
            replied("220 a\rb|"),
            *(replied(f"220 abcd{byte}|") for byte in "\0\r"),
            replied("220 a~bcd\n"),
            replied("220 a|220 b\n"),
            *(replied("220 a\n", port) for port in MAIL_PORTS),
            # 4.5.3.1.5: 512 bytes with CR LF.
            replied(f"250 {'a' * 507}|"),
            replied(f"250-a|250 {'a' * 507}|"),
            replied(f"250 {'a' * 508}"),
            replied(f"250-a|250 {'a' * 508}"),
        ),
        (
            sent(f"HELO {'a' * 505}|"),
            sent(f"QUIT|HELO {'a' * 505}|"),
            sent(f"QUIT|HELO {'a' * 506}"),
            sent(f"MAIL FROM:<{'a' * 2036}"),
            sent(f"MAIL FROM:<{'a' * 2034}>|"),
            sent(f"RCPT TO:<{'a' * 2036}>|"),
            *(sent(f"{verb}|") for verb in ("data", "rset", "quit", "RSET|QUIT", "Rset|Quit|Data")),
            # What follows is mail, TLS, or an answer of any length.
            *(sent(f"{last}|EHLO a\n") for last in ("DATA", "BDAT 8", "STARTTLS", "AUTH LOGIN")),
            sent(f"AUTH PLAIN {'a' * 4000}|"),
            *(sent(f"{line}\n") for line in ("database", "rsets", "quits", "mail me", "rcpt of")),
            *(sent(f"BDAT {end}|") for end in ("0", "9", "09", "1 LAST", "1 last", "1" * 19)),
            *(replied(f"{code} a|") for code in ("200", "209", "250", "259", "500", "559")),
            *(replied(f"{code} a|") for code in ("250-a|250", "250-a|250-b|250")),
            *(replied(f"{code} a|") for code in ("250-a|250 b|550",)),
            *(replied(f"250{mark}") for mark in ("|", " |", "-|", "-")),
            replied(f"250 {'a' * 506}|"),
            replied(f"250-a|250 {'a' * 506}|"),
            replied(f"250 {'a' * 507}"),
            replied(f"250-a|250 {'a' * 507}"),
            # What does not begin with a digit, or has bytes that are no text, is no reply.
            *(replied(f"{start}20 a\n") for start in "/:"),
            *(replied(f"290 abc{byte}\n") for byte in "\t\x7f\0\x80"),
            replied("290 \t\n"),
            *(replied("220 a\n", port) for port in (24, 26, 464, 466, 586, 588)),
        ),
    ),
    "ssh.banner_bad": (
        (
            # RFC 4253 4.2: SSH-2.0-software, 255 bytes with CR LF; 5.1: an old one has version 1.
            *(banner(f"SSH-{version}-a|") for version in ("0.9", "3.0", "2.1", "2.00", "20.0")),
            *(banner(f"SSH-{version}-a|") for version in ("2.",)),
            *(banner(f"SSH-{version}-a|") for version in ("1.", "1.x", "1;5", "1", "1.5x", "1./")),
            *(banner(f"SSH-{version}-a|") for version in ("1.:",)),
            *(banner(f"SSH-2.0{mark}a|") for mark in " ._,"),
            *(banner(f"SSH-2.0-{start}|") for start in (" a", "\x1f", "\x7f", "a\x1fb", "a\x7f")),
            *(banner(f"SSH-2.0-{start}|") for start in ("\xff",)),
            banner("SSH-1.99-a\xff|"),
            banner("SSH-2.0-a\0 b|"),
            banner("SSH-2.0-\r|"),
            banner(f"SSH-2.0-{'a' * 246}|"),
            banner(f"SSH-2.0-{'a' * 247}\n"),
            banner(f"SSH-2.0-{'a' * 248}"),
        ),
        (
            *(banner(f"SSH-{version}-a|") for version in ("2.0", "1.0", "1.5", "1.9", "1.99")),
            *(banner(f"SSH-2.0-{name}|") for name in ("!", "~", "a-b", "a b\0", "a \x7f", "-")),
            banner("SSH-2.0-a\n"),
            banner(f"SSH-2.0-{'a' * 245}|"),
            banner(f"SSH-2.0-{'a' * 246}\n|"),
            banner(f"SSH-2.0-{'a' * 247}"),
        ),
    ),
    "ssh.packet_len": (
        (
            # RFC 4253 section 6: 16 bytes at least, a whole number of 8, padding of 4 at least, and
            # a message.
            *(packet(size, 4) for size in (0, 4, 11, 13, 14, 16, 19, 21, (1 << 18) + 4)),
            *(packet(12, padding) for padding in (0, 3, 11, 12, 255)),
            packet(252, 251),
        ),
        (
            *(packet(size, 4) for size in (12, 20, 28, (1 << 18) - 4)),
            *(packet(12, padding) for padding in (4, 10)),
            packet(252, 250),
            packet(260, 255),
        ),
    ),
    "ssh.message_early": (
        # RFC 4250 4.1.2: 5 and 6 are services, 50 and above what they and log-ins say.
        tuple(packet(12, 4, message) for message in (5, 6, 50, 79, 80, 127, 128, 255)),
        tuple(packet(12, 4, message) for message in (1, 4, 7, 20, 21, 30, 49)),
    ),
}
