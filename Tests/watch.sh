#!/usr/bin/env bash
# Runs `swift-hotpatch watch` over real programs, and writes Tests/Watch/RESULTS.md. Arguments: which of them; all without.
# --hotlink applies the objects of such edits by hand, and writes Tests/Watch/HOTLINK.md.
# WORK: where they are built (kept, if given). LONG=yes: 1,000 saves too. EDITS, REBUILDS, SEED, RANDOM_EDITS: see Tests/Watch/watching.py.
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -c 0
command -v python3 >/dev/null || { echo "error: no python3 on the PATH. Install it (apt-get install python3)." >&2; exit 1; }
if [ -z "${SWIFT_HOTPATCH:-}" ]; then
    swift build -c release --product swift-hotpatch --scratch-path .build-release >&2
    SWIFT_HOTPATCH=$PWD/.build-release/release/swift-hotpatch
fi
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
mkdir -p "$WORK"
export SWIFT_HOTPATCH WORK
rm -rf "$WORK/results"
title="make prove-watch"
results=Tests/Watch/RESULTS.md
if [ "${1:-}" = --hotlink ]; then
    shift
    title="make prove-hotlink"
    results=Tests/Watch/HOTLINK.md
    programs=("hotlink hummingbird" "hotlink nio" "hotlink grdb")
else
    programs=("hummingbird native" "hummingbird swiftbuild" "liveserver native" "nio native" "grdb native" "makefile c" "makefile cpp" "makefile cmake")
fi
[ $# -eq 0 ] || programs=("$@")
status=0
for program in "${programs[@]}"; do
    read -r name variant <<<"$program"
    python3 "Tests/Watch/$name.py" "$variant" || { status=1; echo "failed: $program" >&2; }
done
# A part of it is only printed.
if [ $# -gt 0 ]; then python3 Tests/Watch/results.py "$title"; else python3 Tests/Watch/results.py "$title" >"$results" && cat "$results"; fi
exit $status
