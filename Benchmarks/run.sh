#!/usr/bin/env bash
# Builds all in release mode, measures, and prints one table. Nothing is judged by the exit code: machines differ.
#
# BASE=COMMIT measures that commit in the same run, and prints its medians in a column of their own; both are measured twice.
# STEP=build and STEP=measure do the one or the other: a build may go on beside other work, and what is measured may not.
set -euo pipefail
cd "$(dirname "$0")"
build=$PWD/.build
targets=$build/targets
tree=$build/before
python=$(command -v /usr/bin/python3 || true)
base=${BASE:-}
step=${STEP:-all}

# Usage: build_command TREE SCRATCH. As it is installed; what it prints last is where the command is.
build_command() {
    if [ -x "$1/Sources/swift-hotpatch/build.sh" ]; then
        "$1/Sources/swift-hotpatch/build.sh" --package-path "$1" --scratch-path "$2"
    else
        swift build --package-path "$1" --scratch-path "$2" -c release --static-swift-stdlib --product swift-hotpatch >&2
        echo "$2/release/swift-hotpatch"
    fi
}

# Usage: measure MEASURE COMMAND
measure() { "$1" --harness "$build/harness.txt" --command "$2" --targets "$targets" --python "$python"; }

if [ "$step" != measure ]; then
    echo "building" >&2
    mkdir -p "$targets"
    # An incremental build misses a layout that changed in another package.
    # It also stops at a source file that was removed there: `make clean` then.
    touch Sources/*/*.swift Suite/*.swift
    build_command "$PWD/.." "$build/command" >"$build/command.path"
    swift build -c release --product Measure >&2
    swift build -c release --product Suite >&2
    if [ -n "$base" ]; then
        rm -rf "$tree"
        git worktree prune
        git worktree add --quiet --force --detach "$tree" "$base"
        build_command "$tree" "$build/command-before" >"$build/command-before.path"
        swift build --package-path "$tree/Benchmarks" --scratch-path "$build/measure-before" -c release --product Measure >&2
    fi
    cc -O2 -rdynamic -o "$targets/idle" Targets/idle.c
    cc -O2 -pthread -rdynamic -o "$targets/blocked" Targets/blocked.c
    cc -O2 -shared -fPIC -o "$targets/idle_patch.so" Targets/idle_patch.c
    cc -O2 -shared -fPIC -o "$targets/python_patch.so" Targets/python_patch.c
fi
[ "$step" != build ] || exit 0

echo "measuring, with the harness" >&2
swift package -c release benchmark --target Suite --format jmh --path stdout --no-progress > "$build/harness.txt"
echo "measuring, in turns" >&2
printf '%s, %s processors, Linux %s, load %s\n\n' \
    "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(nproc)" "$(uname -r)" "$(cut -d ' ' -f 1 /proc/loadavg)"
if [ -z "$base" ]; then
    measure "$build/release/Measure" "$(cat "$build/command.path")"
    exit 0
fi
# Twice each, the other way round the second time: what becomes slower or faster meanwhile is the machine.
before() { measure "$build/measure-before/release/Measure" "$(cat "$build/command-before.path")" >"$build/before.$1.md"; }
after() { measure "$build/release/Measure" "$(cat "$build/command.path")" >"$build/after.$1.md"; }
before 1
after 1
after 2
before 2
# What is measured, and in which state, stands in the first two columns, the median in the third.
awk -F ' *[|] *' -v base="$(git -C "$tree" rev-parse --short HEAD)" '
    FNR == 1 { file++ }
    file < 4 { median[file, $2, $3] = $4; next }
    # "1.8 · 1.9 ns": the unit once, where it is the same.
    function both(first, second, what, state, one, other) {
        one = median[first, what, state]
        other = median[second, what, state]
        if (one == "") return ""
        if (substr(one, index(one, " ")) == substr(other, index(other, " "))) sub(/ .*/, "", one)
        return one " · " other
    }
    FNR <= 2 { printf "| %s | %s | %s | %s |", $2, $3, $4, FNR == 1 ? base : "---" }
    FNR > 2 {
        median[4, $2, $3] = $4
        printf "| %s | %s | %s | %s |", $2, $3, both(4, 3, $2, $3), both(1, 2, $2, $3)
    }
    {
        for (i = 5; i < NF; i++) printf " %s |", $i
        print ""
    }' "$build/before.1.md" "$build/before.2.md" "$build/after.2.md" "$build/after.1.md"
