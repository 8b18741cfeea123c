#!/usr/bin/env bash
# Builds with warnings as errors and undeclared imports as errors, runs the tests, and ends with the seconds of each stage and the
# totals.
#
# Two stages run side by side where one of them waits a lot. What measures how long threads are held runs beside no build.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=whole-modules.sh
. Tests/whole-modules.sh
export HOTPATCH_STRICT=1 SKIP_BUILD=yes

logs=$(mktemp -d)
entry=Tests/XCTMain.swift
declare -A running=() # its session, by stage
ended=()              # stages in the order in which they were printed
status=0
shown=

# Starts a stage, its output going into a log of its own. It is a session, by which all that it has started can be found.
# Usage: begin STAGE COMMAND…
begin() {
    : >"$logs/$1.log"
    # A shell has what it does not wait for ignore interrupts: the tests' programs must not begin so.
    # shellcheck disable=SC2016
    setsid env --default-signal bash -c '"${@:2}"; code=$?; times >"$1.times"; echo $SECONDS >"$1.seconds"; exit $code' stage "$logs/$1" "${@:2}" \
        >"$logs/$1.log" 2>&1 </dev/null &
    running[$1]=$!
}

# Prints what a stage prints, until it has ended. Returns what it ended with: also where it crashed or was killed.
finish() {
    local code
    tail -n +1 -s 0.2 -f --pid="${running[$1]}" "$logs/$1.log" &
    shown=$!
    wait "$shown"
    shown=
    wait "${running[$1]}"
    code=$?
    unset "running[$1]"
    ended+=("$1")
    # Into its log, too, of which the errors are repeated.
    if [ ! -e "$logs/$1.seconds" ]; then
        echo "error: the stage $1 was ended from outside" | tee -a "$logs/$1.log"
    elif [ $code -ne 0 ] && [ $code -ne 77 ]; then
        echo "error: the stage $1 ended with $code" | tee -a "$logs/$1.log"
    fi
    return $code
}

# Ends what still runs, with all its processes, whatever groups they have made.
end_all() {
    trap '' HUP INT TERM
    local signal processes
    for signal in TERM KILL; do
        [ ${#running[@]} -gt 0 ] || break
        processes=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v sessions=" ${running[*]} " '
            { pid = $1; sub(/.*\) /, ""); if (index(sessions, " " $4 " ")) print pid }')
        # shellcheck disable=SC2086
        [ -z "$processes" ] || kill -$signal $processes 2>/dev/null
        [ $signal = KILL ] || sleep 1
    done
    [ -z "$shown" ] || kill "$shown" 2>/dev/null
    rm -rf "$logs" "$entry"
}

# Each verdict against a test with what follows it, and each error: the first of many lines of one, for there may be many.
failures() {
    awk '
        /^(✔|✘|◇|➜|━) / { left = 0 }
        /^✘ Test run / { next }
        /^✘ Test .* (recorded an issue|failed after)/ { left = 20 }
        /^error: / || /^\/.*: error: / || /^\*\*\* / { left = 6 }
        left > 0 { print substr($0, 1, 1000); left-- }' "$1"
}

# The second line of what bash's `times` says: all that a stage has started. "1m2.345s 0m6.789s", of user and system.
processor_seconds() {
    awk 'NR == 2 { gsub(/s/, ""); split($1, a, "m"); split($2, b, "m"); printf "%.0f", (a[1] + b[1]) * 60 + a[2] + b[2] }' "$1"
}

# A log, with each verdict on a line of its own: what a test prints may have no end of line, nor has a line with a NUL in a name.
by_verdict() { LC_ALL=C sed -E 's/(.)((◇|✔|✘|➜|━) (Test|Suite) )/\1\n\2/g' "$1"; }

# Whether a run of Swift Testing tells of as many tests as it says that it has run.
told() {
    by_verdict "$1" | awk '
        / Test run with [0-9]+ tests? in / { for (i = 1; i < NF; i++) if ($i == "with") { all = $(i + 1); break }; next }
        /^[^ ]+ Test .* (passed after|failed after|skipped)/ { told++ }
        END { exit !(all > 0 && told == all) }'
}

# Ends all with what failed, the seconds of each stage, and the totals.
summarise() {
    local log=$logs/all stage passed failed skipped
    for stage in "${ended[@]}"; do by_verdict "$logs/$stage.log"; done >"$log"
    # Swift Testing prints a line per test: `✔ Test name passed after …`, `✘ Test …() failed after …`, `➜ Test …() skipped`.
    passed=$(grep -cE '^[^ ]+ Test .* passed after' "$log")
    failed=$(grep -cE '^[^ ]+ Test .* failed after' "$log")
    skipped=$(grep -cE '^[^ ]+ Test .* skipped' "$log")
    # "Test run with N tests … passed" is a line of the same shape.
    passed=$((passed - $(grep -cE '^[^ ]+ Test run with .* passed after' "$log")))
    failed=$((failed - $(grep -cE '^[^ ]+ Test run with .* failed after' "$log")))
    # Each run says how many it had: a run that was cut short, or of which lines are missing, did not pass.
    for stage in suites commands; do
        [ ! -e "$logs/$stage.log" ] || told "$logs/$stage.log" || { status=1 && echo "error: the stage $stage does not tell of each of its tests" | tee -a "$log"; }
    done
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
    if [ "$passed" -eq 0 ]; then
        echo "error: no test ran"
        [ "$failed" -ne 0 ] || failed=1
    fi
    if [ "$failed" -ne 0 ]; then
        echo "What failed, once more:"
        failures "$log"
    fi
    grep -E '^[^ ]+ Test .* skipped' "$log" || true
    for stage in "${ended[@]}"; do
        echo "$stage: $(cat "$logs/$stage.seconds" 2>/dev/null || echo ?) s, $(processor_seconds "$logs/$stage.times" 2>/dev/null || echo ?) s of processors"
    done
    echo "all: $SECONDS s"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}
trap end_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Usage: take STAGE. Finishes it, and remembers whether it failed.
take() { finish "$1" || status=1; }

# Begins the tests for arm64 as soon as they are built. Nothing of them where they cannot be.
go_on_with_arm64() {
    [ -n "${running[arm64-build]:-}" ] && { [ -n "${1:-}" ] || [ -e "$logs/arm64-build.seconds" ]; } || return 0
    finish arm64-build
    case $? in
    0) begin arm64 Tests/arm64/test.sh run ;;
    77) ;;
    *) status=1 ;;
    esac
}

