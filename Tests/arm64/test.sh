#!/usr/bin/env bash
# Builds the self-test for arm64 and runs it: under user-mode qemu, then under kernels. Prints a line per test in the shape of
# Swift Testing's, and ends with 0 where none failed. Where arm64 code cannot be built or run here, that is one skipped test.
#
# Usage: test.sh           all of it
#        test.sh build     what is built; ends with 77 where that was skipped
#        test.sh run       the tests, with what was built
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=environment.sh
. Tests/arm64/environment.sh
# shellcheck source=../verdict.sh
. Tests/verdict.sh

skip() {
    echo "➜ Test \"arm64, executed\" skipped: $1"
    if [ "$part" = build ]; then exit 77; else exit 0; fi
}
# Usage: fail WHAT [LOG]
fail() {
    failed "arm64: $1" 0 "${2:-}"
    exit 1
}
# Usage: took WHAT SINCE
took() { echo "arm64, $1: $((SECONDS - $2)) s"; }

part=${1:-}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ulimit -c 0
qemu_version() { "$sdk/emulator/qemu-aarch64" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p'; }

build() {
    local reason product began=$SECONDS
    command -v cpio >/dev/null || skip "there is no cpio (make setup)"
    reason=$(Tests/arm64/sdk.sh "$sdk" 2>&1 >/dev/null)
    case $? in
    0) ;;
    77) skip "${reason##*$'\n'}" ;;
    *)
        echo "$reason" >"$log"
        fail "the SDK is made" "$log"
        ;;
    esac
    took "SDK" "$began"
    for product in HotpatchSelfTest HotpatchScenarios; do
        began=$SECONDS
        build_arm64 --product $product >"$log" 2>&1 || fail "$product builds" "$log"
        took "$product built" "$began"
    done
    began=$SECONDS
    Tests/arm64/victims.sh "$scratch/victims" >"$log" 2>&1 || fail "the victims build" "$log"
    took "victims built" "$began"
}

# What needs no kernel of its own.
run_emulated() {
    local scenario began=$SECONDS
    # Those that hold threads by signals here and by ptrace below. What needs ptrace, vfork or a heap of brk, this emulation does without.
    local scenarios=(sleepers stub littered)
    [ -z "${LONG:-}" ] || scenarios+=(libc fork mapped interrupted busy "pages signal procMem 65536")
    HOTPATCH_MACHINE="arm64 qemu-user $(qemu_version)"
    export HOTPATCH_MACHINE
    emulate "$products/HotpatchSelfTest" core calls || status=1
    for scenario in "${scenarios[@]}"; do
        # shellcheck disable=SC2086
        if emulate "$products/HotpatchScenarios" $scenario >"$log" 2>&1; then
            passed "$HOTPATCH_MACHINE, scenarios: $scenario"
        else
            failed "$HOTPATCH_MACHINE, scenarios: $scenario" 0 "$log"
            status=1
        fi
    done
    took "user-mode qemu $(qemu_version)" "$began"
}

# Usage: boot KERNEL SECONDS GROUPS; CPU= as of boot.sh
boot() {
    local began=$SECONDS
    Tests/arm64/boot.sh "$1" "$2" "HotpatchSelfTest $3" "$products/HotpatchSelfTest" "$products/HotpatchScenarios" "$scratch"/victims/* || status=1
    took "booted $1 for $3" "$began"
}

# Random signatures, compiled for arm64 too. The generator itself is built for this machine, with this machine's libraries.
# Usage: call_signatures MACHINE RUNNER SIGNATURES
call_signatures() {
    local began=$SECONDS
    env -u PKG_CONFIG_PATH -u PKG_CONFIG_LIBDIR -u PKG_CONFIG_SYSROOT_DIR \
        ARM64_SDK="$(readlink -f "$sdk")" ARM64_PRODUCTS="$(readlink -f "$products")" RUNNER="$PWD/Tests/calls/$2" \
        CONFIGURATIONS="Onone/Onone O/O" SEED=1 SIGNATURES="$3" BATCH=25 MACHINE="arm64 $1, " Tests/calls/test.sh || status=1
    took "signatures, $1" "$began"
}

run() {
    run_emulated
    if [ -z "${LONG:-}" ]; then
        boot cloud 900 "async-calls remote commands objects scenarios"
        # Pages of 16 KiB: Debian has no arm64 kernel with larger ones.
        boot 16k 400 "commands brief-scenarios"
        call_signatures "qemu-user" run-arm64-user.sh 5
        return
    fi
    for kernel in cloud 16k; do boot $kernel 1200 "core calls async-calls remote commands objects scenarios other-scenarios"; done
    if build_arm64 --product HotpatchTorture >"$log" 2>&1 && Tests/Victims/torture/build.sh "$scratch/torture" "$clang" "$clang -lstdc++" >"$log" 2>&1; then
        Tests/arm64/boot.sh cloud 1200 "HotpatchTorture --short --seed 1 --victims /tests" "$products/HotpatchTorture" "$scratch"/torture/* || status=1
    else
        failed "arm64: the torture builds" 0 "$log"
        status=1
    fi
    # A processor without BTI, pointer authentication and SVE.
    CPU=cortex-a72 boot cloud 1200 "core calls async-calls remote commands objects scenarios"
    call_signatures "qemu-user" run-arm64-user.sh 200
    call_signatures "Linux" run-arm64.sh 50
}

status=0
case $part in
build) build ;;
run) run ;;
"")
    build
    run
    ;;
*)
    echo "usage: test.sh [build | run]" >&2
    exit 64
    ;;
esac
exit $status
