#!/usr/bin/env bash
# The main job, on a real server: patch it while it runs, see its state kept, list, revert.
# Takes the directory of the command, and stops whatever it started.
set -euo pipefail

products=$1
here=$(cd "$(dirname "$0")" && pwd)
server_build=(swift build --package-path "$here" --scratch-path "$here/../../.build/LiveServer")
work=$(mktemp -d)
server=

finish() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}
get() { run curl -sS --max-time 10 "$address/$1"; }
expect() {
    local got
    got=$(get "$1" | tee /dev/stderr | tail -n 1)
    [ "$got" = "$2" ] || { echo "error: /$1 answered '$got', not '$2'" >&2; exit 1; }
}

say "A server with a counter"
"${server_build[@]}"
"$("${server_build[@]}" --show-bin-path)/LiveServer" 0 >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    grep -q listening "$work/log" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
cat "$work/log"
address=$(grep -o 'http://[0-9.:]*' "$work/log")
expect increment 1
expect increment 2

say "A patch: Sources/LiveServer/Patches/Increment.swift"
cat "$here/Patches/Increment.swift"
run swiftc -emit-library -module-name LiveServer -parse-as-library "$here/Patches/Increment.swift" -o "$work/libincrement.so"

say "What would happen?"
run "$products/swift-hotpatch" apply "$work/libincrement.so" --pid "$server" --dry-run

say "Apply it to the running server"
run "$products/swift-hotpatch" apply "$work/libincrement.so" --pid "$server"

say "The counter is kept, the behaviour is new"
expect get 2
expect increment 102

say "List, revert"
run "$products/swift-hotpatch" list --pid "$server"
run "$products/swift-hotpatch" revert --pid "$server" --all

say "The old behaviour, and still the same counter"
expect increment 103
run "$products/swift-hotpatch" list --pid "$server"
say "Done: the server never stopped."
