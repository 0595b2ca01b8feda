"""What services are called, by IP protocol and port: for baselines, and for what a control zone has
no use for.

A port tells what is asked for, not what answers; decode/spoken.py tells where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_TCP, _UDP = 6, 17

ENTERPRISE = ("smb", "rdp", "ssh", "winrm", "snmp", "ldap", "http", "netbios")
"""The protocols of offices that AN2050 names; control systems are managed otherwise."""

# IANA's service names and port numbers registry, and of Windows Remote Management the vendor's.
_PORTS: dict[str, dict[int, tuple[int, ...]]] = {
    "smb": {_TCP: (445,)},
    "rdp": {_TCP: (3389,), _UDP: (3389,)},
    "ssh": {_TCP: (22,)},
    "winrm": {_TCP: (5985, 5986)},
    "snmp": {_TCP: (161, 162), _UDP: (161, 162)},
    "ldap": {_TCP: (389, 636, 3268, 3269), _UDP: (389,)},
    "http": {_TCP: (80, 443, 8000, 8080, 8443), _UDP: (80, 443)},
    "netbios": {_TCP: (137, 138, 139), _UDP: (137, 138, 139)},
    "dns": {_TCP: (53, 853), _UDP: (53,)},
    "dhcp": {_UDP: (67, 68, 546, 547)},
    "ntp": {_UDP: (123,)},
    "telnet": {_TCP: (23,)},
    "ftp": {_TCP: (20, 21)},
    "tftp": {_UDP: (69,)},
    "smtp": {_TCP: (25, 465, 587)},
    "imap": {_TCP: (143, 993)},
    "pop3": {_TCP: (110, 995)},
    "syslog": {_TCP: (6514,), _UDP: (514,)},
    "rpc": {_TCP: (135, 111), _UDP: (111,)},
    "kerberos": {_TCP: (88,), _UDP: (88,)},
    "mdns": {_UDP: (5353,)},
    "mssql": {_TCP: (1433,), _UDP: (1434,)},
    "mysql": {_TCP: (3306,)},
    "postgresql": {_TCP: (5432,)},
    "vnc": {_TCP: (5900,)},
    "modbus": {_TCP: (502, 802)},
    "dnp3": {_TCP: (20000,), _UDP: (20000,)},
    "iec104": {_TCP: (2404,)},
    "s7comm": {_TCP: (102,)},
    "ethernet-ip": {_TCP: (44818,), _UDP: (2222, 44818)},
    "opc-ua": {_TCP: (4840, 4843)},
    "bacnet": {_UDP: (47808,)},
    "profinet": {_UDP: (34962, 34963, 34964)},
}

NAMES = ("", *_PORTS)
"""By number; 0 is a service without a name."""
_PROTOCOL_PLACES = np.zeros(256, np.uint8)
_PROTOCOL_PLACES[_TCP], _PROTOCOL_PLACES[_UDP] = 1, 2


def _table(names: Iterable[str]) -> NDArray[np.uint8]:
    """Number of the service by place of the protocol and port."""
    table = np.zeros((3, 65536), np.uint8)
    for number, name in enumerate(names):
        for protocol, ports in _PORTS.get(name, {}).items():
            table[_PROTOCOL_PLACES[protocol], list(ports)] = number
    return table


_NUMBERS = _table(NAMES)
IS_ENTERPRISE = np.isin(NAMES, ENTERPRISE)
"""By number of a service."""


def services(protocol: NDArray[np.uint8], port: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The number of each service (n,), an index into NAMES."""
    return _NUMBERS[_PROTOCOL_PLACES[protocol], port]


def has_name(port: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which ports (n,) are a service's of any protocol."""
    named: NDArray[np.bool_] = np.any(_NUMBERS[:, port], axis=0)
    return named
