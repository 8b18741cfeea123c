#!/usr/bin/env bash
# The whole proof, or what is left of it: SEED=n; LIMIT=n functions of each binary, drawn at random; ARCH=x86_64 or arm64;
# NATIVE=n: one in n x86_64 functions runs on the processor, though the emulator knows it; FILES="a b" instead of the corpus.
# PROCESSES=n. The table goes to .build-prove/table.md as well.
set -uo pipefail
cd "$(dirname "$0")/../.."
make -s -f Tests/Prove/Makefile || exit 1

files=()
read_list() {
    local list status
    list=$("$@")
    status=$?
    [ $status -eq 0 ] || exit $status
    while read -r file; do files+=("$file"); done <<<"$list"
}
if [ -n "${FILES:-}" ]; then
    read -r -a files <<<"$FILES"
else
    [ "${ARCH:-x86_64}" != x86_64 ] || read_list Tests/Prove/corpus.sh x86_64
    [ "${ARCH:-arm64}" != arm64 ] || read_list Tests/Prove/corpus.sh arm64 .build-prove/arm64
fi
{
    echo "$(git log -1 --format='Commit %h'), $(date +%Y-%m-%d), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)."
    echo
    .build-prove/prove --seed "${SEED:-1}" --limit "${LIMIT:-0}" --native "${NATIVE:-8}" \
        --processes "${PROCESSES:-2}" "${files[@]}"
} | tee .build-prove/table.md
