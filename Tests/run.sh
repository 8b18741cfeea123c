#!/usr/bin/env bash
# Builds with warnings as errors and undeclared imports as errors, runs the tests, and ends with the totals.
set -uo pipefail
cd "$(dirname "$0")/.."
export HOTPATCH_STRICT=1

swift build --build-tests --explicit-target-dependency-import-check error || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Plans for arm64 are compared with what its compiler makes. Where there can be no SDK, Tests/arm64/test.sh says why.
Tests/arm64/sdk.sh "${HOTPATCH_ARM64_SDK:-$PWD/.sdk-arm64}" >/dev/null 2>&1
Tests/checks.sh | tee "$log"
swift test --skip-build 2>&1 | tee -a "$log"
status=${PIPESTATUS[0]}
Tests/Prove/test.sh 2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
SKIP_BUILD=yes Tests/torture.sh --short --seed 1 2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
SEED=1 SIGNATURES=150 Tests/calls/test.sh 2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
Tests/arm64/test.sh 2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1

# Swift Testing prints a line per test: `✔ Test name passed after …`, `✘ Test …() failed after …`, `➜ Test …() skipped`.
passed=$(grep -cE '^[^ ]+ Test .* passed after' "$log")
failed=$(grep -cE '^[^ ]+ Test .* failed after' "$log")
skipped=$(grep -cE '^[^ ]+ Test .* skipped' "$log")
# "Test run with N tests … passed" is a line of the same shape.
passed=$((passed - $(grep -cE '^[^ ]+ Test run with .* passed after' "$log")))
failed=$((failed - $(grep -cE '^[^ ]+ Test run with .* failed after' "$log")))
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
if [ "$passed" -eq 0 ]; then
    echo "error: no test ran"
    failed=$((failed + 1))
fi
if [ "$failed" -ne 0 ]; then
    echo "What failed, once more:"
    grep -E -A 6 '^✘ Test .* (recorded an issue|failed after)|^error: ' "$log" | head -200
fi
grep -E '^[^ ]+ Test .* skipped' "$log" || true
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
