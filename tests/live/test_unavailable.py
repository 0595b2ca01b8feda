"""What watch and the demo say where something that they need is missing."""

from __future__ import annotations

import os
import sys

import pytest
from commands_running import PROCWIRE, ROOT, ended
from nobody import needs_open_folders

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to take away what is there"),
]
UNAVAILABLE = 4


@needs_open_folders
def test_without_privilege_the_missing_one_and_its_remedy_are_named() -> None:
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    ran = ended([*user, str(PROCWIRE), "watch"])
    assert ran.returncode == UNAVAILABLE
    assert "CAP_BPF" in ran.stderr
    assert "sudo" in ran.stderr


# In a mount namespace of its own.
HIDE_BTF_AND_BCC = """
mount -t tmpfs none /sys/kernel/btf
bcc=/usr/lib/python3/dist-packages/bcc
if [ -d $bcc ]; then mount -t tmpfs none $bcc; fi
exec "$@"
"""


@pytest.mark.parametrize(
    ("loader", "package"),
    [("auto", "python3-bpfcc"), ("bcc", "python3-bpfcc"), ("libbpf", "linux-image")],
)
def test_without_btf_the_package_is_named(loader: str, package: str) -> None:
    hidden = ["unshare", "-m", "sh", "-c", HIDE_BTF_AND_BCC, "sh"]
    ran = ended([*hidden, str(PROCWIRE), "watch", "--loader", loader])
    assert ran.returncode == UNAVAILABLE
    assert "BTF" in ran.stderr or loader == "bcc"
    assert f"apt-get install {package}" in ran.stderr


def test_the_demo_without_ebpf_says_why_and_checks_packets() -> None:
    demo = ROOT / "packaging" / "demo.py"
    hidden = ["unshare", "-m", "sh", "-c", HIDE_BTF_AND_BCC, "sh"]
    ran = ended([*hidden, sys.executable, str(demo)])
    assert ran.returncode == 0
    assert "BTF" in ran.stderr
    assert "RFC 9293" in ran.stdout


def test_the_demo_without_network_namespaces_names_what_would_mend_it() -> None:
    demo = ROOT / "packaging" / "demo.py"
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /run && exec "$@"', "sh"]
    ran = ended([*hidden, sys.executable, str(demo)])
    assert ran.returncode == UNAVAILABLE
    assert "ip netns add" in ran.stderr
    assert "--privileged" in ran.stderr
    assert "Traceback" not in ran.stderr
