#!/usr/bin/env bash
# Builds HotpatchMatrix and runs it. Arguments are handed on: see Tests/Matrix/Matrix.swift.
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -c 0
# SKIP_BUILD=yes: it is built
if [ -z "${SKIP_BUILD:-}" ]; then
    for product in HotpatchMatrix swift-hotpatch; do swift build --product $product >&2; done
fi
article=Sources/Hotpatch/Hotpatch.docc/WhatAnEditMayDo.md
case " $* " in
*" --table "*)
    table=$(mktemp)
    trap 'rm -f "$table"' EXIT
    .build/debug/HotpatchMatrix "$@" >"$table"
    # A part of it is only printed.
    if [ $# -gt 1 ]; then cat "$table"; else sed -i '/^|/,$d' "$article" && cat "$table" >>"$article"; fi
    ;;
*) .build/debug/HotpatchMatrix "$@" ;;
esac
