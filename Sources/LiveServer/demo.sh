#!/usr/bin/env bash
# The main jobs, on a real server: patch it while it runs, see its state kept, list, revert; then edit a source of it, and see that live.
# Takes the directory of the command, and stops whatever it started.
set -euo pipefail

products=$1
here=$(cd "$(dirname "$0")" && pwd)
scratch=$here/../../.build/LiveServer
# Nobody looks at an index of it.
server_build=(swift build --disable-index-store --package-path "$here" --scratch-path "$scratch")
work=$(mktemp -d)
server=

finish() {
    stop
    rm -rf "$work"
}
stop() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; } 2>/dev/null
    server=
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

# Waits until the log has a text.
await() {
    for _ in $(seq 1200); do
        grep -q "$1" "$work/log" && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/log" >&2
    exit 1
}

say "A server with a counter"
"${server_build[@]}"
"$("${server_build[@]}" --show-bin-path)/LiveServer" 0 >"$work/log" 2>&1 &
server=$!
await listening
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
say "The server never stopped. Now it does: to be started by watch, from a copy of its sources"
stop
cp -R "$here/." "$work/LiveServer"
printf '$ %s\n' "swift-hotpatch watch -- swift run LiveServer"
: >"$work/log"
"$products/swift-hotpatch" watch -- swift run --disable-index-store --package-path "$work/LiveServer" --scratch-path "$scratch" LiveServer 0 >"$work/log" 2>&1 &
server=$!
await listening
await watching
address=$(grep -o 'http://[0-9.:]*' "$work/log")
expect increment 1
expect increment 2

say "An edit of Routes.swift, saved"
sed -i 's/text("\\(await counter.increment())")/text("counted to \\(await counter.increment())")/' "$work/LiveServer/Routes.swift"
diff "$here/Routes.swift" "$work/LiveServer/Routes.swift" || true
await "Routes.swift .* function"
grep "Routes.swift .* function" "$work/log"

say "It is live, and the counter is kept"
expect increment "counted to 3"
say "Done."
