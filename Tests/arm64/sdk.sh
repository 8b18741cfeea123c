#!/usr/bin/env bash
# Makes what arm64 code is built and run with, on an x86_64 Debian machine: a cross SDK for the installed Swift toolchain,
# both emulators, kernels, and the libraries of the machine that is emulated. Usage: sdk.sh LINK
#
# It lies in the user's cache, named by this script and the compiler: clones share it, and what the compiler makes of the interfaces in
# it, which takes half a minute of a processor. LINK leads there; where there is no cache to write to, it is the folder itself.
#
# All of it are packages of Debian (Tests/debian.sh). Bookworm's qemu (7.2) is no use: in user mode it runs stale code after a write
# through another mapping, and as a machine it loses track of which pages are guarded.
# Nothing is installed. Ends with 77 where it cannot be made here.
set -euo pipefail

# shellcheck source=../debian.sh
. "$(dirname "$0")/../debian.sh"
libraries="libc6 libgcc-s1 libstdc++6 libcapstone5 libelf1t64 libdw1t64 zlib1g libzstd1 liblzma5 libbz2-1.0"
headers="libc6-dev linux-libc-dev libgcc-14-dev libstdc++-14-dev libcapstone-dev libelf-dev libdw-dev zlib1g-dev libzstd-dev liblzma-dev libbz2-dev"
# Metapackages: of each, the kernel it depends on. The second has pages of 16 KiB.
kernels="linux-image-cloud-arm64 linux-image-arm64-16k"

link=$(realpath -ms "${1:?usage: sdk.sh LINK}")
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")
of=$(cat "$(readlink -f "$0")" "$(dirname "$0")/../debian.sh" <(echo "$toolchain") <(swiftc --version 2>/dev/null | head -n 1) | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/swift-hotpatch
if mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ]; then out=$cache/arm64-sdk-$of; else out=$link; fi
stamp="$of $out"
# Who comes second waits for the first, and finds it made.
mkdir -p "$(dirname "$out")"
exec 9>"$out.lock"
flock 9
if [ "$out" != "$link" ]; then
    # Those of other compilers and scripts, if nobody has used them for a month.
    find "$cache" -mindepth 2 -maxdepth 2 -path '*/arm64-sdk-*/stamp' -mtime +30 -printf '%h\0' | xargs -0 -r rm -rf
    [ -L "$link" ] || rm -rf "$link"
    ln -sfn "$out" "$link"
fi
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    touch "$out/stamp"
    exit 0
fi

fail() {
    echo "error: no arm64 SDK. $1" >&2
    exit 77
}
[ "$(uname -m)" = x86_64 ] || fail "This script makes one on x86_64 only."
find_mirror

echo "making the arm64 SDK in $out"
rm -rf "$out"
mkdir -p "$out"/{root,swift,emulator,sdks/arm64.artifactbundle/t}

open_apt arm64 "$out/apt-arm64"
real=
for kernel in $kernels; do
    real+=" $(apt-cache depends "$kernel" | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)"
done
# shellcheck disable=SC2086
apt-get -qq download $libraries $headers swiftlang busybox-static $real || fail "A package is missing from $suite."
for deb in *.deb; do
    case $deb in
    swiftlang* | linux-image*) ;;
    *) dpkg-deb -x "$deb" "$out/root" ;;
    esac
done
[ -e "$out/root/lib" ] || ln -s usr/lib "$out/root/lib"
for kernel in $real; do
    # Not read to its end, which is modules.
    dpkg-deb --fsys-tarfile "$kernel"_*.deb 2>/dev/null \
        | tar -x -C "$out/emulator" --occurrence=1 --strip-components=2 --wildcards './boot/vmlinuz-*' || [ "${PIPESTATUS[1]}" = 0 ]
