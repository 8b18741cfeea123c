#!/usr/bin/env bash
# The documentation, built with the toolchain's own compiler of it, and checked.
#
#   Tests/docs.sh             compile and run the examples, check the articles, the public declarations and the manual page
#   Tests/docs.sh build DIR   write the documentation of both libraries into DIR
#
# Both look at what `swift build` has built. Prints nothing where all is well.
set -uo pipefail
cd "$(dirname "$0")/.."
# docc and swift-symbolgraph-extract lie beside the compiler, which may be known by a link alone.
PATH=$PATH:$(dirname "$(readlink -f "$(command -v swift)")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
products=$(swift build --show-bin-path)
catalog=Sources/Hotpatch/Hotpatch.docc
status=0

fail() {
    echo "error: $*"
    status=1
}

# What a client of the libraries is compiled with, by SwiftPM.
modules=(-I "$products/Modules")
for folder in CPatch/*/include; do modules+=(-Xcc "-I$PWD/$folder"); done
for map in "$products"/CPatch*.build/module.modulemap CPatch/*/include/module.modulemap Sources/CHotpatch*/module.modulemap; do
    [ -e "$map" ] && modules+=(-Xcc "-fmodule-map-file=$(realpath "$map")")
done
[ -e "$products/Modules/HotpatchTesting.swiftmodule" ] || { echo "error: there is no HotpatchTesting in $products. Build it first."; exit 1; }

# Usage: graph MODULE [OPTION…]. Writes its public declarations to $work/MODULE.
graph() {
    local module=$1
    shift
    [ -d "$work/$module" ] && return
    mkdir "$work/$module"
    swift-symbolgraph-extract -module-name "$module" "${modules[@]}" -target "$(uname -m)-unknown-linux-gnu" \
        -output-dir "$work/$module" -minimum-access-level public -skip-inherited-docs -skip-synthesized-members "$@"
}

# Usage: archive MODULE CATALOG. Says which public declarations have no documentation.
archive() {
    local module=$1 undocumented
    graph "$module" || return 1
    docc convert "$2" --additional-symbol-graph-dir "$work/$module" --output-path "$work/$module.doccarchive" \
        --fallback-display-name "$module" --fallback-bundle-identifier "swift-hotpatch.$module" --warnings-as-errors \
        --transform-for-static-hosting --experimental-documentation-coverage --coverage-summary-level detailed \
        >"$work/$module.log" 2>&1 || { cat "$work/$module.log"; return 1; }
    grep -q '^Symbol Name' "$work/$module.log" || { echo "docc lists no declarations of $module"; return 1; }
    undocumented=$(awk -F ' *[|] *' '$3 == "false" && $2 !~ /^(Article|CollectionGroup)/ {print "  " $NF}' "$work/$module.log")
    [ -z "$undocumented" ] || { echo "without documentation:"; echo "$undocumented"; return 1; }
}

# Usage: documented MODULE [TYPE]. Says which public declarations have no documentation: a type and its members, or all of a module.
# What the compiler adds to an enum that has raw values stands nowhere, and can have none.
documented() {
    graph "$1" -pretty-print || return 1
    awk -v module="$1" -v type="${2:-}" '
        /^    [{]$/ { path = ""; told = 0; stands = 0 }
        /^      "pathComponents"/ { inside = 1; next }
        inside && /^      \]/ { inside = 0 }
        inside { gsub(/^ *"|",?$/, ""); path = path (path == "" ? "" : ".") $0 }
        /^      "docComment"/ { told = 1 }
        /^      "location"/ { stands = 1 }
        /^    [}],?$/ && path != "" && (type == "" || path == type || index(path, type ".") == 1) {
            seen++
            if (!told && (stands || path !~ /\.init\(rawValue:\)$/)) { print "without documentation: " module "." path; missing = 1 }
        }
        END {
            if (type != "" && !seen) print "there is no " module "." type
            exit (type != "" && !seen) || missing
        }' "$work/$1/$1"*.symbols.json
}

