#!/usr/bin/env bash
# Writes Sources/HotpatchSwiftCall/ResilientTypes.swift from the toolchain's module interfaces; with --check, says whether it is what
# this toolchain would make of it.
set -euo pipefail
cd "$(dirname "$0")/.."
file=Sources/HotpatchSwiftCall/ResilientTypes.swift

version=$(swiftc -version 2>/dev/null | grep -oE 'swift-[0-9.]+-RELEASE|Swift version [0-9.]+[^ ]*' | head -1)
info=$(swiftc -print-target-info)
value() { sed -nE "s/.*\"$1\": \"([^\"]*)\".*/\1/p" <<<"$info" | head -1; }
resources=$(value runtimeResourcePath)/$(value platform)
triple=$(value moduleTriple)

# The types of one interface. Blocks nest by indentation; attributes may stand on lines before the declaration.
types() {
    awk -v module="$1" '
        BEGIN { depth = 0; frozen = 0 }
        /^ *$/ || /^ *(#|\/\/)/ { next }
        {
            indent = match($0, /[^ ]/) - 1
            while (depth > 0 && indent <= indents[depth]) depth--
            text = substr($0, indent + 1)
            own = frozen || text ~ /@frozen/
            # "@available(macOS 10.15, *)" and "@frozen" alone.
            if (text ~ /^@/ && text !~ /(^| )(struct|enum|class|actor|protocol|extension|func|var|let|init|subscript|case|typealias|associatedtype|macro|deinit|operator|import) ?[^:]/) {
                frozen = own
                next
            }
            frozen = 0
            declaration = text
            while (sub(/^@[A-Za-z_]+(\([^)]*\))? */, "", declaration)) {}
            while (sub(/^(public|open|internal|package|private|fileprivate|final|indirect|nonisolated|distributed|prefix|postfix) /, "", declaration)) {}
            if (declaration !~ /^(struct|enum|class|actor|protocol|extension) [A-Za-z_]/ || text !~ /\{[^}]*$|\{ *\}$/) next
            kind = declaration
            sub(/ .*/, "", kind)
            name = declaration
            sub(/^[a-z]+ /, "", name)
            sub(/[^A-Za-z0-9_.].*/, "", name)
            # An extension names the module of what it extends.
            if (kind == "extension") sub(/^[A-Za-z0-9_]+\./, "", name)
            path = depth > 0 ? paths[depth] "." name : name
            if ((kind == "struct" || kind == "enum") && !own) print module "." path
            depth++
            indents[depth] = indent
            paths[depth] = path
        }'
}

generate() {
    cat <<HEADER
// Made by \`make resilient-types\` from the module interfaces of $version. Not to be changed by hand.

/// Structs and enums of the toolchain's libraries that other modules do not know the layout of: not \`@frozen\`, in a module built
/// with library evolution. Values of such a type are always passed by address, and metadata does not show it
/// (docs/LibraryEvolution.rst, "Structs", "Enums").
enum ResilientTypes {
    /// - Parameters:
    ///   - module: the module that declares it, as the type's name has it: \`Swift\` for those of \`_Concurrency\`, and of a type
    ///     that an extension declares the extension's.
    ///   - name: with what it is nested in, \`Mirror.DisplayStyle\`, and without generic arguments.
    static func isResilient(module: String, name: String) -> Bool { names.contains("\(module).\(name)") }

    static let toolchain = "$version"

    static let names: Set<String> = [
HEADER
    for interface in "$resources"/*.swiftmodule/"$triple".swiftinterface; do
        flags=$(grep -m1 'swift-module-flags:' "$interface")
        grep -q -- '-enable-library-evolution' <<<"$flags" || continue
        module=$(basename "$(dirname "$interface")" .swiftmodule)
        # The runtime knows its types by this name.
        if [ "$module" = _Concurrency ]; then module=Swift; fi
        # The private interface has what is in the other, and SPI.
        if [ -e "${interface%.swiftinterface}.private.swiftinterface" ]; then
            interface=${interface%.swiftinterface}.private.swiftinterface
        fi
        types "$module" <"$interface"
    done | LC_ALL=C sort -u | sed 's/.*/        "&",/'
    printf '    ]\n}\n'
}

case ${1:-} in
"")
    generate >"$file.new"
    mv "$file.new" "$file"
    echo "$file: $(grep -c '^        "' "$file") types of $version"
    ;;
--check)
    committed=$(sed -nE 's/^    static let toolchain = "(.*)"$/\1/p' "$file")
    if [ "$committed" != "$version" ]; then
        echo "another toolchain: $file is of $committed, this is $version"
    elif ! generate | diff "$file" - >&2; then
        echo "$file is out of date. Run make resilient-types." >&2
        exit 1
    fi
    ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 64
    ;;
esac
