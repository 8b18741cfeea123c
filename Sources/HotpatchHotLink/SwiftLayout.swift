import CHotpatchElf

/// What an object says about the layout of its types and about what others rely on, by mangled names
/// (swift/docs/ABI/TypeMetadata.rst, swift/include/swift/ABI/Metadata.h, swift/include/swift/RemoteInspection/Records.h).
struct SwiftLayout {
    /// A stored property, or a case of an enum.
    struct Field: Hashable {
        var name: String
        /// The mangled type by its name; empty where there is none.
        var type: String
        var isIndirect: Bool

        /// As it is written.
        var text: String { typeText.map { "\(name): \($0)" } ?? name }
        var typeText: String? { SwiftLayoutNames.type(ofReference: type) }

        var caseText: String {
            guard !type.isEmpty, let type = typeText else { return name }
            return type.hasPrefix("(") ? name + type : "\(name)(\(type))"
        }
    }

    /// A field descriptor (`MF`).
    struct Fields {
        var ofEnum: Bool
        var fields: [Field]
    }

    /// A type's descriptor (`Mn`).
    struct Nominal {
        /// A structure or an enumeration.
        var isValue: Bool
        var isGeneric: Bool
        /// Its generic parameters and what is asked of them.
        var generics: [String]
        var superclass: String
        var isActor: Bool
        /// The methods in its own part of the vtable, by their descriptors' names.
        var methods: [String]
        /// The functions with which it overrides others' methods.
        var overrides: Set<String>
    }

    /// The metadata of a class (`Mf`), or of a value type: what its words hold, from the address point on.
    struct Metadata {
        /// That others refer to: `…N`.
        var symbol: String
        var valueWitnesses: String
        var instanceSize: UInt64?
        /// Behind the header, 8 bytes each: the name that a word refers to, or what it holds.
        var words: [String]
        var firstWord: Int
    }

    /// Size and alignment of a value (`WV`).
    struct Value: Hashable {
        var size: UInt64
        var stride: UInt64
        var flags: UInt64
        var extraInhabitants: UInt64
    }

    /// A protocol's descriptor (`Mp`).
    struct Interface {
        var flags: UInt64
        var signature: [String]
        var associatedTypes: [String]
        /// The kind of each requirement (swift/ABI/MetadataValues.h, ProtocolRequirementFlags).
        var requirements: [UInt64]
        /// The names of the requirements; nil where no conformance in the object tells them.
        var names: [String]?
    }

    /// A conformance (`Mc`), with its witness table (`WP`) and its associated types (`MA`).
    struct Conformance {
        var interface: String
        var witnesses: [String]
        var types: [String: String]
    }

    /// The descriptor of an opaque result (`MQ`).
    struct Opaque {
        var constraints: [String]
        var underlying: [String]
    }

    /// In the object's order, without the ending of the records' names.
    private(set) var types: [String] = []
    private(set) var fields: [String: Fields] = [:]
    private(set) var nominals: [String: Nominal] = [:]
    private(set) var metadata: [String: Metadata] = [:]
    private(set) var values: [String: Value] = [:]
    private(set) var interfaces: [String: Interface] = [:]
    private(set) var conformances: [String: Conformance] = [:]
    private(set) var opaques: [String: Opaque] = [:]
    /// What the words of each `_ZTV` and `_ZTI` of C++ refer to.
    private(set) var cxxTables: [String: [String]] = [:]