done
# Unpacks what is wanted of the toolchain's package, which is read from the standard input, and prints the names.
unpack_swift() {
    tar -x -v --ignore-zeros -C "$out/swift" --strip-components=5 \
        --exclude='*Foundation*.a' --exclude='*.abi.json' --exclude='*.swiftdoc' --exclude='*private.swiftinterface' \
        ./usr/libexec/swift/lib/swift/linux ./usr/libexec/swift/lib/swift/shims \
        ./usr/libexec/swift/lib/swift_static/linux ./usr/libexec/swift/lib/swift_static/shims
}
# It lies behind all programs, in the last eighth of 2 GB. The package is compressed by the block, and who begins at a later one sees but
# the index disagree, at the end.
unpack_end_of_swift() {
    local packed=swiftlang.tar.xz first
    ar p swiftlang_*.deb data.tar.xz >$packed && first=$(xz --robot --list -vv $packed | awk '
        $1 == "block" { compressed[++count] = $5; plain[count] = $6; size = $6 + $8 }
        END { for (i = count; i > 1 && plain[i] > size * 0.86; i--); print compressed[i] }') || return 1
    { head -c 12 $packed && tail -c +$((first + 1)) $packed; } | xz -dc | unpack_swift >names
    rm $packed
    [ "$(head -n 1 names)" = ./usr/libexec/swift/lib/swift/linux/ ] && grep -qx ./usr/libexec/swift/lib/swift_static/shims/ names
}
unpack_end_of_swift 2>/dev/null || dpkg-deb --fsys-tarfile swiftlang_*.deb | unpack_swift >/dev/null

# With all that they depend on: what is installed here is of another release.
open_apt amd64 "$out/apt-amd64"
apt-get -qq install -y --no-install-recommends --download-only qemu-user qemu-system-arm >/dev/null \
    || fail "qemu is missing from $suite."
for deb in ../var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$out/emulator"; done
unset APT_CONFIG
rm -rf "$out"/emulator/usr/share/{doc,man,locale,info} "$out"/emulator/{etc,var}
find "$out/emulator/usr/bin" ! -name qemu-aarch64 ! -name qemu-system-aarch64 -type f -delete
for name in qemu-aarch64 qemu-system-aarch64; do
    cat > "$out/emulator/$name" <<X
#!/bin/sh
libraries=$out/emulator/usr/lib/x86_64-linux-gnu
exec "\$libraries/ld-linux-x86-64.so.2" --library-path "\$libraries" "$out/emulator/usr/bin/$name" "\$@"
X
    chmod +x "$out/emulator/$name"
done

# Binary modules are of another compiler: only the interfaces are kept, and compiled anew by this one.
cd "$out/swift"
for kind in swift swift_static; do
    ln -sfn "$toolchain/lib/swift/clang" $kind/clang
    find $kind -name '*.swiftmodule' -type f -delete
    for module in "$kind"/linux/*.swiftmodule; do
        ls "$module"/*.swiftinterface >/dev/null 2>&1 || rm -rf "$module"
    done
    ln -sfn "$out/swift/$kind" "$out/root/usr/lib/$kind"
done

cat > "$out/sdks/arm64.artifactbundle/info.json" <<X
{"schemaVersion": "1.0", "artifacts": {"arm64": {"type": "swiftSDK", "version": "0.0.1",
  "variants": [{"path": "t", "supportedTriples": ["x86_64-unknown-linux-gnu"]}]}}}
X
cat > "$out/sdks/arm64.artifactbundle/t/swift-sdk.json" <<X
{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
  "sdkRootPath": "$out/root", "swiftResourcesPath": "$out/swift/swift",
  "swiftStaticResourcesPath": "$out/swift/swift_static", "toolsetPaths": ["toolset.json"]}}}
X
cat > "$out/sdks/arm64.artifactbundle/t/toolset.json" <<X
{"schemaVersion": "1.0", "rootPath": "$toolchain/bin", "linker": {"path": "ld.lld"},
 "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld", "-module-cache-path", "$out/modules"]}}
X
rm -rf "$out"/apt-*
echo "$stamp" > "$out/stamp"
