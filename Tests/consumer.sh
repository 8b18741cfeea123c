#!/usr/bin/env bash
# Builds and tests a package that depends on this one, from a clean folder: with modules of names that users have, and with a look at
# what was fetched and compiled for it; then runs the example. Prints a line per check, in the shape of the tests' own.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=verdict.sh
. Tests/verdict.sh
# shellcheck source=whole-modules.sh
. Tests/whole-modules.sh
began=$SECONDS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r Tests/Consumer/. "$work"
cp Tests/entry-point.swift "$work/Tests/XCTMain.swift"
HOTPATCH_PACKAGE=$PWD
export HOTPATCH_PACKAGE
unset HOTPATCH_STRICT
status=0

# Usage: check NAME COMMAND…
check() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$work/log" 2>&1; then
        passed "consumer: $name" $((SECONDS - began))
    else
        failed "consumer: $name" $((SECONDS - began)) "$work/log"
        status=1
    fi
}

# Swift Testing finds its tests without an index, and SwiftPM looks for no others where there is an entry point.
build() { swift build --package-path "$work" --disable-index-store "${whole_modules[@]}" "$@"; }

runs() {
    local output
    output=$(swift run --package-path "$work" --skip-build Commands) || return 1
    [ "$output" = "silence 2
unknown closureType, refused
beep beep  oil" ] || { echo "it printed: $output"; return 1; }
}

# Usage: needs_none_of LIBRARY…. The consumer's program names none of them as needed.
needs_none_of() {
    local needed library
    needed=$(readelf -d "$work/.build/debug/Commands" | grep NEEDED) || return 1
    grep -q 'libc\.so' <<<"$needed" || { echo "it needs no libc: $needed"; return 1; }
    for library; do ! grep -F "[$library.so" <<<"$needed" || return 1; done
}

tests_run() {
    local output
    output=$(swift test --package-path "$work" --skip-build) && grep -q 'with 2 tests .*passed' <<<"$output" ||
        { echo "they printed: $output"; return 1; }
}

# Loaded where DWARF is asked for, and missing then: as if it were not installed.
runs_without_libdw() {
    mkdir -p "$work/without"
    : >"$work/without/libdw.so.1"
    LD_LIBRARY_PATH=$work/without runs
}

links_capstone_in() {
    HOTPATCH_STATIC=1 build --product Commands && needs_none_of libcapstone libdw libelf && runs
}

# Only what Hotpatch and HotpatchTesting need: neither the example nor the command, nor programs that test.
compiles_only_the_libraries() {
    local built foreign
    # Folders stand there for all that could be built.
    built=$(cd "$work/.build/debug" && find . -path '*.build/*' -name '*.o' | cut -d/ -f2 | sort -u) || return 1
    grep -qx 'HotpatchEngine.build' <<<"$built" || { echo "there is no HotpatchEngine: $built"; return 1; }
    foreign=$(grep -vE '^(Memory|Symbols|Engine|Calls|Commands|EngineTests|ConsumerPackageTests|ConsumerPackageDiscoveredTests|Hotpatch|HotpatchTesting|HotpatchMemory|HotpatchDemangle|HotpatchELF|HotpatchProcFS|HotpatchSymbols|HotpatchPlan|HotpatchHotLink|HotpatchEngine|HotpatchObjects|HotpatchLocalTarget|HotpatchSwiftCall|CPatch|CPatchCore|CPatchCall|CPatchMachine)\.build$' <<<"$built")
    [ -z "$foreign" ] || { echo "compiled: $foreign"; return 1; }
}

fetches_nothing_of_the_example() {
    local fetched
    fetched=$(ls "$work/.build/checkouts" 2>/dev/null)
    echo "fetched: $fetched"
    ! grep -qi flyingfox <<<"$fetched"
}

check "builds" build --build-tests
# What a part of it built is there all the same, and would pass.
[ $status -eq 0 ] || exit 1
check "its program runs" runs
check "its program needs neither libdw nor libelf" needs_none_of libdw libelf
check "its program runs without libdw" runs_without_libdw
check "its tests run" tests_run
check "compiles only the libraries" compiles_only_the_libraries
check "fetches nothing of the example" fetches_nothing_of_the_example
check "its program runs with Capstone linked in" links_capstone_in
check "the example is patched while it runs" Sources/LiveServer/demo.sh "$(swift build --show-bin-path)"
echo "consumer: $((SECONDS - began)) s"
exit $status
