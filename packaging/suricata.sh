#!/bin/bash
# Puts a Suricata of a given major version, as Debian built it, into a directory: suricata.sh 7|8 DIR
#
# Nothing is installed and the machine's apt state stays as it is: private package lists with an empty
# dpkg status make apt fetch Suricata with every library it needs, C library included, and DIR/suricata
# starts it through that C library's own loader. A matching Suricata of the machine is used as it is.
set -euo pipefail

die() { echo "suricata.sh: $*" >&2; exit 4; }

declare -A SUITES=([7]="bookworm bookworm-backports" [8]="trixie trixie-backports")
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

version=${1:-} target=${2:-}
if [[ -z $target || -z ${SUITES[$version]:-} ]]; then
    echo "usage: suricata.sh 7|8 DIR" >&2
    exit 2
fi

usable() {
    local program=$1 described
    described=$("$program" --build-info 2>/dev/null) || return 1
    [[ $described == *"Suricata version $version."* ]] || return 1
    # 8 always has Lua; 7 only where it was built with it.
    [[ $version == 8 || $described == *" HAVE_LUA "* ]]
}

if [[ -x $target/suricata ]] && usable "$target/suricata"; then
    exit 0
fi
mkdir -p "$target"
target=$(cd "$target" && pwd)

if [[ -x /usr/bin/suricata ]] && usable /usr/bin/suricata; then
    ln -sfn /usr/bin/suricata "$target/suricata"
    exit 0
fi

command -v apt-get >/dev/null || die "apt-get is missing; this needs Debian, or a Suricata $version at /usr/bin/suricata"
[[ -r $KEYRING ]] || die "$KEYRING is missing; apt-get install debian-archive-keyring"

# The archive that the machine itself uses. Security updates lie in an archive of their own, without
# the other suites.
archive=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(SIGNED_BY)' 'Identifier: Packages' |
    awk '$1 !~ /-security/ && $2 ~ /debian/ { print $2; exit }')
[[ -n $archive ]] || die "no Debian archive among the machine's apt sources; see apt-get indextargets"

work=$target/work
rm -rf "$work" "$target/root"
mkdir -p "$work"/{lists/partial,archives/partial} "$work/root"
trap 'rm -rf "$work"' EXIT
: >"$work/status"
for suite in ${SUITES[$version]}; do
    echo "deb [signed-by=$KEYRING] $archive $suite main"
done >"$work/sources.list"

private=(
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists"
    -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives"
    -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o APT::Install-Recommends=0
    -o Acquire::Languages=none -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
)
# base-files and libc-bin, because some packages take the directories and links they make for granted.
wanted=(-t "${SUITES[$version]##* }" suricata base-files libc-bin)

fetch() {
    timeout 180 apt-get "${private[@]}" update -qq &&
        timeout 300 apt-get "${private[@]}" install -y -qq --download-only "${wanted[@]}"
}
fetch >"$work/log" 2>&1 || fetch >"$work/log" 2>&1 || {
    tail -5 "$work/log" >&2
    die "could not fetch Suricata $version (${SUITES[$version]}) from $archive; try again when it answers"
}

for package in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
        tar -C "$work/root" -xf - --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*'
done
# The file itself: Debian 12's link to it is absolute, and would lead to the machine's own.
loader=$(cd "$work/root" && find lib* usr/lib* -type f -name 'ld-linux*.so.*' -print -quit)
[[ -n $loader ]] || die "the fetched C library has no loader"
mv "$work/root" "$target/root"

cat >"$target/suricata" <<WRAPPER
#!/bin/bash
root=\$(dirname "\$(readlink -f "\$0")")/root
libraries=\$(printf '%s:' "\$root"/usr/lib/*-linux-gnu* "\$root"/lib/*-linux-gnu*)
exec "\$root/$loader" --library-path "\$libraries" --argv0 suricata "\$root/usr/bin/suricata" "\$@"
WRAPPER
chmod +x "$target/suricata"
usable "$target/suricata" || {
    why=$("$target/suricata" --build-info 2>&1 >/dev/null | head -n 1) || true
    rm "$target/suricata"
    die "the fetched Suricata does not run: $why"
}