    init(_ graph: ObjectGraph) {
        let symbols = graph.object.symbols
        var records: [String: SwiftLayoutRecord] = [:]
        var order: [String] = []
        var descriptors: [Int] = []
        for (index, symbol) in symbols.enumerated() where Int32(symbol.type) == STT_OBJECT && symbol.section != nil {
            let name = symbol.name
            if name.hasSuffix("Tq") { descriptors.append(index) }
            guard Self.isRead(name), records[name] == nil, let record = SwiftLayoutRecord(graph, symbol: index) else {
                continue
            }
            records[name] = record
            order.append(name)
        }
        let methods = Dictionary(grouping: descriptors) { symbols[$0].section! }
        let addressPoints = Dictionary(
            symbols.filter { $0.name.hasSuffix("N") }.map { ($0.name, $0.value) },
            uniquingKeysWith: { first, _ in first })
        for name in order {
            let record = records[name]!
            if name.hasPrefix("_ZT") {
                cxxTables[name] = (0..<record.count / 8).map {
                    record.references[$0 * 8] ?? "\(record.number(at: $0 * 8, 8) ?? 0)"
                }
                continue
            }
            let base = String(name.dropLast(2))
            switch name.suffix(2) {
            case "MF": fields[base] = Self.fields(record)
            case "Mn":
                types.append(base)
                let section = symbols.first { $0.name == name && $0.section != nil }?.section ?? 0
                nominals[base] = Self.nominal(record, methods[section] ?? [])
            case "Mf": metadata[base] = Self.metadata(record, base, addressPoints[base + "N"])
            case "WV": values[base] = Self.value(record)
            case "Mp": interfaces[name] = Self.interface(record)
            case "Mc": conformances[base] = Self.conformance(record, records[base + "WP"], records[base + "MA"])
            case "MQ": opaques[base] = Self.opaque(record)
            default: break
            }
        }
        for (name, interface) in interfaces {
            let known = conformances.filter {
                $0.value.interface == name && $0.value.witnesses.count == interface.requirements.count
            }
            // The same one each time, as long as it is there.
            interfaces[name]?.names = known.min { $0.key < $1.key }.map { Self.names(of: $0.value, name, interface) }
        }
    }

    private static func isRead(_ name: String) -> Bool {
        if name.hasPrefix("_ZTV") || name.hasPrefix("_ZTI") { return true }
        guard name.hasPrefix("$s") || name.hasPrefix("$S") else { return false }
        return ["MF", "Mn", "Mf", "WV", "Mp", "Mc", "WP", "MA", "MQ"].contains(String(name.suffix(2)))
    }

    // MARK: Records

    private static func fields(_ record: SwiftLayoutRecord) -> Fields? {
        guard let kind = record.number(at: 8, 2), let size = record.number(at: 10, 2),
            let count = record.number(at: 12, 4),
            size >= 12, count <= UInt64(record.count) / size
        else { return nil }
        // Enum and MultiPayloadEnum; protocols have no fields.
        guard kind < 4 else { return nil }
        return Fields(
            ofEnum: kind == 2 || kind == 3,
            fields: (0..<Int(count)).map { index in
                let start = 16 + index * Int(size)
                return Field(
                    name: SwiftLayoutNames.field(record.text(at: start + 8) ?? ""),
                    type: record.references[start + 4] ?? "",
                    isIndirect: (record.number(at: start, 4) ?? 0) & 1 != 0)
            })
    }

    private static func nominal(_ record: SwiftLayoutRecord, _ descriptors: [Int]) -> Nominal? {
        guard let flags = record.number(at: 0, 4) else { return nil }
        let isClass = flags & 0x1F == 16
        let methods = record.symbols(ending: "Tq", descriptors)
        let header = isClass ? 44 : 28
        var nominal = Nominal(
            isValue: [17, 18].contains(flags & 0x1F), isGeneric: flags & 0x80 != 0, generics: [],
            superclass: isClass ? record.references[20] ?? "" : "",
            isActor: isClass && flags & 0x80_0000 != 0, methods: [], overrides: [])
        nominal.methods = methods.map { record.graph.object.symbols[$0].name }
        if nominal.isGeneric, let parameters = record.number(at: header + 8, 2),
            let requirements = record.number(at: header + 10, 2)
        {
            nominal.generics = ["\(parameters)", "\(requirements)"]
            let start = header + 16 + (Int(parameters) + 3) / 4 * 4
            for word in 0..<Int(requirements) * 3 { nominal.generics.append(record.references[start + word * 4] ?? "") }
        }
        guard isClass else { return nominal }
        // Each method's descriptor is its flags, and its function.
        let own = Set(methods.map { record.graph.object.symbols[$0].value - record.range.lowerBound + 4 })
        for (offset, name) in record.references where offset >= header && !own.contains(offset) {
            guard name.hasPrefix("$s") || name.hasPrefix("$S"), !name.hasSuffix("Mn"), !name.hasSuffix("Tq"),
                !name.hasSuffix("Mp"),
                !["Mr", "MP", "Mi", "Ml", "MI", "Mf", "MI", "Ma", "Mo", "MT"].contains(String(name.suffix(2)))
            else { continue }
            nominal.overrides.insert(name)
        }
        return nominal
    }

