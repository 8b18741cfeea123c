#!/usr/bin/env bash
# Builds the programs that are tortured, and runs HotpatchTorture on them. Arguments are handed on: see Tests/Torture/Torture.swift.
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -c 0
if [ -z "${SKIP_BUILD:-}" ]; then swift build --product HotpatchTorture >&2; fi  # SKIP_BUILD=yes: it is built
victims=$(mktemp -d)
trap 'rm -rf "$victims"' EXIT
Tests/Victims/torture/build.sh "$victims" "gcc" "g++"
.build/debug/HotpatchTorture --victims "$victims" "$@"
