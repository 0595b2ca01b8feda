"""The identification string that opens SSH (RFC 4253 4.2). A rule sees the line, in Suricata a
segment that begins with it; what a server may say before it is not judged, nor comments, nor a lone
line feed at the end, which servers of both protocol versions send. A client that begins with
anything else, or a server with what is no line, is observed by decode/spoken.py under the same
name.
"""

from procwire.rule import rule
from procwire.words import captured, find, u8

LF, CR, SPACE, MINUS, DOT, ZERO, NINE, LAST_PRINTABLE = 10, 13, 32, 45, 46, 48, 57, 126
LONGEST = 255  # with CR LF
VERSION = 4  # behind "SSH-"
MOST_DIGITS = 8
OLD, CURRENT = 1, 2


def text(line: str) -> str:
    """A line as an example; "|" stands for its end."""
    return line.replace("|", "\r\n").encode("latin-1").hex()


@rule(
    id="ssh.banner_bad",
    sid=9101451,
    title="SSH identification that is too long or not version and software",
    reference="RFC 4253 4.2",
    needs=4,
    at=(0, 32),
    suricata=("app.ssh.invalid_banner", "app.ssh.long_banner"),
    zeek=(
        "malformed_ssh_identification",
        "malformed_ssh_version",
        "SSH_cannot_determine_version",
        "SSH_version_mismatch",
    ),
    fires_on=[
        text("SSH-2.0|"),
        text("SSH-2.0-|"),
        text("SSH-2.0- comment|"),
        text("SSH-2-OpenSSH_9.7|"),
        text("SSH-.0-OpenSSH_9.7|"),
        text("SSH-2.1-OpenSSH_9.7|"),
        text("SSH-3.0-OpenSSH_9.7|"),
        text("SSH-2.0-Open\x00SSH|"),
        text("SSH-2.0-Open\xe9SSH|"),
        text("SSH-2.0-Open\rSSH|"),
        text(f"SSH-2.0-{'A' * 246}|"),
        text(f"SSH-2.0-{'A' * 300}"),
    ],
    silent_on=[
        text("SSH-2.0-OpenSSH_9.7|"),
        text("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3|"),
        text("SSH-2.0-Cisco-1.25|"),
        text("SSH-1.99-OpenSSH_3.9p1|"),
        text("SSH-1.5-1.2.27\n"),
        text("SSH-2.0-libssh2_1.11.0 \xe9t\xe9\x00|"),
        text(f"SSH-2.0-{'A' * 245}|"),
        text("SSH-2"),
        text("SSH-2.0-Go|") + "0000 0454 0a14 0000 0a",
    ],
)
def ssh_identification_wrong(p):
    """Both sides parse it before anything is authenticated, so it is what attacks on SSH begin
    with; what only greets like SSH says so here, too."""
    end = find(p, 0, LF)
    if end == captured(p) or end >= LONGEST:
        return captured(p) > LONGEST
    if u8(p, end - 1) == CR:
        end -= 1
    major = u8(p, VERSION) - ZERO
    if u8(p, VERSION + 1) != DOT or not OLD <= major <= CURRENT:
        return True
    at = VERSION + 2
    for _digit in range(MOST_DIGITS):
        if not ZERO <= u8(p, at) <= NINE:
            break
        at += 1
    if at == VERSION + 2 or u8(p, at) != MINUS:
        return True
    if major == CURRENT and (at != VERSION + 3 or u8(p, at - 1) != ZERO):
        return True
    at += 1
    if u8(p, at) <= SPACE:
        return True
    for i in range(LONGEST):
        if i >= at and i < end:
            if u8(p, i) == SPACE:
                return False
            if not SPACE < u8(p, i) <= LAST_PRINTABLE:
                return True
    return False