# Types that the libraries have from modules below them, which no client imports.
aliases=$(grep -hoE 'public typealias [A-Za-z]+ = Hotpatch[A-Za-z]*\.[A-Za-z.]+' Sources/Hotpatch/*.swift Sources/HotpatchTesting/*.swift \
    Sources/HotpatchEngine/PatchError*.swift | awk '{ print $NF }')
[ -n "$aliases" ] || fail "the libraries have no types of other modules"
for alias in $aliases; do
    documented "${alias%%.*}" "${alias#*.}" || fail "the documentation of $alias"
done

# What is public in the modules below the libraries is what other packages use of them: Benchmarks. Much is `package`.
parts=$(sed -n '/name: "HotpatchParts"/,/\]/p' Package.swift | grep -oE '"Hotpatch[A-Za-z]+"' | tr -d '"' | grep -vx HotpatchParts)
[ -n "$parts" ] || fail "the product HotpatchParts has no modules"
for module in $parts; do
    documented "$module" || fail "the documentation of $module"
done

archive Hotpatch "$catalog" || fail "the documentation of Hotpatch"
archive HotpatchTesting Sources/HotpatchTesting/HotpatchTesting.docc || fail "the documentation of HotpatchTesting"
if [ "${1:-}" = build ]; then
    [ "$status" -eq 0 ] || exit 1
    rm -rf "$2"
    docc merge "$work/Hotpatch.doccarchive" "$work/HotpatchTesting.doccarchive" --output-path "$2" \
        --synthesized-landing-page-name swift-hotpatch
    exit
fi

# Each fenced block of an article is a file in $work/examples, whose name tells where it begins. Those in Swift that need a test are
# told from programs.
mkdir "$work/examples"
awk -v folder="$work/examples" '
    function keep(    file, language) {
        language = kind == "swift" && text ~ /@Test|withMock|withPatch/ ? "test.swift" : kind
        file = folder "/" article "-" first "." language
        if (kind == "swift") printf "import Hotpatch\nimport Shop\n" >file
        if (language == "test.swift") printf "import HotpatchTesting\nimport Testing\n" >file
        if (kind == "swift") printf "#sourceLocation(file: \"%s\", line: %d)\n", FILENAME, first >file
        if (kind == "c") printf "#line %d \"%s\"\n", first, FILENAME >file
        printf "%s", text >file
        close(file)
    }
    FNR == 1 { inside = 0; article = FILENAME; gsub(/.*\//, "", article); sub(/\.md$/, "", article) }
    /^```/ {
        if (inside) { inside = 0; keep(); next }
        kind = substr($0, 4)
        if (kind !~ /^(swift|c|console|text)$/) print "error: " FILENAME ":" FNR ": no language, or an unknown one"
        inside = 1
        first = FNR + 1
        text = ""
        next
    }
    inside { text = text $0 "\n" }
    !inside && /^    [^ ]/ && before == "" { print "error: " FILENAME ":" FNR ": an example that is not fenced is not compiled" }
    { before = $0 }
' README.md Sources/*/*.docc/*.md | tee "$work/unfenced"
[ ! -s "$work/unfenced" ] || status=1

# What a program is linked with that patches itself.
swift=(swiftc -swift-version 6 -g -module-name Example "${modules[@]}" -I "$work")
mapfile -t objects < <(tr ' ' '\n' <"$products/HotpatchFromCode.product/Objects.LinkFileList" |
    grep -E '/(CPatch|Hotpatch)[A-Za-z]*\.build/' | grep -v '/HotpatchFromCode\.build/')
[ ${#objects[@]} -gt 0 ] || fail "there is no HotpatchFromCode in $products. Build it first."

# Usage: works FILE…. Programs are run, each by itself, and tests compiled.
works() {
    local file
    for file; do
        mkdir "$file.d"
        cp "$file" "$file.d/main.swift"
        case $file in
        *.test.swift) "${swift[@]}" -typecheck "$file.d/main.swift" ;;
        *)
            "${swift[@]}" -o "$file.d/program" "$file.d/main.swift" "$work/Shop.o" "${objects[@]}" -lcapstone &&
                SWIFT_BACKTRACE=enable=no timeout 60 "$file.d/program" >/dev/null
            ;;
        esac 2>&1 || echo "error: $file"
    done
}
shop=(swiftc -swift-version 6 -g -parse-as-library -module-name Shop Tests/Docs/Shop.swift)
"${shop[@]}" -emit-module -o "$work/Shop.swiftmodule" && "${shop[@]}" -c -o "$work/Shop.o" || fail "Tests/Docs/Shop.swift"
examples=("$work"/examples/*.swift)
[ -e "${examples[0]}" ] || fail "no article has an example in Swift"
half=$((${#examples[@]} / 2))
works "${examples[@]:0:half}" >"$work/swift.1" &
works "${examples[@]:half}" >"$work/swift.2"
wait
[ ! -s "$work/swift.1" ] && [ ! -s "$work/swift.2" ] || { cat "$work/swift.1" "$work/swift.2"; status=1; }

[ -n "$(find "$work/examples" -name '*.c')" ] || fail "no article has an example in C"
for example in "$work"/examples/*.c; do
    for compiler in "gcc -x c -std=c99" "g++ -x c++ -std=c++11"; do
        $compiler -ICPatch -Wall -Wextra -Wpedantic -Werror -fPIC -fvisibility=hidden -c -o /dev/null "$example" || fail "$example"
    done
done

# Transcripts use no option that a command does not have.
options() { "$products/swift-hotpatch" "$@" --help | grep -oE '(^|[ ,(])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u; }
while read -r command line; do
    for option in $(grep -oE -- '--[a-z][a-z-]*' <<<"$line"); do
        grep -qxe "$option" <<<"$(options "$command")" || fail "an article has swift-hotpatch $command $option, which there is not"
    done
done < <(sed -nE 's/^(\$ )?swift-hotpatch (apply|list|revert|symbols) /\2 /p' "$work"/examples/*.console)

# The manual page has a paragraph for each option of each command.
Sources/swift-hotpatch/manual.sh "$products/swift-hotpatch" >"$work/page" || fail "there is no manual page"
for command in $("$products/swift-hotpatch" --help | awk '/^SUBCOMMANDS:/ { listed = 1; next } listed && /^  [a-z]/ { print $1 }'); do
    told=$(awk -v command="$command" '/^\.S[SH]/ { inside = ($1 == ".SS" && $2 == command) } inside && /^\.B [^s]/' "$work/page" |
        sed 's/\\-/-/g' | grep -oE -- '--[a-z][a-z-]*' | sort -u)
    [ -n "$told" ] && [ "$told" = "$(options "$command")" ] ||
        fail "the manual page of $command and its --help differ: $(diff <(echo "$told") <(options "$command") | tr '\n' ' ')"
done

# One version, wherever it stands.
version=$("$products/swift-hotpatch" --version)
grep -qE "^## $version( |$)" "$catalog/Changelog.md" || fail "the changelog has no version $version"
exit $status
