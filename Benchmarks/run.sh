#!/usr/bin/env bash
# Builds all in release mode, measures, and prints one table. Nothing is judged by the exit code: machines differ.
set -euo pipefail
cd "$(dirname "$0")"
build=$PWD/.build
targets=$build/targets
python=$(command -v /usr/bin/python3 || true)

echo "building" >&2
# An incremental build misses a layout that changed in another package.
# It also stops at a source file that was removed there: `make clean` then.
touch Sources/*/*.swift Suite/*.swift
swift build --package-path .. --scratch-path "$build/command" -c release --static-swift-stdlib --product swift-hotpatch >&2
swift build -c release --product Measure >&2
mkdir -p "$targets"
cc -O2 -rdynamic -o "$targets/idle" Targets/idle.c
cc -O2 -shared -fPIC -o "$targets/idle_patch.so" Targets/idle_patch.c
cc -O2 -shared -fPIC -o "$targets/python_patch.so" Targets/python_patch.c

echo "measuring, with the harness" >&2
swift package -c release benchmark --target Suite --format jmh --path stdout --no-progress > "$build/harness.txt"
echo "measuring, in turns" >&2
printf '%s, %s processors, Linux %s, load %s\n\n' \
    "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(nproc)" "$(uname -r)" "$(cut -d ' ' -f 1 /proc/loadavg)"
"$build/release/Measure" --harness "$build/harness.txt" --command "$build/command/release/swift-hotpatch" \
    --targets "$targets" --python "$python"
