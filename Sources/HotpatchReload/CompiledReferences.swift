/// What one Swift file declares and what it uses: what the frontend writes with `-emit-reference-dependencies-path` (`.swiftdeps`).
///
/// It is the graph by which the compiler's driver decides which files an edit brings along. It is not documented, but versioned: of
/// another version nothing is read, and all files of the module are then taken for dependents. Next to it the other ways are worse: the
/// hash of a file's interface alone says that something has changed and not for whom, and a partial module is no longer written by 6.3.
struct CompiledReferences: Equatable {
    /// What can be declared or used, by name.
    struct Key: Hashable, Sendable {
        enum Kind: UInt8, Sendable {
            case topLevel, nominal, potentialMember, member, dynamicLookup, externalDepend, sourceFile
        }
        var kind: Kind
        /// The type that something belongs to, mangled.
        var context: String
        var name: String
    }

    struct Node: Equatable {
        var key: Key
        /// What others see of it; else its body.
        var isInterface: Bool
        /// It is declared here; else it is only used.
        var isDeclared: Bool
        /// The fingerprint of what others see of a declaration, where the compiler makes one.
        var fingerprint: String?
        /// The nodes that it uses.
        var uses: [Int] = []
    }

    var nodes: [Node] = []

    private static let magic = Array("DEPS".utf8)
    /// The block of records that the format has.
    private static let block: UInt64 = 8

    /// - Throws: `CompilerBitstream.Malformed`.
    init(reading bytes: [UInt8]) throws(CompilerBitstream.Malformed) {
        typealias Malformed = CompilerBitstream.Malformed
        var stream = try CompilerBitstream(bytes, magic: Self.magic)
        let texts = stream
        // The first name is the empty one.
        var names = [""]
        var raw: [(kind: UInt64, isInterface: Bool, context: UInt64, name: UInt64, isDeclared: Bool)] = []
        var fingerprints: [Int: String] = [:]
        var uses: [Int: [Int]] = [:]
        var isVersionKnown = false
        try stream.read(block: Self.block) { (record) throws(Malformed) in
            let operands = record.operands
            switch record.code {
            case 1:
                guard operands.count >= 2, operands[0] == 1, operands[1] == 0 else {
                    throw Malformed(what: "it is of version \(operands.prefix(2))")
                }
                isVersionKnown = true
            case 2:
                guard operands.count == 5 else { throw Malformed(what: "a node is of no known shape") }
                raw.append((operands[0], operands[1] == 0, operands[2], operands[3], operands[4] == 1))
            case 3: if let blob = record.blob { fingerprints[raw.count - 1] = texts.text(blob) }
            case 4:
                guard let use = operands.first, use < 1 << 32 else { throw Malformed(what: "a node uses nothing") }
                uses[raw.count - 1, default: []].append(Int(use))
            case 5: if let blob = record.blob { names.append(texts.text(blob)) }
            default: throw Malformed(what: "a record is of no known kind")
            }
        }
        guard isVersionKnown, !raw.isEmpty else { throw Malformed(what: "it is empty") }
        for (index, node) in raw.enumerated() {
            guard let kind = UInt8(exactly: node.kind).flatMap(Key.Kind.init), node.context < names.count,
                node.name < names.count, uses[index]?.allSatisfy({ $0 < raw.count }) != false
            else { throw Malformed(what: "a node refers to nothing") }
            // A file is called by where this is written to, which differs.
            let name = kind == .sourceFile ? "" : names[Int(node.name)]
            nodes.append(
                Node(
                    key: Key(kind: kind, context: names[Int(node.context)], name: name), isInterface: node.isInterface,
                    isDeclared: node.isDeclared, fingerprint: fingerprints[index], uses: uses[index] ?? []))
        }
    }

    /// What others see differently after an edit.
    func changes(to new: CompiledReferences) -> Set<Key> {
        let (before, after) = (declared, new.declared)
        var changed: Set<Key> = []
        for (key, fingerprint) in before where after[key] != .some(fingerprint) { changed.insert(key) }
        for key in after.keys where before[key] == nil { changed.insert(key) }
        // What has no fingerprint of its own depends on the file's, which is of all that stands outside of bodies.
        return new.spread(spread(changed))
    }

    /// With the declarations that use changed ones as a part of what others see of them.
    private func spread(_ changed: Set<Key>) -> Set<Key> {
        var changed = changed
        while true {
            var isLarger = false
            for node in nodes where node.isInterface && node.isDeclared && !changed.contains(node.key) {
                if node.uses.contains(where: { nodes[$0].isInterface && changed.contains(nodes[$0].key) }) {
                    changed.insert(node.key)
                    isLarger = true
                }
            }
            if !isLarger { return changed }
        }
    }

    private var declared: [Key: String?] {
        var result: [Key: String?] = [:]
        for node in nodes where node.isInterface && node.isDeclared { result[node.key] = .some(node.fingerprint) }
        return result
    }

    /// What of this file others see differently when what another one declares has changed; nil where this one uses none of it.
    func consequences(of changed: Set<Key>) -> Set<Key>? {
        // A file's own node means another thing in each.
        let changed = changed.filter { $0.kind != .sourceFile }
        let used = nodes.lazy.flatMap(\.uses).contains { nodes[$0].isInterface && changed.contains(nodes[$0].key) }
        return used ? spread(changed).subtracting(changed) : nil
    }

    /// The files that it was told to read, modules among them.
    var externals: [String] { nodes.filter { $0.key.kind == .externalDepend }.map(\.key.name) }
}
