import CHotpatchElf
import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

/// Finds the libraries a library needs where the dynamic linker of a process would (ld.so(8)): DT_RUNPATH, the cache,
/// the standard directories. LD_LIBRARY_PATH is read from the process's environment.
struct LibrarySearch {
    let files: TargetFiles
    let machine: UInt16
    private let environmentPath: [String]
    private let cache: [String: [String]]

    init(files: TargetFiles, machine: UInt16) {
        self.files = files
        self.machine = machine
        let environment = (try? ProcText.read(ProcDirectory.path(of: files.pid) + "/environ", limit: 4 << 20)) ?? []
        let name = "LD_LIBRARY_PATH="
        let value = environment.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            .first { $0.hasPrefix(name) }?.dropFirst(name.count)
        let separators: Set<Character> = [":", ";"]
        environmentPath = value?.split(whereSeparator: separators.contains).map(String.init) ?? []
        cache =
            (try? files.read("/etc/ld.so.cache", limit: Self.largestCache)).map { Self.parseCache($0, machine) } ?? [:]
    }

    /// In bytes, of ld.so.cache: a thousand times an ordinary one. A longer one counts as none.
    private static let largestCache = 64 << 20

    /// A library, and whether it is one of this process's files rather than of the target's.
    struct Found {
        var image: ElfImage
        var isOwn: Bool
    }

    /// The file of a DT_NEEDED entry of `library`; nil where there is none for this machine.
    func find(_ name: String, neededBy library: Found) -> Found? {
        for (path, isOwn) in candidates(name, library) {
            guard let image = try? isOwn ? ElfImage(path: path) : files.image(path), image.machine == machine else {
                continue
            }
            return Found(image: image, isOwn: isOwn)
        }
        return nil
    }

    private func candidates(_ name: String, _ needing: Found) -> [(path: String, isOwn: Bool)] {
        let library = needing.image
        let path = library.path
        let origin = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        if name.contains("/") { return [(name, false)] }
        let triple = machine == UInt16(EM_AARCH64) ? "aarch64-linux-gnu" : "x86_64-linux-gnu"
        var places: [(String, Bool)] = []
        for directory in library.runpath {
            // A path below $ORIGIN is as reachable as the library itself, which was opened without the root.
            let isOwn = directory.hasPrefix("$ORIGIN") || directory.hasPrefix("${ORIGIN}")
            let expanded = Self.expand(directory, ["ORIGIN": origin, "LIB": "lib/\(triple)"])
            places.append((expanded + "/" + name, isOwn && needing.isOwn))
        }
        places += environmentPath.map { ("\($0)/\(name)", false) }
        places += (cache[name] ?? []).map { ($0, false) }
        places += ["/lib/\(triple)", "/usr/lib/\(triple)", "/lib64", "/usr/lib64", "/lib", "/usr/lib"].map {
            ("\($0)/\(name)", false)
        }
        return places
    }

    private static func expand(_ text: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = text[...]
        scan: while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...]
            for (name, value) in values {
                for token in ["${\(name)}", "$\(name)"] where rest.hasPrefix(token) {
                    result += value
                    rest = rest.dropFirst(token.count)
                    continue scan
                }
            }
            result += "$"
            rest = rest.dropFirst()
        }
        return result + rest
    }

    /// The cache in its current format, which may follow one in the old format (glibc, sysdeps/generic/dl-cache.h): a
    /// header of 48 bytes; entries of 24: flags, name, path, version, capabilities. Offsets count from the header.
    static func parseCache(_ contents: [UInt8], _ machine: UInt16) -> [String: [String]] {
        var result: [String: [String]] = [:]
        contents.withUnsafeBytes { bytes in
            guard let start = bytes.firstIndex(of: "glibc-ld.so.cache1.1"),
                let cache = bytes.slice(at: UInt64(start), count: UInt64(bytes.count - start)),
                let count = cache.value(UInt32.self, at: 20)
            else { return }
            // FLAG_ELF_LIBC6 with the machine's bits.
            let wanted: Int32 = machine == UInt16(EM_AARCH64) ? 0x0A03 : 0x0303
            for index in 0..<UInt64(count) {
                let entry = 48 + index * 24
                guard let flags = cache.value(Int32.self, at: entry),
                    let name = cache.value(UInt32.self, at: entry + 4),
                    let path = cache.value(UInt32.self, at: entry + 8)
                else { break }
                guard flags == wanted, let name = cache.string(at: UInt64(name)),
                    let path = cache.string(at: UInt64(path))
                else { continue }
                result[name, default: []].append(path)
            }
        }
        return result
    }
}

