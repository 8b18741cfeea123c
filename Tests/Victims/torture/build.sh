#!/usr/bin/env bash
# Compiles what HotpatchTorture patches, and its patches. Usage: build.sh DIRECTORY C-COMPILER C++-COMPILER (with their options)
set -euo pipefail
cd "$(dirname "$0")"
out=$1 c=$2 cxx=$3
mkdir -p "$out"
flags="-g -O1 -Wall -Wextra -Werror -pthread -I ../../../CPatch"
for name in calls storm churn allocator heart still copies liar maps; do
    # shellcheck disable=SC2086
    $c $flags -rdynamic -o "$out/$name" $name.c &
done
# shellcheck disable=SC2086
{
    $cxx $flags -rdynamic -o "$out/unwind" unwind.cpp &
    for name in calls still storm; do $c $flags -shared -fPIC -o "$out/$name.so" $name.c & done
    for name in fix restless copies_fix; do $c $flags -shared -fPIC -o "$out/$name.so" $name.c & done
    $c $flags -shared -fPIC -Wl,-soname,fix2.so -o "$out/fix2.so" fix.c &
}
wait