    private static func metadata(_ record: SwiftLayoutRecord, _ base: String, _ address: Int?) -> Metadata? {
        guard let address, record.range.contains(address) else { return nil }
        let start = address - record.range.lowerBound
        let isClass = base.hasSuffix("C")
        let first = isClass ? 56 : 16
        var words: [String] = []
        var offset = start + first
        while offset + 4 <= record.count {
            words.append(
                record.references[offset] ?? "\(record.number(at: offset, min(8, record.count - offset)) ?? 0)")
            offset += 8
        }
        return Metadata(
            symbol: base + "N", valueWitnesses: record.references[start - 8] ?? "",
            instanceSize: isClass ? record.number(at: start + 24, 8) : nil, words: words, firstWord: first)
    }

    private static func value(_ record: SwiftLayoutRecord) -> Value? {
        guard let size = record.number(at: 64, 8), let stride = record.number(at: 72, 8),
            let flags = record.number(at: 80, 4),
            let extra = record.number(at: 84, 4)
        else { return nil }
        return Value(size: size, stride: stride, flags: flags, extraInhabitants: extra)
    }

    private static func interface(_ record: SwiftLayoutRecord) -> Interface? {
        guard let flags = record.number(at: 0, 4), let inSignature = record.number(at: 12, 4),
            let count = record.number(at: 16, 4),
            inSignature <= UInt64(record.count) / 12, count <= UInt64(record.count) / 8
        else { return nil }
        let start = 24 + 12 * Int(inSignature)
        return Interface(
            flags: flags >> 16,
            signature: (0..<Int(inSignature)).flatMap { index in
                [0, 4, 8].map { record.references[24 + 12 * index + $0] ?? "" }
            },
            associatedTypes: (record.text(at: 20) ?? "").split(separator: " ").map(String.init),
            requirements: (0..<Int(count)).map { record.number(at: start + 8 * $0, 4) ?? 0 })
    }

    private static func conformance(
        _ record: SwiftLayoutRecord, _ table: SwiftLayoutRecord?, _ types: SwiftLayoutRecord?
    ) -> Conformance {
        var conformance = Conformance(interface: record.references[0] ?? "", witnesses: [], types: [:])
        if let table {
            // The first word leads back to the conformance.
            conformance.witnesses = (1..<max(1, table.count / 8)).map { table.references[$0 * 8] ?? "" }
        }
        if let types, let count = types.number(at: 8, 4), let size = types.number(at: 12, 4), size >= 8,
            count <= UInt64(types.count) / size
        {
            for index in 0..<Int(count) {
                let start = 16 + index * Int(size)
                conformance.types[types.text(at: start) ?? ""] = types.references[start + 4] ?? ""
            }
        }
        return conformance
    }

    private static func opaque(_ record: SwiftLayoutRecord) -> Opaque? {
        guard let flags = record.number(at: 0, 4) else { return nil }
        let count = Int(flags >> 16)
        let start = record.count - 4 * count
        guard start >= 8 else { return nil }
        let underlying = (0..<count).map { record.references[start + 4 * $0] ?? "" }
        return Opaque(
            constraints: ["\(record.count)"]
                + record.references.filter { (8..<start).contains($0.key) }.sorted { $0.key < $1.key }.map(\.value),
            underlying: underlying.filter { $0.hasPrefix("symbolic ") })
    }

    /// The requirements of a protocol, by what a type conforms to it with.
    static func names(of conformance: Conformance, _ interface: String, _ layout: Interface) -> [String] {
        let type = SwiftLayoutNames.protocol(interface)
        var associated = layout.associatedTypes[...]
        return zip(conformance.witnesses, layout.requirements).map { witness, flags in
            switch flags & 0xF {
            case 0: return "inherited protocol"
            case 7: return associated.popFirst().map { "associated type '\($0)'" } ?? "associated type"
            case 8: return "constraint of an associated type"
            default:
                // A conformance of another module's type, too, is named as the protocol's module names it.
                var text = SwiftLayoutNames.text(witness, without: "protocol witness for ", in: interface)
                if let end = SwiftLayoutNames.firstRange(of: " in conformance ", in: text) {
                    text = String(text[..<end])
                }
                return SwiftLayoutNames.member(ofText: text, of: type).text
            }
        }
    }
}