# Plans for arm64 are compared with what its compiler makes. Where there can be no SDK, Tests/arm64/test.sh says why.
begin sdk Tests/arm64/sdk.sh "${HOTPATCH_ARM64_SDK:-$PWD/.sdk-arm64}"
# Swift Testing finds its tests without an index, but SwiftPM needs one to look for XCTest's where no entry point stands.
cp Tests/entry-point.swift $entry
begin build swift build --build-tests --disable-index-store --explicit-target-dependency-import-check error "${whole_modules[@]}"
finish sdk
# Towards its end the build has modules that wait for one another, and leaves a processor idle.
begin proof Tests/Prove/test.sh
finish build || {
    status=1
    summarise
}
rm $entry
take proof

# What computes. The tests for arm64 are built meanwhile.
begin arm64-build Tests/arm64/test.sh build
for stage in "consumer Tests/consumer.sh" "signatures env SEED=1 SIGNATURES=24 BATCH=12 Tests/calls/test.sh" \
    "edits Tests/matrix.sh --sample 5 --edits 8 --seed 1" "checks Tests/checks.sh" \
    "fuzz Tests/fuzz.sh --seed 1 --seconds 10"; do
    # shellcheck disable=SC2086
    begin $stage
    take "${stage%% *}"
    go_on_with_arm64
done
go_on_with_arm64 waiting

# What waits. A process of tests has as many threads for them as there are processors, and the tests of the commands, of which most
# wait, run one after the other: they have a process of their own. Neither by `swift test`, which waits for the other, and whose pipe
# may lose lines where many come at once.
tests=$(swift build --show-bin-path)/swift-hotpatchPackageTests.xctest
begin suites "$tests" --testing-library swift-testing --skip '^CommandsTests\.'
begin commands "$tests" --testing-library swift-testing --filter '^CommandsTests\.'
take suites
take commands
[ -z "${running[arm64]:-}" ] || take arm64

# What measures.
begin torture Tests/torture.sh --short --seed 1
take torture

summarise
