#!/usr/bin/env bash
# Builds the command as it is installed, and prints where it is. What it starts with counts: most of what it does takes milliseconds.
# Usage: build.sh [ARGUMENT OF SWIFT BUILD]…
set -euo pipefail
flags=(-c release --static-swift-stdlib --product swift-hotpatch "$@")

# Code names the types that it uses itself, where the runtime would find them by their mangled names: a fifth of the time of a command.
direct=-disable-concrete-type-metadata-mangled-name-accessors
# Read to its end: what is cut off by a reader that has found its line counts as failed.
known=$(swiftc -frontend -help-hidden)
if grep -qe "$direct" <<<"$known"; then flags+=(-Xswiftc -Xfrontend -Xswiftc "$direct"); fi

# Linked as a whole, and to one place, where all that belongs to it can be linked in: there is no library to load, and no pointer to be
# moved, of which Capstone has 80,000.
is_there() { [ "$(cc -print-file-name="$1")" != "$1" ]; }
libraries=$(pkg-config --static --libs-only-l libdw)
whole=yes
for library in $libraries -lcapstone -lstdc++ -lc; do is_there "lib${library#-l}.a" || whole=; done
if [ -n "$whole" ]; then
    flags+=(-Xswiftc -static-executable)
    for library in $libraries; do flags+=(-Xlinker "$library"); done
else
    echo "some library is not there to be linked in (Debian 12: libbz2-dev), so the command will load it" >&2
fi

swift build "${flags[@]}" >&2
printf '%s/swift-hotpatch\n' "$(swift build "${flags[@]}" --show-bin-path)"
