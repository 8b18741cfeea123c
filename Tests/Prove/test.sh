#!/usr/bin/env bash
# A sample of the proof, for each change: LIMIT=n functions of each of a few binaries. Prints a line per architecture in the
# shape of Swift Testing's, and ends with 0 where none failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../verdict.sh
. Tests/verdict.sh
limit=${LIMIT:-1200}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Usage: sample NAME FILE…
sample() {
    local name="moved functions do what they did: a sample, $1" began=$SECONDS
    shift
    if timeout 600 .build-prove/prove --seed "${SEED:-1}" --limit "$limit" --flip 8 --native 4 "$@" >"$log" 2>&1; then
        awk -F ' *[|] *' '$2 == "x86_64" || $2 == "arm64" {
            print "    " $2 ": " $4 " starts, " $5 " moved, flipped bits noticed: " $(NF - 1) }' "$log"
        passed "$name" $((SECONDS - began))
    else
        failed "$name" $((SECONDS - began)) "$log"
        return 1
    fi
}

if ! make -s -f Tests/Prove/Makefile >"$log" 2>&1; then
    failed "the proof builds" 0 "$log"
    exit 1
fi
status=0
chosen='/(libc\.so\.6|libstdc\+\+\.so\.6|libcrypto\.so\.3|libswiftCore\.so|libswift_Concurrency\.so|bash)$'
readarray -t files < <(Tests/Prove/corpus.sh x86_64 | grep -E "$chosen")
sample x86_64 "${files[@]}" || status=1

# What the SDK's programs are run with.
libraries=${HOTPATCH_ARM64_SDK:-$PWD/.sdk-arm64}/root/usr/lib/aarch64-linux-gnu
files=()
for name in libc.so.6 libstdc++.so.6 libelf.so.1 libdw.so.1 libzstd.so.1; do
    [ ! -e "$libraries/$name" ] || files+=("$libraries/$name")
done
if [ ${#files[@]} -eq 0 ]; then
    echo "➜ Test \"moved functions do what they did: a sample, arm64\" skipped: there is no arm64 SDK (make sdk-arm64)"
else
    sample arm64 "${files[@]}" || status=1
fi
exit $status