/// What would keep a library from being loaded into a process.
package struct UnresolvedSymbols: Hashable, Sendable {
    /// Strong undefined symbols that nothing defines, as `name` or `name@VERSION`, sorted.
    package var symbols: [String]
    /// Needed libraries that are neither loaded nor found, as `name (needed by path)`, in the order of the search.
    package var libraries: [String]

    package var isEmpty: Bool { symbols.isEmpty && libraries.isEmpty }
}

extension SymbolIndex {
    /// What a shared library needs that neither the images of the process define, nor the library itself, nor the libraries
    /// that loading it would bring along (DT_NEEDED and what those need in turn, found on disk).
    ///
    /// Weak undefined symbols may stay undefined and do not count. Paths are taken below `root`, except the library's own.
    package func unresolvedSymbols(of library: ElfImage, root: String? = nil) -> UnresolvedSymbols {
        let files = root.map { TargetFiles(pid: map.pid, root: $0) } ?? self.files
        let search = LibrarySearch(files: files, machine: library.machine)
        var result = UnresolvedSymbols(symbols: [], libraries: [])
        var defined: [String: Set<String?>] = [:]
        var seen: Set<String> = []
        var pending = [LibrarySearch.Found(image: library, isOwn: true)]
        // Breadth first, as the dynamic linker loads. The number of names bounds the walk.
        while !pending.isEmpty, !time.isOver("the libraries that \(library.path) needs") {
            let needing = pending.removeFirst()
            let current = needing.image
            if let table = current.dynamicTable {
                for index in 0..<table.count where table[index].isDefined && table[index].binding != .local {
                    if time.isOver(at: index, "the symbols of \(current.path)") { break }
                    let symbol = current.symbol(table, index)
                    defined[symbol.name, default: []].insert(symbol.version)
                }
            }
            for name in current.needed where seen.insert(name).inserted {
                if images.contains(where: { $0.elf.soname == name || $0.name == name || $0.path == name }) { continue }
                if let found = search.find(name, neededBy: needing) {
                    pending.append(found)
                } else {
                    result.libraries.append("\(name) (needed by \(current.path))")
                }
            }
        }
        for symbol in library.undefinedDynamicSymbols where symbol.binding != .weak {
            if let versions = defined[symbol.name],
                symbol.version == nil || versions.contains(symbol.version) || versions == [nil]
            {
                continue
            }
            if !isExported(symbol.name, version: symbol.version) {
                result.symbols.append(symbol.version.map { "\(symbol.name)@\($0)" } ?? symbol.name)
            }
        }
        result.symbols.sort()
        return result
    }

    /// Whether any image has a definition in `.dynsym`; one without versions serves every version, thread-local ones count.
    private func isExported(_ name: String, version: String?) -> Bool {
        name.withBytes { bytes in
            let found = definitions(named: bytes, nil, code: true) + definitions(named: bytes, nil, code: false)
            for definition in found where !definition.reference.isStatic && definition.symbol.binding != .local {
                let own = self.version(of: definition).name
                if version == nil || own == nil || own == version { return true }
            }
            // Thread-local and absolute symbols are not indexed.
            return images.contains { image in
                guard let table = image.elf.dynamicTable else { return false }
                return (0..<table.count).contains { index in
                    if time.isOver(at: index, image.symbols.subject) { return true }
                    let symbol = table[index]
                    return symbol.isDefined && symbol.type == UInt8(STT_TLS)
                        && table.name(symbol)?.equals(bytes) == true
                }
            }
        }
    }
}
