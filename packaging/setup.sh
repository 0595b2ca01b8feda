#!/bin/bash
# Makes a fresh Debian machine ready: setup.sh demo|test|vm|bench
#
# Installs what is missing and nothing else: Debian packages (apt-*.txt beside this file), a virtual
# environment in .venv, the project itself with its cffi modules and eBPF object. Every step leaves a
# stamp in .cache with the digest of what it depends on, so that a second run only compares.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "set-up: $*" >&2; exit 4; }
say() { echo "set-up: $*" >&2; }

# bcc's bindings are built for the distribution's Python, and no other is sure to have a -dev package.
PYTHON=/usr/bin/python3
VENV=.venv

declare -A LISTS=([demo]="demo" [test]="demo test vm" [vm]="demo test vm" [bench]="demo test bench")
declare -A STOCK_KERNELS=([test]="5.10" [vm]="5.10 6.1 6.12 newest")
kind=${1:-}
if [[ -z ${LISTS[$kind]:-} ]]; then
    echo "usage: setup.sh demo|test|vm|bench" >&2
    exit 2
fi
[[ $(id -u) == 0 ]] || die "installing packages and loading eBPF programs needs root; sudo make $kind"
command -v apt-get >/dev/null || die "apt-get is missing; the set-up knows Debian 12 and later only"
mkdir -p .cache

# Runs a command with its output in .cache/NAME.log; on failure shows the end of it and what to do.
logged() {
    local name=$1 limit=$2
    shift 2
    timeout "$limit" "$@" >".cache/$name.log" 2>&1 </dev/null && return
    # What timeout(1) returns of what it ended.
    [[ $? != 124 ]] || die "ended after $limit s: $*; set up again, it goes on from there"
    tail -n 15 ".cache/$name.log" >&2
    die "failed: $* (all of its output: .cache/$name.log)"
}

stamped() { [[ -f .cache/$1.stamp && $(<".cache/$1.stamp") == "$2" ]]; }
stamp() { echo "$2" >".cache/$1.stamp"; }

system_packages() {
    local wanted missing=() package
    mapfile -t wanted < <(for list in ${LISTS[$kind]}; do cat "packaging/apt-$list.txt"; done | sort -u)
    # Debian 12 has it in qemu-system-common.
    [[ ${LISTS[$kind]} == *vm* ]] && ! grep -q '^VERSION_ID="12"' /etc/os-release &&
        wanted+=(virtiofsd)
    for package in "${wanted[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    [[ ${#missing[@]} == 0 ]] && return
    say "installing with apt-get: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    logged apt-update 300 apt-get update -q
    logged apt-install 900 apt-get install -qy --no-install-recommends "${missing[@]}"
}

environment() {
    local version
    version=$("$PYTHON" -c 'import sys; print(sys.version)')
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$PYTHON is ${version%% *}, procwire needs 3.11 or later; use Debian 12 or later"
    [[ -x $VENV/bin/python ]] && stamped environment "$version" && return
    say "making the virtual environment $VENV"
    rm -rf "$VENV"
    logged venv 300 "$PYTHON" -m venv "$VENV"
    stamp environment "$version"
}

project() {
    local digest requirements
    digest=$(find .cache/environment.stamp pyproject.toml setup.py bindings kernel -type f -print0 |
        sort -z | xargs -0 sha256sum | sha256sum)
    stamped project "$digest" && return
    say "installing procwire and what it needs into $VENV (pip; minutes the first time)"
    mapfile -t requirements < <("$PYTHON" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")')
    logged pip-build 600 "$VENV/bin/python" -m pip install --quiet "${requirements[@]}"
    logged pip 1800 "$VENV/bin/python" -m pip install --quiet --no-build-isolation -e '.[dev]'
    stamp project "$digest"
}

kernels() {
    local digest
    digest=$(find userspace -name '*.py' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    stamped kernels "$digest" && return
    say "compiling the packet kernels for this machine (some three minutes the first time)"
    # Whoever may not write here, or nowhere at all, would compile the sources at each start.
    logged bytecode 300 "$VENV/bin/python" -m compileall -q userspace/procwire
    logged kernels 900 "$VENV/bin/python" -m procwire.warm
    stamp kernels "$digest"
}

suricatas() {
    local version
    for version in 7 8; do
        [[ -x .cache/suricata$version/suricata ]] && continue
        say "fetching Debian's Suricata $version into .cache/suricata$version"
        # The tests that need it say so and skip.
        packaging/suricata.sh "$version" ".cache/suricata$version" ||
            say "going on without Suricata $version"
    done
}

stock_kernels() {
    local kernel
    for kernel in ${STOCK_KERNELS[$kind]:-}; do
        [[ -f .cache/kernels/$kernel/release ]] && continue
        say "fetching Debian's kernel $kernel into .cache/kernels"
        # The tests that need it say so and skip.
        "$PYTHON" packaging/kernel.py "$kernel" ".cache/kernels/$kernel" ||
            say "going on without kernel $kernel"
    done
}

fetched() {
    [[ $kind == demo || $kind == vm ]] || suricatas
    stock_kernels
}

system_packages
# What is fetched waits for others and what is compiled does not. Nothing outlives the set-up.
fetched &
trap wait EXIT
environment
project
[[ $kind == vm ]] || kernels
