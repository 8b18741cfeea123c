#!/usr/bin/env bash
# Prints the binaries that are proven, one a line. Usage: corpus.sh x86_64 | corpus.sh arm64 DIRECTORY
#
# x86_64: what is installed of a list. arm64: packages of Debian, fetched into the directory (Tests/debian.sh); nothing is installed. Ends
# with 77 where they cannot be fetched here.
set -euo pipefail

# shellcheck source=../debian.sh
. "$(dirname "$0")/../debian.sh"

x86_64() {
    local libraries=/usr/lib/x86_64-linux-gnu toolchain name path
    for name in libc.so.6 libstdc++.so.6 libcrypto.so.3 libssl.so.3 libsqlite3.so.0 libglib-2.0.so.0 libLLVM-14.so.1; do
        [ ! -e "$libraries/$name" ] || echo "$libraries/$name"
    done
    toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")
    printf '%s\n' "$toolchain"/lib/swift/linux/*.so
    for name in bash git perl node openssl redis-server nginx php ruby; do
        [ ! -e "/usr/bin/$name" ] || readlink -f "/usr/bin/$name"
    done
    for path in /usr/bin/python3.[0-9]* "$toolchain/bin/swift-frontend" /usr/lib/postgresql/*/bin/postgres \
        /usr/lib/jvm/java-17-*/lib/server/libjvm.so \
        "$HOME"/.rustup/toolchains/stable-*/lib/librustc_driver-*.so "$HOME"/.rustup/toolchains/stable-*/bin/cargo; do
        # Scripts of such a name there are too.
        [ "$(head -c 4 "$path" 2>/dev/null | tr -d '\177')" != ELF ] || echo "$path"
    done
}

# Package, and what is proven of it.
arm64_list="
libc6                    usr/lib/aarch64-linux-gnu/libc.so.6
libstdc++6               usr/lib/aarch64-linux-gnu/libstdc++.so.6
libssl3t64               usr/lib/aarch64-linux-gnu/libcrypto.so.3
libssl3t64               usr/lib/aarch64-linux-gnu/libssl.so.3
libsqlite3-0             usr/lib/aarch64-linux-gnu/libsqlite3.so.0
libglib2.0-0t64          usr/lib/aarch64-linux-gnu/libglib-2.0.so.0
libglib2.0-0t64          usr/lib/aarch64-linux-gnu/libgio-2.0.so.0
bash                     usr/bin/bash
git                      usr/bin/git
perl-base                usr/bin/perl
python3.13-minimal       usr/bin/python3.13
libruby3.3               usr/lib/aarch64-linux-gnu/libruby-3.3.so.3.3
libicu76                 usr/lib/aarch64-linux-gnu/libicui18n.so.76
nginx                    usr/sbin/nginx
redis-tools              usr/bin/redis-check-rdb
postgresql-17            usr/lib/postgresql/17/bin/postgres
openjdk-21-jre-headless  usr/lib/jvm/java-21-openjdk-arm64/lib/server/libjvm.so
libnode115               usr/lib/aarch64-linux-gnu/libnode.so.115
libmozjs-128-0           usr/lib/aarch64-linux-gnu/libmozjs-128.so.0
cargo                    usr/bin/cargo
libstd-rust-1.85         usr/lib/aarch64-linux-gnu/librustc_driver-*.so
g++-14-aarch64-linux-gnu usr/libexec/gcc/aarch64-linux-gnu/14/cc1plus
libllvm19                usr/lib/aarch64-linux-gnu/libLLVM.so.19.1
swiftlang                usr/libexec/swift/bin/swift-frontend
"

fail() {
    echo "error: no arm64 corpus. $1" >&2
    exit 77
}

fetch_arm64() {
    local apt=$1/apt
    find_mirror
    rm -rf "$1"
    mkdir -p "$1/root"
    (
        open_apt arm64 "$apt"
        # shellcheck disable=SC2046
        apt-get -qq download $(awk 'NF { print $1 }' <<<"$arm64_list" | sort -u) >/dev/null ||
            fail "A package is missing from $suite."
    ) || exit $?
    # Of a package, only what is proven: with what its links lead to, which bear longer names.
    local package pattern
    while read -r package pattern; do
        [ -n "$package" ] || continue
        dpkg-deb --fsys-tarfile "$apt/debs/${package}"_*.deb |
            tar -x -C "$1/root" --wildcards "./${pattern%.so*}*" || fail "$package has no $pattern."
    done <<<"$arm64_list"
    rm -rf "$apt"
    echo "$arm64_list" >"$1/stamp"
}

arm64() {
    local directory package pattern
    directory=$(realpath -m "${1:?usage: corpus.sh arm64 DIRECTORY}")
    [ "$(cat "$directory/stamp" 2>/dev/null)" = "$arm64_list" ] || fetch_arm64 "$directory"
    while read -r package pattern; do
        # shellcheck disable=SC2086
        [ -z "$package" ] || (cd "$directory/root" && for path in $pattern; do echo "$directory/root/$path"; done)
    done <<<"$arm64_list"
}

case "${1:-}" in
x86_64) x86_64 ;;
arm64) arm64 "${2:-}" ;;
*)
    echo "usage: corpus.sh x86_64 | corpus.sh arm64 DIRECTORY" >&2
    exit 2
    ;;
esac
