import HotpatchELF
import HotpatchMemory
import HotpatchSymbols

/// Protocols whose conformances are all in other files: no object tells whether their requirements have another order, or other names.
extension ObjectEdit {
    /// What the source says, which the object was compiled of, is compared with what the process's conformances have.
    /// - Returns: a sentence for each protocol that has changed, without its full stop.
    func requirementChanges(_ source: String?, of object: ElfImage) -> [String] {
        let names = new.pieces.lazy.map(\.name).filter { $0.hasPrefix("$s") && $0.hasSuffix("Mp") }.filter {
            oldNames[$0] != nil && !renewed.contains($0)
        }
        guard let source, !names.isEmpty, let text = Self.text(of: source, before: object) else { return [] }
        let layout = SwiftLayout(new)
        let found: [(name: String, interface: SwiftLayout.Interface, address: Address)] = names.compactMap { name in
            guard let interface = layout.interfaces[name], interface.names == nil,
                interface.requirements.filter({ $0 & 0xF != 0 }).count > 1, let address = formerAddress(of: name)
            else { return nil }
            return (name, interface, address)
        }
        if found.isEmpty { return [] }
        let conformances = live.data(withPrefix: "$s").filter { $0.name.hasSuffix("Mc") }
        return found.compactMap { name, interface, address in
            let subject = SwiftLayoutNames.protocol(name)
            let own = String(subject.split(separator: ".").last ?? "")
            guard let now = ProtocolSource(named: own, in: text).map({ Self.once($0.requirements) }) else { return nil }
            for conformance in conformances where live.interface(ofConformance: conformance.address) == address {
                let table = String(conformance.name.dropLast(2)) + "WP"
                guard let witnesses = witnesses(of: table, count: interface.requirements.count) else { continue }
                let known = SwiftLayout.names(
                    of: SwiftLayout.Conformance(interface: name, witnesses: witnesses, types: [:]), name, interface)
                let before = Self.once(
                    zip(known, interface.requirements).filter { ![0, 7, 8].contains($1 & 0xF) }.map { Self.base($0.0) })
                guard !before.contains(""), before.count == now.count, before != now else { return nil }
                let type = SwiftLayoutNames.text(
                    conformance.name, without: "protocol conformance descriptor for ")
                func list(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }
                return "\(subject): \(source) has its requirements as \(list(now)), and \(type), of another file, "
                    + "has them as \(list(before))"
            }
            return nil
        }
    }

    /// What the process has in a witness table, by the names; nil where it is filled in at run time, or cannot be read.
    private func witnesses(of table: String, count: Int) -> [String]? {
        guard let start = live.address(ofUndefined: table) else { return nil }
        var result: [String] = []
        for index in 1...count {
            guard let word = try? live.memory.value(UInt64.self, at: start + 8 * index) else { return nil }
            result.append(live.index.function(containing: Address(word))?.symbol.name ?? "")
        }
        return result
    }

    /// The text of a source, where nobody has written it since the object was.
    private static func text(of source: String, before object: ElfImage) -> [UInt8]? {
        guard let compiled = object.identity, let file = try? OpenFile(path: source),
            (file.identity.modifiedSeconds, file.identity.modifiedNanoseconds)
                <= (compiled.modifiedSeconds, compiled.modifiedNanoseconds)
        else { return nil }
        return try? file.readAll(limit: 16 << 20, path: source)
    }

    /// A property has several requirements: what gets it, and what sets it.
    private static func once(_ names: [String]) -> [String] {
        names.indices.filter { $0 == 0 || names[$0] != names[$0 - 1] }.map { names[$0] }
    }

    /// The name in "method 'sides(of:)'".
    private static func base(_ text: String) -> String {
        let parts = text.split(separator: "'", maxSplits: 1)
        guard parts.count == 2 else { return text }
        return String(parts[1].prefix { !"(<: '".contains($0) })
    }
}

extension LiveProgram {
    /// The protocol of a conformance: its record's first field leads there, or to a word that does.
    fileprivate func interface(ofConformance conformance: Address) -> Address? {
        guard let field = try? memory.value(Int32.self, at: conformance) else { return nil }
        let place = conformance + Int(field & ~1)
        guard field & 1 != 0 else { return place }
        return (try? memory.value(UInt64.self, at: place)).map { Address($0) }
    }
}
