import HotpatchMemory
import HotpatchSymbols

/// What code relies on of what an object defines, a number for each: how types, protocols and conformances of Swift, tables of C++ classes
/// and variables of C are laid out, by the names of their descriptors.
///
/// The process keeps what an edit removes. What an edit after that adds under the same name is not that where the two differ, and the
/// baseline of the file no longer tells.
struct DefinitionDigests: Sendable {
    private var lines: [String: String] = [:]
    /// The names of what protocols require, where the object tells them.
    private var requirements: [String: [String]] = [:]

    init(_ graph: ObjectGraph, variables: [String: String]) {
        let layout = SwiftLayout(graph)
        for base in layout.types {
            guard let type = layout.nominals[base] else { continue }
            var words = type.generics + [type.superclass] + type.methods
            words += ["\(type.isValue) \(type.isGeneric) \(type.isActor)"]
            if let fields = layout.fields[base] {
                words += fields.fields.map { "\($0.name) \($0.type) \($0.isIndirect) \(fields.ofEnum)" }
            }
            if let value = layout.values[base] {
                words += ["\(value.size) \(value.stride) \(value.flags) \(value.extraInhabitants)"]
            }
            if let metadata = layout.metadata[base] {
                words += ["\(metadata.instanceSize ?? 0) \(metadata.words.count)"]
            }
            lines[base + "Mn"] = words.joined(separator: "\n")
        }
        for (name, found) in layout.interfaces {
            let words = found.signature + found.associatedTypes + found.requirements.map { "\($0)" }
            lines[name] = (words + ["\(found.flags)"]).joined(separator: "\n")
            requirements[name] = found.names
        }
        for (base, found) in layout.conformances {
            let types = found.types.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            lines[base + "Mc"] = ([found.interface] + found.witnesses + types).joined(separator: "\n")
        }
        for (base, found) in layout.opaques {
            lines[base + "MQ"] = (found.constraints + found.underlying).joined(separator: "\n")
        }
        for (name, words) in layout.cxxTables { lines[name] = words.joined(separator: "\n") }
        for (index, piece) in graph.pieces.enumerated() where !piece.isFunction {
            if let type = variables[piece.name] { lines[piece.name] = "\(type) \(graph.size(of: index))" }
        }
    }

    /// Nil of what nothing is known of.
    subscript(name: String) -> Address? {
        lines[name].map { Self.number($0 + (requirements[name] ?? []).map { "\n" + $0 }.joined()) }
    }

    /// Whether another object lays out something as this does, as far as both tell.
    func agrees(with other: DefinitionDigests, on name: String) -> Bool {
        guard lines[name] == other.lines[name] else { return false }
        guard let mine = requirements[name], let theirs = other.requirements[name] else { return true }
        return mine == theirs
    }

    /// FNV-1a, folded: it is no address of anything.
    static func number(_ text: String) -> Address {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Address((hash ^ hash >> 32) & 0xFFFF_FFFF | 1)
    }

    /// What the identity map calls the number of a definition.
    static func identity(_ name: String) -> String { "layout " + name }

    /// Whether there is one of a name.
    static func describe(_ name: String, variables: [String: String]) -> Bool {
        guard name.hasPrefix("$s") else {
            return name.hasPrefix("_ZTV") || name.hasPrefix("_ZTI") || variables[name] != nil
        }
        return ["Mn", "Mp", "Mc", "MQ"].contains(String(name.suffix(2)))
    }
}

extension ObjectEdit {
    /// The data of an object that has such a number.
    private func described(_ graph: ObjectGraph, _ variables: [String: String]) -> [Int] {
        graph.pieces.indices.filter { index in
            let piece = graph.pieces[index]
            return !piece.isFunction && !piece.kind.isAnonymous && !graph.isStatic(index)
                && DefinitionDigests.describe(piece.name, variables: variables)
        }
    }

