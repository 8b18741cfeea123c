#!/usr/bin/env bash
# Random signatures, compiled and checked in batches, as many at a time as there are processors. Prints a line per batch in the
# shape of Swift Testing's, then the totals, and ends with 0 where none failed.
#
#   SEED=n SIGNATURES=n      what is generated; another seed each time if there is none
#   ONLY=n                   one signature of one batch, as a failure says
#   CONFIGURATIONS="O/O …"   how the functions' module and the test program are compiled
#   PROCESSES=n BATCH=n      batches at a time, signatures in one
#   SKIP_BUILD=yes           the generator is built
#   MACHINE="name, "         what stands in front of a test's name; ARM64_SDK and others: see Tests/CallGenerator/CallGenerator.swift
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../verdict.sh
. Tests/verdict.sh

# Not where it was built: SwiftPM waits for others who use the same directory.
if [ -z "${SKIP_BUILD:-}" ]; then
    swift build --product HotpatchCallGenerator >/dev/null 2>&1 || swift build --product HotpatchCallGenerator || exit 1
fi
generator=$PWD/.build/debug/HotpatchCallGenerator
ulimit -c 0

if [ -n "${ONLY:-}" ]; then
    exec "$generator"
fi

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
signatures=${SIGNATURES:-100}
size=${BATCH:-50}
began=$SECONDS
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# One batch: its number, how many signatures, and how they are compiled.
batch() {
    local log="$3/$1.log" started=$SECONDS mixed="Onone/O"
    [ $(($1 % 2)) -eq 0 ] && mixed="O/Onone"
    # At length, every combination has its turn.
    [ -n "${LONG:-}" ] && [ -z "${CONFIGURATIONS:-}" ] && export CONFIGURATIONS="Onone/Onone O/O $mixed"
    if SEED=$1 SIGNATURES=$2 "$4" >"$log" 2>&1; then
        passed "${MACHINE:-}calls, $(tail -1 "$log")" $((SECONDS - started))
    else
        failed "${MACHINE:-}calls, batch SEED=$1 SIGNATURES=$2" $((SECONDS - started)) "$log"
    fi
}
export -f batch passed failed

left=$signatures
number=0
while [ "$left" -gt 0 ]; do
    count=$((left < size ? left : size))
    echo "$((seed * 1000 + number)) $count $directory $generator"
    left=$((left - count))
    number=$((number + 1))
done | xargs -P "${PROCESSES:-$(nproc)}" -L 1 bash -c 'batch "$@"' batch

# SEED=7000: 50 signatures, 2800 checks, 0 failed, 3 refused (2 a, 1 b)
cat "$directory"/*.log | awk -v seed="$seed" -v seconds=$((SECONDS - began)) '
    /^SEED=[0-9]+: / {
        signatures += $2; checks += $4; failed += $6; refused += $8
        text = $0
        if (sub(/.*refused \(/, "", text)) {
            sub(/\).*/, "", text)
            count = split(text, parts, ", ")
            for (i = 1; i <= count; i++) { split(parts[i], one, " "); kinds[one[2]] += one[1] }
        }
    }
    END {
        printf "calls: SEED=%s, %d signatures, %d checks, %d failed, %d refused", seed, signatures, checks, failed, refused
        separator = " ("
        for (kind in kinds) { printf "%s%d %s", separator, kinds[kind], kind; separator = ", " }
        printf "%s, %d s\n", (separator == ", " ? ")" : ""), seconds
    }'
[ "$(cat "$directory"/*.log | awk '/^SEED=[0-9]+: / {n += $2} END {print n}')" = "$signatures" ] || exit 1
! grep -q '^FAIL' "$directory"/*.log
