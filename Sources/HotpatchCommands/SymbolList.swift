import HotpatchELF
import HotpatchMemory
import HotpatchObjects
import HotpatchSymbols
import HotpatchReload

/// `symbols`: what can be patched of a program, or all that a process or a file defines.
package struct SymbolList: Sendable {
    package enum Subject: Sendable {
        case process(Int32)
        case file(String)
    }

    package var subject: Subject
    /// With `*` and `?`; without either, any part of the mangled or demangled name. Nil for all.
    package var pattern: String?
    package var image: String?
    /// The functions of every image, and those that compilers and linkers made.
    package var all: Bool

    package init(subject: Subject, pattern: String? = nil, image: String? = nil, all: Bool = false) {
        self.subject = subject
        self.pattern = pattern
        self.image = image
        self.all = all
    }

    private struct Row {
        var address: UInt64
        var size: Int
        var name: String
        var version: String?
        /// The image's name; empty for a file, which was named.
        var image: String
        var path: String

        /// As it can be typed.
        var versionedName: String { version.map { "\(name)@\($0)" } ?? name }
    }

    /// What was found, and what is to be said where that is nothing.
    private struct Found {
        var rows: [Row]
        var absence: String
    }

    package func run() throws(CommandError) -> Report {
        let found: Found
        switch subject {
        case .process(let pid): found = try functions(of: pid)
        case .file(let path): found = try functions(in: path)
        }
        var rows = found.rows.map { (row: $0, name: displayName($0.name)) }
        // A program's are sorted to be read; a process's are listed by address.
        if !all { rows.sort { ($0.name, $0.row.address, $0.row.name) < ($1.name, $1.row.address, $1.row.name) } }
        let lines = rows.map { row, demangled in
            let name = demangled == row.name ? row.versionedName : "\(demangled)  [\(row.versionedName)]"
            return "\(Address(row.address))  \(row.size)  \(name)" + (row.image.isEmpty ? "" : "  \(row.image)")
        }
        let json = rows.map { row, demangled in
            JSON.object([
                "address": .string(Address(row.address).description), "size": .number(row.size),
                "symbol": .string(row.name), "version": row.version.map(JSON.string) ?? .null,
                "name": .string(demangled), "image": .string(row.path),
            ])
        }
        let notices = rows.isEmpty ? [found.absence] : []
        return Report(
            text: lines.joined(separator: "\n"),
            json: ["functions": .array(json), "notes": .array(notices.map(JSON.string))], notices: notices)
    }

    private func functions(of pid: Int32) throws(CommandError) -> Found {
        let index = try Inspection(pid: pid).symbols()
        if let image, !index.images.contains(where: { $0.matches(image) }) {
            throw CommandError(
                "process \(pid) has no image '\(image)', which --in names. It has: "
                    + "\(index.images.map(\.name).joined(separator: ", ")). Check the spelling.")
        }
        let program = index.images.first { $0.isMainProgram }
        let place = all ? image : image ?? program?.path
        var functions = index.functions(matching: pattern ?? "*", in: place)
        if !all {
            var written: [LoadedImage: WrittenFunctions] = [:]
            functions.removeAll { function in
                let image = function.image
                if written[image] == nil { written[image] = WrittenFunctions(of: image) }
                return written[image]?.contains(function.name) == false
            }
        }
        let rows = functions.map {
            Row(
                address: $0.address.rawValue, size: $0.size, name: $0.name, version: $0.version, image: $0.image.name,
                path: $0.image.path)
        }
        guard rows.isEmpty else { return Found(rows: rows, absence: "") }
        let others = all ? 0 : index.functions(matching: pattern ?? "*", in: image).count
        return Found(
            rows: [],
            absence: absence(
                of: place.map { "\($0) in process \(pid)" } ?? "process \(pid)", others: others,
                stripped: index.whatIsStripped(image)))
    }

    private func functions(in path: String) throws(CommandError) -> Found {
        do throws(ReadError) {
            let image = try ElfImage(path: path)
            var seen: Set<ElfSymbol> = []
            let pattern = pattern.map { NamePattern($0) }
            // Those of .dynsym know their versions.
            let matching = (image.dynamicSymbols + image.symbols).filter { symbol in
                guard symbol.isDefined, symbol.isFunction else { return false }
                guard let pattern else { return true }
                return pattern.matches(symbol.name)
                    || Demangling.demangle(symbol.name).map { pattern.matches($0) } ?? false
            }
            .filter { seen.insert($0.identity).inserted }
            let written = WrittenFunctions(of: image)
            let wholePath = fullPath(path)
            let rows = matching.filter { all || written.contains($0.name) }.sorted { $0.value < $1.value }.map {
                Row(
                    address: $0.value, size: Int(clamping: $0.size), name: $0.name, version: $0.version, image: "",
                    path: wholePath)
            }
            return Found(rows: rows, absence: absence(of: path, others: matching.count, stripped: nil))
        } catch { throw CommandError(error) }
    }

    /// - Parameter others: how many more --all shows.
    private func absence(of place: String, others: Int, stripped: String?) -> String {
        var text = "no function"
        if !all { text += " that was written in the source" }
        text += " of \(place)"
        if let pattern { text += " matches '\(pattern)'" } else { text += " is known" }
        if others > 0 { text += "; --all shows \(others) more" }
        return text + (stripped.map { ". \($0)" } ?? "")
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
