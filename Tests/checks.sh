#!/usr/bin/env bash
# What no test program can see: how the code is built. Prints a line per check, in the shape of the tests' own.
set -uo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=verdict.sh
. Tests/verdict.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0

check() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        sed 's/^/    /' "$log"
        passed "$name" $((SECONDS - began))
    else
        failed "$name" $((SECONDS - began)) "$log"
        status=1
    fi
}

# The library, and what the arm64 tests link, must not bring Foundation or Dispatch along.
free_of_foundation() {
    ! grep -rnE '^ *(@[a-zA-Z_]+ )*(public |package |internal )?import (Foundation|Dispatch)' \
        --include='*.swift' Sources | grep -v '^Sources/LiveServer/'
}

# The commit may be patching any function of libc: its objects may call only each other and the core's two searches.
calls_nothing_of_libc() {
    local objects products undefined
    products=$(swift build --show-bin-path)
    objects=$(find "$products/CPatch.build" "$products/CPatchMachine.build" \
        \( -name 'commit.c.o' -o -name 'look.c.o' -o -name 'park.c.o' -o -name 'trace.c.o' -o -name 'waits.c.o' -o -name 'check.c.o' -o -name 'own_pages.c.o' -o -name 'clone.S.o' -o -name 'calls.c.o' \))
    [ "$(wc -w <<<"$objects")" -ge 8 ] || { echo "objects of the commit are missing: $objects"; return 1; }
    # shellcheck disable=SC2086
    undefined=$(nm -u $objects | awk '$1 == "U" {print $2}' | grep -vE '^(hp_|_GLOBAL_OFFSET_TABLE_$)')
    [ -z "$undefined" ] || { echo "called from the commit: $undefined"; return 1; }
}

# The injector belongs into the command: a program that patches itself has nothing of it.
links_no_agent() {
    local products program agent
    products=$(swift build --show-bin-path)
    program=$(nm "$products/HotpatchScenarios" | awk '{print $NF}')
    agent=$(find "$products/CPatchAgent.build" -name '*.o' -exec nm --defined-only --extern-only {} + | awk 'NF == 3 {print $3}')
    grep -qx hp_commit <<<"$program" || { echo "HotpatchScenarios holds no engine"; return 1; }
    grep -qx hp_agent_code <<<"$agent" || { echo "CPatchAgent has no agent: $agent"; return 1; }
    ! grep -Fx "$agent" <<<"$program"
}

# Both architectures, always: what is C or assembly compiles for arm64 without a warning.
compiles_for_arm64() {
    local clang headers=/usr/aarch64-linux-gnu/include file
    clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
    [ -x "$clang" ] || clang=$(command -v clang) || { echo "no clang"; return 1; }
    [ -d "$headers" ] || { echo "no $headers: install libc6-dev-arm64-cross"; return 1; }
    while read -r file; do
        "$clang" --target=aarch64-linux-gnu -isystem "$headers" \
            -ICPatch/Core/include -ICPatch/Call/include -ICPatch/Commit/include -ICPatch/Machine/include -ICPatch/Agent/include -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -c -o /dev/null "$file" || return 1
    done < <(git ls-files 'CPatch/*.c' 'CPatch/*.S')
}

# A patch library written with hotpatch.h compiles in every language it is for, without a warning.
header_compiles() {
    local text='#include "hotpatch.h"
int (*old_price)(int) HOTPATCH_ORIGINAL("price");
int new_price(int item) HOTPATCH_REPLACES("price");
int new_price(int item) { return old_price(item) * 2; }'
    local compiler
    for compiler in "gcc -x c -std=c99" "gcc -x c -std=c17" "g++ -x c++ -std=c++11" "g++ -x c++ -std=c++20"; do
        $compiler -ICPatch -Wall -Wextra -Wpedantic -Werror -fPIC -fvisibility=hidden -c -o /dev/null - <<<"$text" || return 1
    done
}

# Types that are passed by address though nothing in the process says so: the list is the installed toolchain's.
resilient_types() { Tests/resilient-types.sh --check; }

# The newest version of the changelog is the command's, and a tag of this commit names it. What follows a tag is another version.
versions_agree() {
    local version newest tag tagged
    version=$("$(swift build --show-bin-path)/swift-hotpatch" --version) || return 1
    newest=$(sed -n 's/^## //p' Sources/Hotpatch/Hotpatch.docc/Changelog.md | head -1)
    echo "swift-hotpatch --version: $version; the changelog's newest: $newest"
    grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' <<<"$version" && [ "$version" = "$newest" ] || return 1
    tagged=$(git tag --points-at HEAD | grep -E '^v?[0-9]+[.]')
    for tag in $tagged; do
        [ "$tag" = "$version" ] || { echo "this commit's tag $tag is not $version"; return 1; }
    done
    if [ -z "$tagged" ] && git rev-parse --quiet --verify "refs/tags/$version" >/dev/null; then
        echo "$version is the tag of $(git rev-parse --short "refs/tags/$version^{commit}"): what comes after it needs another version"
        return 1
    fi
}

check "the library is free of Foundation" free_of_foundation
check "the commit calls nothing of libc" calls_nothing_of_libc
check "an application links nothing of the agent" links_no_agent
check "C and assembly compile for arm64" compiles_for_arm64
check "hotpatch.h compiles as C and C++" header_compiles
check "the list of resilient types is this toolchain's" resilient_types
check "tags, --version and the changelog agree" versions_agree
check "the articles' examples work, and nothing public is undocumented" Tests/docs.sh
exit $status
