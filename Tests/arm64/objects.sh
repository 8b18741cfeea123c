#!/usr/bin/env bash
# Compiles programs and edits of their files, as objects that arm64 tests link into them while they run. Usage: objects.sh DIRECTORY
#
# Of each edited file FILE.o is what the program was linked from, and FILE-2.o, FILE-3.o, … are edits, each of the one before it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=environment.sh
. Tests/arm64/environment.sh
out=$1
victims=$PWD/Tests/Victims
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Usage: edit FILE OLD NEW: replaces a text that the file has once.
edit() {
    local text rest
    text=$(cat "$1")
    rest=${text#*"$2"}
    if [ "$rest" = "$text" ] || [ "${rest#*"$2"}" != "$rest" ]; then
        echo "error: $1 does not have once: $2" >&2
        exit 1
    fi
    printf '%s\n' "${text%%"$2"*}$3$rest" >"$1"
}

# As SwiftPM compiles a target in debug mode. Usage: objects MODULE FILE…
objects() { compile_swift -c -g -Onone -enable-testing -swift-version 6 -module-name "$@"; }

cp "$victims"/commands/desk/*.swift .
objects Desk Desk.swift Shelf.swift main.swift
link_swift -o "$out/desk" Desk.o Shelf.o main.o
cp Desk.o "$out/"

edit Desk.swift 'helper v1' 'helper v2'
objects Desk Desk.swift Shelf.swift main.swift
cp Desk.o "$out/Desk-2.o"
