#!/usr/bin/env bash
# Boots a kernel under qemu-system-aarch64, runs programs there, and prints what they print.
# Usage: boot.sh KERNEL SECONDS COMMAND FILE…
#   KERNEL   a part of its file's name: cloud, 16k
#   COMMAND  run by a shell in /tests, which holds every FILE
# Ends with 0 where the command did. CPU=name chooses the processor (default max), KEEP_DEBUG=yes leaves DWARF in the files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
# shellcheck source=environment.sh
. Tests/arm64/environment.sh

kernel=$(ls "$sdk"/emulator/vmlinuz-*"$1"*)
seconds=$2
command=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,tests,lib,usr/lib}
cp "$sdk/root/usr/bin/busybox" "$root/bin/busybox" 2>/dev/null || cp "$sdk/root/bin/busybox" "$root/bin/busybox"
libraries=$sdk/root/usr/lib/aarch64-linux-gnu
for name in ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libstdc++.so.6 libgcc_s.so.1 \
    libcapstone.so.5 libelf.so.1 libdw.so.1 libz.so.1 libzstd.so.1 liblzma.so.5 libbz2.so.1.0; do
    cp -L "$libraries/$name" "$root/usr/lib/$name"
done
ln -s ../usr/lib/ld-linux-aarch64.so.1 "$root/lib/ld-linux-aarch64.so.1"
for file; do
    # The symbols are what the tests are about; what is for debuggers takes ten times as long to load.
    # What is linked while the tests run is known by its debug information.
    if [ -n "${KEEP_DEBUG:-}" ] || [ "${file%.o}" != "$file" ]; then
        cp "$file" "$root/tests/"
    else
        "$toolchain/llvm-objcopy" --strip-debug "$file" "$root/tests/$(basename "$file")" 2>/dev/null \
            || cp "$file" "$root/tests/"
    fi
done
cat > "$root/init" <<X
#!/bin/busybox sh
/bin/busybox --install -s /bin
${LONG:+export LONG=yes}
export PROGRAMS=${PROGRAMS:-} HOTPATCH_MACHINE="arm64 Linux \$(uname -r | sed 's/+.*//')${CPU:+ on $CPU}"
export PATH=/bin:/tests LD_LIBRARY_PATH=/usr/lib HOTPATCH_VICTIMS=/tests HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
cd /tests
$command
echo "the command ended with \$?"
poweroff -f
X
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) > "$work/initramfs"

timeout "$seconds" "$sdk/emulator/qemu-system-aarch64" -L "$sdk/emulator/usr/share/qemu" -M virt \
    -cpu "${CPU:-max,pauth-impdef=on}" -smp 2 -m 2048 -kernel "$kernel" \
    -initrd "$work/initramfs" -nographic -no-reboot -nodefaults -serial stdio -append "console=ttyAMA0 quiet panic=-1" \
    </dev/null 2>&1 | tr -d '\r' | tee "$work/log" || true
grep -q '^the command ended with 0$' "$work/log" || { echo "error: $(basename "$kernel"): the command did not end well"; exit 1; }
