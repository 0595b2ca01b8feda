"""Puts a stock Debian kernel into a folder, ready to boot in a virtual machine: kernel.py 6.1 DIR

Nothing is installed and the machine's apt state stays as it is: private package lists, the archive
that the machine itself uses, the packages unpacked beside DIR and thrown away. What stays is
`vmlinux`, the modules that a test machine wants in the order of their loading, and `release`.
"""

from __future__ import annotations

import lzma
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

# The cloud flavour has BTF, boots in a second and is a third of the size of the general one.
PACKAGE = "linux-image-cloud-amd64"
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "newest": "sid"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The share of the host's files, what lies over it, and the interfaces that scenarios make.
MODULES = ("virtio_pci", "virtiofs", "overlay", "veth")

# From 7.0 on the image is a package without files that depends on these.
PART = re.compile(r"Depends: (linux-(?:binary|modules|base)-\d\S*)")
IMAGE = re.compile(r"Depends: (linux-image-\d\S*)")
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")

# Fields of the boot header: Documentation/arch/x86/boot.rst.
SETUP_SECTORS, PAYLOAD_OFFSET, SECTOR = 0x1F1, 0x248, 512
# By magic number. All but gzip are followed by four bytes that are not theirs: the unpacked size.
DECOMPRESSORS = {b"\x28\xb5\x2f\xfd": ("zstd", "-dcq"), b"\x02\x21\x4c\x18": ("lz4", "-dcq")}
SIZE_APPENDED = 4


def fetch(kernel: str, target: Path) -> None:
    """Download, unpack and prepare one of SUITES. Raises SystemExit with the reason."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work, ready = Path(folder), Path(folder) / "ready"
        root = unpacked(kernel, work)
        ready.mkdir()
        (tree,) = [*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")]
        images = [*root.glob("boot/vmlinuz-*"), *tree.glob("vmlinuz")]
        (ready / "vmlinux").write_bytes(vmlinux(images[0].read_bytes()))
        for place, module in enumerate(in_order(MODULES, tree)):
            name = module.name.partition(".")[0]
            (ready / f"{place:02}-{name}.ko").write_bytes(plain(module))
        (ready / "release").write_text(f"{tree.name}\n")
        shutil.rmtree(target, ignore_errors=True)
        ready.rename(target)


def unpacked(kernel: str, work: Path) -> Path:
    """The folder that holds the files of the kernel's packages."""
    suite, archive = SUITES[kernel], machine_archive()
    for part in ("lists/partial", "archives/partial", "root"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::status": work / "status",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 30,
        "Acquire::https::Timeout": 30,
    }
    private = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    run(["apt-get", *private, "update", "-qq"], 180)
    image = IMAGE.findall(run(["apt-cache", *private, "depends", PACKAGE], 60))[0]
    parts = PART.findall(run(["apt-cache", *private, "depends", image], 60))
    run(["apt-get", *private, "download", "-qq", *(parts or [image])], 300, work)
    for package in work.glob("*.deb"):
        run(["dpkg-deb", "-x", str(package), str(work / "root")], 120)
    return work / "root"


def machine_archive() -> str:
    """The Debian archive among the machine's sources. Security updates lie in one of their own,
    without the other suites."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Identifier: Packages"],
        60,
    )
    for line in listed.splitlines():
        release, _, archive = line.partition(" ")
        if not release.endswith("-security") and "debian" in archive:
            return archive
    raise SystemExit("kernel.py: no Debian archive among apt's sources; see apt-get indextargets")


def vmlinux(image: bytes) -> bytes:
    """The ELF file inside a bzImage: booting it spares the guest seconds of unpacking."""
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR + offset
    payload = image[start : start + length]
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(payload)
    payload = payload[:-SIZE_APPENDED]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(payload)
    command = DECOMPRESSORS[payload[:4]]
    return subprocess.run(command, input=payload, stdout=subprocess.PIPE, check=True).stdout


def in_order(names: Iterable[str], tree: Path) -> list[Path]:
    """Module files so that each follows those it depends on. What has no file is built in."""
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name.replace("-", "_"))
        if path is None or path in ordered:
            return
        found = DEPENDS.search(plain(path))
        for needed in found[1].decode().split(",") if found else ():
            add(needed)
        ordered.append(path)

    for name in names:
        add(name)
    return ordered


def plain(module: Path) -> bytes:
    """The module as busybox's insmod takes it."""
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def run(command: list[str], seconds: int, folder: Path | None = None) -> str:
    """What the command wrote. Raises SystemExit with the end of what it complained of."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, cwd=folder, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"kernel.py: no end of {command[0]} in {seconds} s; try again") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"kernel.py: {command[0]}: {error.stderr.strip()[-400:]}") from error
    return done.stdout


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in SUITES:
        raise SystemExit(f"usage: kernel.py {'|'.join(SUITES)} DIR")
    kernel, target = sys.argv[1], Path(sys.argv[2]).absolute()
    if platform.machine() != "x86_64":
        raise SystemExit(f"kernel.py: boots x86-64 kernels, not on {platform.machine()}")
    if not KEYRING.exists():
        raise SystemExit(f"kernel.py: no {KEYRING}; apt-get install debian-archive-keyring")
    if not (target / "release").exists():
        fetch(kernel, target)


if __name__ == "__main__":
    main()
