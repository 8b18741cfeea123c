#!/usr/bin/env bash
# Compiles programs and edits of their files, as objects that arm64 tests link into them while they run. Usage: objects.sh DIRECTORY
#
# Of an edited file, NAME.o is what the program was linked from, and NAME-2.o, NAME-3.o, … are edits, each of the one before it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=environment.sh
. Tests/arm64/environment.sh
out=$1
package=$PWD
commands=$package/Tests/Victims/commands
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
objects() { compile_swift -c -g -Onone -enable-batch-mode -enable-testing -swift-version 6 -module-name "$@"; }

# Usage: keep GENERATION FILE…
keep() {
    local file
    for file in "${@:2}"; do cp "$file.o" "$out/$file-$1.o"; done
}

# A program in C or C++ of two files, the second of which is edited. Usage: program NAME MAIN FILE OPTION…
program() {
    name=$1 source=$3
    compile="$clang -Wno-unused-command-line-argument -g -O0 ${*:4}"
    cp "$commands/objects/$3" .
    $compile -c "$source" -o "$out/$name.o"
    case $source in
    *.c) $compile -pthread -o "$out/$name" "$commands/objects/$2" "$out/$name.o" ;;
    *) $compile -pthread -o "$out/$name" "$commands/objects/$2" "$out/$name.o" -lstdc++ -lm ;;
    esac
}
# Of the program that was named last. Usage: edited GENERATION OLD NEW OLD NEW …
edited() {
    local generation=$1
    shift
    while [ $# -gt 0 ]; do
        edit "$source" "$1" "$2"
        shift 2
    done
    $compile -c "$source" -o "$out/$name-$generation.o"
}

# Swift, edited from outside: what most edits are of, at once.
cp "$commands"/{desk/Desk,desk/Shelf,kennel/Kennel,kennel/Others,loom/Loom,together/Words,together/main}.swift "$commands/objects/work.c" .
files=({Desk,Shelf,Kennel,Others,Loom,Words,main}.swift)
objects Desk "${files[@]}"
$clang -Wno-unused-command-line-argument -g -O0 -c work.c
link_swift -o "$out/together" {Desk,Shelf,Kennel,Others,Loom,Words,main,work}.o
cp {Desk,Kennel,Loom,Words,work}.o "$out/"

edit Desk.swift 'hello v1' 'hello v2'
edit Desk.swift 'pageSize = 20' 'pageSize = 50'
edit Desk.swift 'n + k' 'n * k + 100'
edit Desk.swift 'private func label(' 'private struct Bold: Label { let words: [String]; func text() -> String { "bold\(words)" } }
private func label('
edit Desk.swift 'probe v1 \(label(of: stored))' 'probe v2 \(label(of: stored)) \(label(of: Bold(words: ["a"]))) \(Bold(words: []))'
edit Kennel.swift '    // Dog' '    override func walk() -> String { "trots, as it \(super.walk())" }
    override var legs: Int { 5 }
    override func rest() async -> String { await Task.yield(); return "sleeps" }'
edit Loom.swift 'final class Loom' 'import Synchronization

private let threads = Mutex([Int]())

final class Loom'
edit Loom.swift '{ "weaves \(n)" }' '{ "has woven \(threads.withLock { all in all.append(n); return all.count + 10 })" }'
edit Words.swift 'words of' 'words, and'
edit work.c 'x * 2' 'x * 3'
objects Desk "${files[@]}"
$clang -Wno-unused-command-line-argument -g -O0 -c work.c
keep 2 Desk Kennel Loom Words work

edit Desk.swift 'bold\(words)' 'bolder\(words.count)'
# With a larger context than callers allocate.
edit Desk.swift '"count v1 \(await counter.next())"' 'let numbers = [n, n]; return "count v3 \(await counter.next()) \(numbers)"'
edit Desk.swift 'pageSize = 50' 'pageSize = 70'
edit Loom.swift 'has woven' 'wove'
objects Desk "${files[@]}"
keep 3 Desk Loom

edit Desk.swift 'var level = 1' 'var level = 1
    var unit = "m"'
objects Desk "${files[@]}"
keep 4 Desk

# A program that links the same edits into itself, with the library as SwiftPM links it into a program.
mkdir self
options=()
for directory in "$package"/CPatch/*/include; do options+=(-Xcc "-I$directory"); done
for map in "$products"/CPatch*.build/module.modulemap "$package"/Sources/CHotpatch*/module.modulemap; do
    options+=(-Xcc "-fmodule-map-file=$map")
done
cp "$commands"/desk/{Desk,Shelf}.swift "$package/Tests/Victims/SelfLinked/main.swift" self/
(cd self && objects Desk -I "$products/Modules" "${options[@]}" Desk.swift Shelf.swift main.swift)
library=$(tr -d "'" <"$products/HotpatchScenarios.product/Objects.LinkFileList" \
    | grep -E '/C?Hotpatch[A-Za-z]*\.build/|/CPatch[A-Za-z]*\.build/' | grep -vE '/(HotpatchScenarios|HotpatchCalls|CHotpatchVictims)\.build/')
# shellcheck disable=SC2086
link_swift -o "$out/self-linked" self/{main,Desk,Shelf}.o $library -lcapstone

# C: static variables, a table of functions, a jump table; then what is found through the GOT, and a vector.
guarded=(-mbranch-protection=standard -Wl,-z,force-bti,-z,bti-report=none)
for kind in plain guarded large; do
    case $kind in
    plain) options=() ;;
    guarded) options=("${guarded[@]}") ;;
    large) options=(-mcmodel=large -fno-pic -no-pie) ;;
    esac
    program work-$kind worker.c work.c "${options[@]}"
    edited 2 'x * 2' 'x * 3' 'return a - b' 'return a - b + 1000' '"three"' '"THREE"' 'calls * 0' 'calls * 100'
    edited 3 'int count(void) { return hits; }' 'typedef float four __attribute__((vector_size(16)));
