#!/usr/bin/env bash
# Installs the command as users do, and patches a small program with what was installed: apply, list, revert, and a library that is
# refused. Usage: installed.sh [COMMAND: instead of installing one]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'exec 8>&- 2>/dev/null || true; [ -z "${shop:-}" ] || kill "$shop" 2>/dev/null || true; rm -rf "$work"' EXIT
failed() {
    printf '✘ Test "the installed command" failed: %s\n' "$*"
    exit 1
}

command=${1:-}
if [ -z "$command" ]; then
    make --no-print-directory install PREFIX="$work/usr" >&2
    command=$work/usr/bin/swift-hotpatch
    [ -s "$work/usr/share/man/man1/swift-hotpatch.1" ] || failed "there is no manual page"
fi
cc -g -O1 -rdynamic -pthread -I CPatch -o "$work/shop" Tests/Victims/commands/shop.c
cc -g -O1 -shared -fPIC -DPRICE=1000 -o "$work/price.so" Tests/Victims/commands/price.c

mkfifo "$work/in" "$work/out"
"$work/shop" <"$work/in" >"$work/out" &
shop=$!
exec 8>"$work/in" 9<"$work/out"
answer() { read -r -t 60 line <&9 || failed "the program does not answer"; }
says() {
    echo >&8
    answer
    [[ $line == *"$1"* ]] || failed "the program says $line, not $1, $2"
}
does() {
    local status=0
    "$command" "$@" --pid "$shop" >"$work/said" 2>&1 || status=$?
    [ $status = "${expected:-0}" ] || failed "$* ended with $status: $(cat "$work/said")"
}
tells() { grep -q "$1" "$work/said" || failed "it says $(cat "$work/said"), and not $1"; }

answer  # that it is ready
says "price 70" "before"
does apply "$work/price.so"
tells "patch 1 applied"
says "price 1007" "applied"
does list
tells "patch 1"
does revert --all
says "price 70" "reverted"
# Cut off amid its tables.
head -c 3000 "$work/price.so" >"$work/mangled.so"
expected=2 does apply "$work/mangled.so"
tells "Rebuild or reinstall the file"
says "price 70" "refused"
printf '✔ Test "the installed command" passed.\n'
