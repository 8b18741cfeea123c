# Sourced by what tests without Swift Testing: prints verdicts in the shape of its own, which Tests/run.sh counts.
# shellcheck shell=bash

# Usage: passed NAME [SECONDS]
passed() { echo "✔ Test \"$1\" passed after ${2:-0} seconds."; }

# What was said stands before the verdict, and its end once more behind it: that is repeated where all failures are.
# Usage: failed NAME [SECONDS [LOG]]
failed() {
    [ -z "${3:-}" ] || cat "$3"
    echo "✘ Test \"$1\" failed after ${2:-0} seconds."
    [ -z "${3:-}" ] || grep -vE '^(\[[0-9]+/[0-9]+\]|[[:space:]]*$)' "$3" | tail -n 15 | sed 's/^/    /'
}
