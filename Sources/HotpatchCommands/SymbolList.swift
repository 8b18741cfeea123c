import HotpatchMemory
import HotpatchSymbols

/// `symbols`: what can be patched in a process, or is defined by a file.
public struct SymbolList: Sendable {
    public enum Subject: Sendable {
        case process(Int32)
        case file(String)
    }

    public var subject: Subject
    /// With `*` and `?`; without either, any part of the mangled or demangled name. Nil for all.
    public var pattern: String?
    public var image: String?

    public init(subject: Subject, pattern: String? = nil, image: String? = nil) {
        self.subject = subject
        self.pattern = pattern
        self.image = image
    }

    private struct Row {
        var address: UInt64
        var size: Int
        var name: String
        var version: String?
        var image: String

        /// As it can be typed.
        var versionedName: String { version.map { "\(name)@\($0)" } ?? name }
    }

    public func run() throws(CommandError) -> Report {
        let rows: [Row]
        switch subject {
        case .process(let pid): rows = try functions(of: pid)
        case .file(let path): rows = try functions(in: path)
        }
        let lines = rows.map { row in
            let demangled = displayName(row.name)
            let name = demangled == row.name ? row.versionedName : "\(demangled)  [\(row.versionedName)]"
            return "\(Address(row.address))  \(row.size)  \(name)" + (row.image.isEmpty ? "" : "  \(row.image)")
        }
        let json = rows.map { row in
            JSON.object([
                "address": .string(Address(row.address).description), "size": .number(row.size),
                "symbol": .string(row.name), "version": row.version.map(JSON.string) ?? .null,
                "name": .string(displayName(row.name)), "image": .string(row.image),
            ])
        }
        return Report(text: lines.joined(separator: "\n"), json: ["functions": .array(json)])
    }

    private func functions(of pid: Int32) throws(CommandError) -> [Row] {
        let index = try Inspection(pid: pid).symbols()
        if let image, !index.images.contains(where: { $0.matches(image) }) {
            throw CommandError(
                "process \(pid) has no image '\(image)', which --in names. It has: "
                    + "\(index.images.map(\.name).joined(separator: ", ")). Check the spelling.")
        }
        return index.functions(matching: pattern ?? "*", in: image).map {
            Row(address: $0.address.rawValue, size: $0.size, name: $0.name, version: $0.version, image: $0.image.name)
        }
    }

    private func functions(in path: String) throws(CommandError) -> [Row] {
        do throws(SymbolError) {
            let image = try ElfImage(path: path)
            var seen: Set<ElfSymbol> = []
            // Those of .dynsym know their versions.
            let all = (image.dynamicSymbols + image.symbols).filter { $0.isDefined && $0.isFunction }
            return all.filter { symbol in
                guard let pattern else { return true }
                return NamePattern(pattern).matches(symbol.name)
                    || Demangling.demangle(symbol.name).map { NamePattern(pattern).matches($0) } ?? false
            }
            .filter { seen.insert($0.identity).inserted }
            .sorted { $0.value < $1.value }
            .map { Row(address: $0.value, size: Int(clamping: $0.size), name: $0.name, version: $0.version, image: "") }
        } catch { throw CommandError(error) }
    }
}

extension ElfSymbol {
    /// The symbol without what differs between its copies in `.symtab` and `.dynsym`.
    fileprivate var identity: ElfSymbol {
        var copy = self
        copy.version = nil
        copy.isDefaultVersion = false
        return copy
    }
}