    /// Pieces that are bound to what the process has of their names, and the baseline of the file does not have.
    var returned: [Int] {
        described(new, variables.new).filter { index in
            guard case .bind = decisions[index] else { return false }
            return oldNames[name(of: index)] == nil
        }
    }

    /// The names of what the process has and the file no longer defines, but for functions.
    var gone: [String] {
        let kept = Set(described(new, variables.new).flatMap { [name(of: $0), new.pieces[$0].name] })
        return described(old, variables.old).filter { baseline.places[$0] != nil }.map { old.pieces[$0].name }
            .filter { !kept.contains($0) }
    }

    /// What the identity map is to know of definitions that come and go.
    /// - Parameter placed: pieces of the new object that the process gets.
    func digests(placed: [Int]) -> [(name: String, address: Address)] {
        let came = Set(described(new, variables.new)).intersection(placed).sorted()
        var result: [(name: String, address: Address)] = []
        func add(_ names: [String], _ digests: @autoclosure () -> DefinitionDigests) {
            if names.isEmpty { return }
            let digests = digests()
            for name in names {
                if let digest = digests[name] { result.append((DefinitionDigests.identity(name), digest)) }
            }
        }
        add(came.map { new.pieces[$0].name }, newDigests)
        add(gone, oldDigests)
        for function in removedFunctions {
            guard let text = functions.old.fingerprint(of: function.name)?.text else { continue }
            result.append((DefinitionDigests.identity(function.identity), DefinitionDigests.number(text)))
        }
        return result
    }

    var oldDigests: DefinitionDigests { DefinitionDigests(old, variables: variables.old) }
    var newDigests: DefinitionDigests { DefinitionDigests(new, variables: variables.new) }
}

extension ObjectLinker {
    /// What the process has under a name, and the baseline of the file does not, is to be what the new object defines: what another of these
    /// files had, or an edit before.
    func checkReturned() throws {
        for edit in edits {
            let returned = edit.returned
            if returned.isEmpty { continue }
            let digests = edit.newDigests
            var reasons: [String] = []
            for index in returned {
                let name = edit.new.pieces[index].name
                guard let digest = digests[name] else { continue }
                if let former = edits.first(where: { $0.oldNames[name] != nil }) {
                    if former.oldDigests.agrees(with: digests, on: name) { continue }
                    reasons.append(
                        "\(Self.subject(name)): it moves from \(Self.file(former.old)) to \(Self.file(edit.new)), and is laid out "
                            + "otherwise than the process has it")
                    continue
                }
                if let known = live.identity(DefinitionDigests.identity(name)) {
                    if known == digest { continue }
                    reasons.append(
                        "\(Self.subject(name)): it comes back, or comes from another file, and is laid out otherwise "
                            + "than the process has it")
                    continue
                }
                // Each file has it that uses it (`inline`), or nobody initialises it (`-fcommon`).
                let isOfOneFile = edit.new.pieces[index].symbols.contains {
                    ![.weak, .unique].contains(edit.new.object.symbols[$0].binding)
                }
                guard isOfOneFile, edit.new.object.sections[edit.new.pieces[index].section].name != "COMMON" else {
                    continue
                }
                reasons.append(
                    "\(Self.subject(name)): another file of the program has it, or had, and nothing tells how it is laid out"
                )
            }
            guard reasons.isEmpty else { throw LinkError.restart(path: edit.new.object.path, reasons: reasons) }
        }
    }

    /// The name of an object's file.
    private static func file(_ graph: ObjectGraph) -> String {
        graph.object.path.split(separator: "/").last.map(String.init) ?? graph.object.path
    }

    private static func subject(_ name: String) -> String {
        if name.hasSuffix("Mn"), name.hasPrefix("$s") { return SwiftLayoutNames.type(String(name.dropLast(2))) }
        if name.hasSuffix("Mp"), name.hasPrefix("$s") { return SwiftLayoutNames.protocol(name) }
        return Demangling.demangle(name) ?? name
    }
}
