#!/usr/bin/env bash
# Builds HotpatchFuzz and runs it. Arguments are handed on: see Tests/Fuzz/Fuzz.swift.
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -c 0
if [ -z "${SKIP_BUILD:-}" ]; then swift build --product HotpatchFuzz >&2; fi  # SKIP_BUILD=yes: it is built
# A backtrace says where a worker died; without the registers.
export SWIFT_BACKTRACE=enable=yes,registers=none,images=none,limit=20
.build/debug/HotpatchFuzz "$@"