static four wide = {1, 2, 3, 4};
extern int opterr;
int count(void) { four v = wide; return hits + 7000 * (int)v[3] * opterr; }'
done

# What is freed, and what is not: where a thread sleeps.
for kind in plain guarded; do
    options=()
    [ $kind = plain ] || options=("${guarded[@]}")
    program aging-$kind ager.c aging.c "${options[@]}"
    edited 2 'return 1;' 'return 2;' '+ 100' '+ 200'
done

# Thread-locals, new ones too: by descriptors, words and numbers.
program threads-descriptor threader.c threads.c -fPIC
edited 2 'static __thread int calls;' 'static __thread int calls;
static __thread int more[9] = {7, 0, 0, 40};
__thread char *text;' 'return ++calls;' 'if (!text) text = "1"; more[3] += 10 + *text - 48; return ++calls * 1000 + more[3];'
edited 3 'return ++calls' 'return more[3] + ++calls'
for kind in word number far-number; do
    case $kind in
    word) options=(-fPIC -ftls-model=initial-exec) ;;
    number) options=() ;;
    far-number) options=(-mtls-size=32) ;;
    esac
    program threads-$kind threader.c threads.c "${options[@]}"
    edited 2 'return ++calls;' 'return calls += 10;' 'base = 100' 'base = 200'
    edited 3 'int step(void) { return' 'static __thread int mine;
int step(void) { mine++; return'
done

# Shared libraries: loaded from the start, and later; and one of which the program has a variable and a function once more.
# Usage: library LINK…: the file of the program that was named last becomes a library, and the program is what is linked here.
library() {
    $compile -shared "-Wl,-soname,$name.so" -o "$out/$name.so" "$out/$name.o"
    $compile -pthread "-Wl,-rpath,\$ORIGIN" -o "$out/$name" "$@"
}
for kind in linked late; do
    program threads-$kind threader.c threads.c -fPIC -Dstep=one_more
    if [ $kind = linked ]; then
        library "$commands/objects/threader.c" "$out/$name.so"
    else
        library "-DLIBRARY=\"\$ORIGIN/$name.so\"" "$commands"/objects/{threader,late}.c
    fi
    edited 2 'return ++calls;' 'return calls += 10;' 'base +=' 'base += 1000 +'
done
program shared sharer.c shared.c -fPIC -Wl,-z,muldefs
library -fno-pic -no-pie "$commands/objects/sharer.c" "$out/$name.so"
edited 2 'counter++' 'counter += 7' 'return &counter;' 'int *found = &counter; return found;'

# C++: exceptions thrown and caught by new code.
for kind in plain guarded; do
    options=()
    [ $kind = plain ] || options=("${guarded[@]}")
    program shapes-$kind shaper.cpp shapes.cpp "${options[@]}"
    edited 2 'too much' 'way too much' 'side * side' 'side * side * 1000' 'return x + x' 'return x * 3' '"caught ' '"CAUGHT ' 'x > 100' 'x > 150' \
        'struct Square' 'struct Odd : Shape { int area() const override { return 77; } };
struct Square' 'return text + " #"' 'Odd odd; Shape *s = &odd; if (dynamic_cast<Square *>(s)) text += "bad";
    return text + s->name() + std::to_string(s->area()) + " #"'
done
