import HotpatchExpectations
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

/// What the tables say is compared with what linkers do: lld, and GNU ld for x86_64. An object is compiled, linked at fixed addresses,
/// and each of its relocations is then found in the linked file, read, and written again.
@Suite struct FixupLinkerTests {
    struct Program: Sendable, CustomStringConvertible {
        var architecture: Architecture
        var name: String
        var compile: [String]
        var source: String
        var link: [String]
        /// The types of which some place was relaxed. Nothing else was.
        var relaxed: Set<String> = []

        var description: String { ([name] + link).joined(separator: " ") }
    }

    private static let lld = ["ld.lld", "-m", "elf_x86_64", "-O0"]
    private static let lldArm64 = ["ld.lld", "-m", "aarch64linux", "-O0", "-z", "max-page-size=4096"]
    private static let ld = ["ld", "-m", "elf_x86_64", "-z", "max-page-size=4096", "-z", "noseparate-code"]
    private static let fixed = ["--image-base=0x10000", "-static"]
    private static let numbers = ["--defsym=small=0x1234", "--defsym=tiny=0x11", "--defsym=negative=-5"]
    private static let threadLocals: Set<String> = ["R_X86_64_TLSGD", "R_X86_64_TLSLD", "R_X86_64_GOTTPOFF"]
    private static let threadLocalsArm64: Set<String> = [
        "R_AARCH64_TLSDESC_ADR_PAGE21", "R_AARCH64_TLSDESC_LD64_LO12", "R_AARCH64_TLSDESC_ADD_LO12",
        "R_AARCH64_TLSDESC_CALL", "R_AARCH64_TLSIE_ADR_GOTTPREL_PAGE21", "R_AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC",
    ]
    private static let descriptors: Set<String> = ["R_X86_64_GOTPC32_TLSDESC", "R_X86_64_TLSDESC_CALL"]
    private static let slots: Set<String> = ["R_X86_64_GOTPCRELX", "R_X86_64_REX_GOTPCRELX"]

    static let assembled: [Program] = [
        Program(
            architecture: .x86_64, name: "types", compile: ["clang", "-x", "assembler"], source: FixupSources.x86_64,
            link: lld + fixed + numbers + ["--no-relax"], relaxed: threadLocals.union(descriptors)),
        Program(
            architecture: .x86_64, name: "types", compile: ["clang", "-x", "assembler"], source: FixupSources.x86_64,
            link: lld + fixed + numbers, relaxed: threadLocals.union(descriptors).union(slots)),
        Program(
            architecture: .arm64, name: "types", compile: ["clang", "--target=aarch64-linux-gnu", "-x", "assembler"],
            source: FixupSources.arm64, link: lldArm64 + fixed + numbers + ["--no-relax"], relaxed: threadLocalsArm64),
        Program(
            architecture: .arm64, name: "types", compile: ["clang", "--target=aarch64-linux-gnu", "-x", "assembler"],
            source: FixupSources.arm64, link: lldArm64 + fixed + numbers,
            relaxed: threadLocalsArm64.union([
                "R_AARCH64_ADR_PREL_PG_HI21", "R_AARCH64_ADD_ABS_LO12_NC", "R_AARCH64_ADR_GOT_PAGE",
                "R_AARCH64_LD64_GOT_LO12_NC",
            ])),
    ]

    /// Each object, with each linker.
    struct Compiled: Sendable, CustomStringConvertible {
        var architecture: Architecture
        var compile: [String]
        var links: [[String]]
        var description: String { compile.joined(separator: " ") }
    }

    static let compiled: [Compiled] = {
        let executables = [lld + fixed, lld + fixed + ["--no-relax"], ld + ["-static", "-Ttext-segment=0x10000"]]
        let shared = [lld + ["-pie"], lld + ["-shared"], ld + ["-shared"]]
        let arm64 = [lldArm64 + fixed, lldArm64 + fixed + ["--no-relax"]]
        let sharedArm64 = [lldArm64 + ["-pie"], lldArm64 + ["-shared"]]
        let cross = ["clang", "--target=aarch64-linux-gnu"]
        return [
            Compiled(architecture: .x86_64, compile: ["gcc", "-x", "c", "-O2", "-fno-pic"], links: executables),
            Compiled(architecture: .x86_64, compile: ["gcc", "-x", "c", "-O0", "-fPIC"], links: executables + shared),
            Compiled(
                architecture: .x86_64, compile: ["gcc", "-x", "c", "-O2", "-fPIC", "-fno-plt"],
                links: executables + shared),
            Compiled(
                architecture: .x86_64, compile: ["gcc", "-x", "c", "-O2", "-fPIC", "-mtls-dialect=gnu2"],
                links: executables + shared),
            Compiled(
                architecture: .x86_64, compile: ["g++", "-x", "c++", "-O1", "-fPIC", "-fno-rtti"],
                links: executables + shared),
            Compiled(architecture: .x86_64, compile: ["clang", "-x", "c", "-O0", "-fPIE"], links: executables),
            Compiled(
                architecture: .x86_64, compile: ["clang", "-x", "c", "-O2", "-fPIC"], links: executables + shared),
            Compiled(
                architecture: .x86_64, compile: ["clang++", "-x", "c++", "-O1", "-fPIC", "-fno-rtti"],
                links: executables + shared),
            Compiled(architecture: .arm64, compile: cross + ["-x", "c", "-O0", "-fno-pic"], links: arm64),
            Compiled(architecture: .arm64, compile: cross + ["-x", "c", "-O2", "-fPIC"], links: arm64 + sharedArm64),
            Compiled(
                architecture: .arm64, compile: cross + ["-x", "c++", "-O1", "-fPIC", "-fno-rtti"],
                links: arm64 + sharedArm64),
        ]
    }()

    private func compile(_ command: [String], _ source: String, _ directory: TemporaryDirectory) throws -> String {
        let (input, object) = ("\(directory.path)/source", "\(directory.path)/object.o")
        try write(source + "\n", to: input)
        let options =
            command.contains("assembler")
            ? []
            : [
                "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-ident", "-ffreestanding",
                "-fno-stack-protector",
            ]
        try runTool(command + options + ["-c", "-o", object, input])
        return object
    }

    @Test(arguments: assembled) func types(_ program: Program) throws {
        let directory = try TemporaryDirectory("fixups")
        let object = try compile(program.compile, program.source, directory)
        let linked = "\(directory.path)/linked"
        try runTool(program.link + ["-o", linked, object])
        let link = try FixupLink(
            program.architecture, object: FixupObject(path: object), linked: FixupObject(path: linked))
        let report = try link.check()
        expect(report.relaxed, equals: program.relaxed)
        #expect(report.types.count > 25)
        #expect(report.unplaced.isEmpty)
    }

    /// What swiftc makes of types, conformances, closures, key paths and async functions; for the machine that this is.
    @Test(arguments: [["-Onone"], ["-O"]]) func swift(_ options: [String]) throws {
        let directory = try TemporaryDirectory("fixups")
        let (source, object, linked) = (
            "\(directory.path)/source.swift", "\(directory.path)/object.o", "\(directory.path)/linked"
        )
        try write(FixupSources.swift, to: source)
        try runTool(
            ["swiftc", "-parse-as-library", "-module-name", "Shop", "-c", "-o", object, source] + options)
        try runTool("swiftc", "-use-ld=lld", "-o", linked, object)
        let link = try FixupLink(.current, object: FixupObject(path: object), linked: FixupObject(path: linked))
        let report = try link.check()
        #expect(report.count > 300)
        // Strings and the runtime's records have no names.
        #expect(report.unplaced.count < report.count / 10, "\(report.unplaced)")
        try checkInstructionEnds(link.object)
    }

    @Test(arguments: compiled) func objects(_ compiled: Compiled) throws {
        let directory = try TemporaryDirectory("fixups")
        let object = try compile(compiled.compile, FixupSources.c, directory)
        for options in compiled.links {
            let linked = "\(directory.path)/linked"
            try runTool(options + ["-o", linked, object])
            let link = try FixupLink(
                compiled.architecture, object: FixupObject(path: object), linked: FixupObject(path: linked))
            let report = try link.check()
            #expect(report.count > 30, "\(options)")
            #expect(report.unplaced.isEmpty, "\(options)")
        }
    }

    /// In each function, a field that counts from its instruction's end is the last of it, or an immediate follows.
    private func checkInstructionEnds(_ object: FixupObject) throws {
        for section in object.sections where section.type == 4 && object.sections[section.info].name.hasPrefix(".text")
        {
            let code = object.contents(object.sections[section.info])
            let functions = object.symbols.filter { $0.section == section.info && $0.type == 2 }
            for relocation in object.relocations(section) {
                guard
                    let function = functions.last(where: {
                        $0.value <= relocation.offset && relocation.offset < $0.value + $0.size
                    })
                else { continue }
                let field = Int(relocation.offset - function.value)
                let body = Array(code[Int(function.value)..<Int(function.value + function.size)])
                let end = try #require(
                    Architecture.current.instructionEnd(in: body, holding: field), "\(function.name)+\(field)")
                #expect([4, 5, 6, 8].contains(end - field), "\(function.name)+\(field)")
            }
        }
    }
}

/// An object and what was linked of it.
struct FixupLink {
    struct Report {
        var count = 0
        var types: Set<String> = []
        var relaxed: Set<String> = []
        /// Names of what cannot be found in the linked file, because no symbol of it tells where it is.
        var unplaced: [String] = []
    }

    let architecture: Architecture
    let table: FixupTable
    let object: FixupObject
    let linked: FixupObject
    /// Dynamic relocations, by the address of their place.
    let dynamic: [UInt64: FixupObject.Relocation]
    let got: UInt64

    init(_ architecture: Architecture, object: FixupObject, linked: FixupObject) {
        self.architecture = architecture
        self.object = object
        self.linked = linked
        table = FixupTable(architecture)
        var dynamic: [UInt64: FixupObject.Relocation] = [:]
        for section in linked.sections where section.type == 4 && section.isAllocated {
            for relocation in linked.relocations(section) { dynamic[relocation.offset] = relocation }
        }
        self.dynamic = dynamic
        got =
            linked.symbol(named: "_GLOBAL_OFFSET_TABLE_")?.value ?? linked.section(named: ".got.plt")?.address
            ?? linked
            .section(named: ".got")?.address ?? 0
    }

    /// Where a section of the object went, by one of its symbols; by its name where it has none.
    private func linkedAddress(ofSection index: Int) -> UInt64? {
        for symbol in object.symbols
        where symbol.section == index && symbol.type != 3 && !["$x", "$d"].contains(symbol.name) {
            if let found = linked.symbol(named: symbol.name) { return found.value &- symbol.value }
        }
        let section = object.sections[index]
        return linked.sections.first { $0.name == section.name && $0.size == section.size }?.address
    }

    /// S; for a thread-local, from the start of those.
    private func linkedValue(of symbol: FixupObject.Symbol) -> UInt64? {
        if symbol.section == 0 || symbol.section >= 0xff00 {
            return symbol.name == "_GLOBAL_OFFSET_TABLE_" ? got : linked.symbol(named: symbol.name)?.value ?? 0
        }
        return linkedAddress(ofSection: symbol.section).map { $0 &+ symbol.value }
    }

    private func threadPointerOffset(_ value: UInt64) -> UInt64 {
        guard let segment = linked.threadLocals else { return 0 }
        func rounded(_ number: UInt64) -> UInt64 {
            (number + segment.alignment - 1) / segment.alignment * segment.alignment
        }
        return architecture == .x86_64 ? value &- rounded(segment.size) : value &+ rounded(16)
    }

    /// The addresses of words that hold what a subject is.
    private func slots(_ subject: FixupRow.Subject, _ symbol: FixupObject.Symbol, _ value: UInt64) -> [UInt64] {
        let types: Set<UInt32> =
            switch (architecture, subject) {
            case (.x86_64, .gotSlot): [1, 6, 7, 8]
            case (.arm64, .gotSlot): [257, 1025, 1026, 1027]
            case (.x86_64, .threadPointerSlot): [18]
            case (.arm64, .threadPointerSlot): [1030]
            case (.x86_64, .moduleSlots), (.x86_64, .localModuleSlots): [16]
            case (.arm64, .moduleSlots), (.arm64, .localModuleSlots): [1028]
            case (.x86_64, .descriptorSlots): [36]
            case (.arm64, .descriptorSlots): [1031]
            default: []
            }
        var found: [UInt64] = []
        for section in linked.sections where [".got", ".got.plt"].contains(section.name) {
            for address in stride(from: section.address, to: section.address + UInt64(section.size), by: 8) {
                if let relocation = dynamic[address] {
                    guard types.contains(relocation.type) else { continue }
                    let name = relocation.symbol == 0 ? nil : linked.dynamicSymbols[relocation.symbol].name
                    let isIt =
                        name.map { $0 == symbol.name }
                        ?? (subject == .localModuleSlots || subject == .moduleSlots
                            || UInt64(bitPattern: relocation.addend) == value)
                    if isIt { found.append(address) }
                    continue
                }
                let word = linked.contents(at: address, count: 8).map { bytes in
                    bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
                }
                switch subject {
                case .gotSlot where word == value, .threadPointerSlot where word == threadPointerOffset(value),
                    .moduleSlots where word == 1, .localModuleSlots where word == 1:
                    found.append(address)
                default: break
                }
            }
        }
        return found
    }

    /// What X may be for a symbol.
    private func subjects(_ row: FixupRow, _ symbol: FixupObject.Symbol, _ addend: Int64) -> [UInt64]? {
        if row.subject == .nothing || row.subject == .got { return [got] }
        guard let value = linkedValue(of: symbol) else { return nil }
        let withAddend = row.addendInSlot ? value &+ UInt64(bitPattern: addend) : value
        switch row.subject {
        case .symbol, .nothing, .got: return [value]
        case .plt:
            let entries = linked.sections.filter { $0.name.hasPrefix(".plt") || $0.name == ".iplt" }
            return [value]
                + entries.flatMap { Array(stride(from: $0.address, to: $0.address + UInt64($0.size), by: 8)) }
        case .size: return [symbol.size]
        // Where a module's start is the symbol, offsets of what counts from it become those from the thread pointer.
        case .threadPointerOffset: return [symbol.name == "_TLS_MODULE_BASE_" ? 0 : threadPointerOffset(value)]
        // Where code was relaxed, what counted from the module's start counts from the thread pointer.
        case .moduleOffset: return [value, threadPointerOffset(value)]
        case .gotSlot, .threadPointerSlot, .moduleSlots, .localModuleSlots, .descriptorSlots:
            return slots(row.subject, symbol, withAddend)
        }
    }

    func check() throws -> Report {
        var report = Report()
        for section in object.sections where section.type == 4 {
            let target = object.sections[section.info]
            // Linkers write .eh_frame anew.
            guard target.isAllocated, target.hasBytes, !target.isThreadLocal, target.name != ".eh_frame" else {
                continue
            }
            try check(object.relocations(section), of: section.info, &report)
        }
        return report
    }

    private func check(_ relocations: [FixupObject.Relocation], of index: Int, _ report: inout Report) throws {
        let section = object.sections[index]
        let code = object.contents(section)
        guard let address = linkedAddress(ofSection: index) else {
            report.unplaced.append(section.name)
            return
        }
        let live = try #require(linked.contents(at: address, count: code.count), "\(section.name)")
        var (expected, mask) = (code, [UInt8](repeating: 0, count: code.count))
        var (understood, isIncomplete) = (0, false)
        for relocation in relocations {
            let offset = Int(relocation.offset)
            let row = try #require(table.row(relocation.type), "type \(relocation.type)")
            report.count += 1
            report.types.insert(row.name)
            let changed = try row.mask(of: code, at: offset)
            for (byte, bits) in changed.bits.enumerated() { mask[changed.start + byte] |= bits }
            if offset < understood { continue }
            let symbol = object.symbols[relocation.symbol]
            let about: Comment = "\(section.name)+\(offset): \(row) of \(symbol.name)\(relocation.addend)"

            let place: LinkedPlace
            do { place = try row.find(in: live, from: code, at: offset) } catch {
                Issue.record("\(error) \(about.rawValue) \(live[max(0, offset - 4)..<min(live.count, offset + 12)])")
                continue
            }
            if place.row != row || place.offset != offset {
                report.relaxed.insert(row.name)
                isIncomplete = true
                understood = max(understood, place.span.upperBound)
            }
            try checkOpcodes(row, place, code, live, offset, about)
            let at = Address(address &+ UInt64(place.offset))
            if let dynamic = dynamic[at.rawValue], place.row.byteCount == 8 {
                // The loader writes it.
                if let value = linkedValue(of: symbol) {
                    let whole = value &+ UInt64(bitPattern: relocation.addend)
                    #expect(dynamic.symbol != 0 || UInt64(bitPattern: dynamic.addend) == whole, about)
                } else {
                    report.unplaced.append(about.rawValue)
                }
                expected.replaceSubrange(offset..<offset + 8, with: live[offset..<offset + 8])
                continue
            }
            let addend = relocation.addend + place.addendChange
            guard let subjects = subjects(place.row, symbol, addend) else {
                report.unplaced.append(about.rawValue)
                isIncomplete = true
                continue
            }
            let values = subjects.map {
                place.row.value(subject: $0, addend: addend, place: at, got: Address(got))
            }
            let value = values.first(where: place.field.holds)
            #expect(value != nil, "\(about.rawValue) found \(place), wants \(values)")
            guard let value, place.row.expression != .none else { continue }

            // What was read, written again, gives the linker's bytes.
            var again = live
            try FixupLink.clear(place.row, &again, place.offset)
            try place.row.write(value, into: &again, at: place.offset)
            expect(again, equals: live, about)
            if place.row == row { try row.write(value, into: &expected, at: offset) }
        }
        if !isIncomplete { expect(expected, equals: live, "\(section.name)") }
        #expect(FixupLink.equal(code, live, mask), "\(section.name)")
        // A change of what no linker changes is seen.
        for byte in stride(from: 0, to: mask.count, by: max(1, mask.count / 50)) where mask[byte] != 0xff {
            var other = live
            other[byte] ^= ~mask[byte] & (0 &- ~mask[byte])
            #expect(!FixupLink.equal(code, other, mask))
        }
    }

    /// No bit of the instructions around a place can be another: the place is then refused, or told as another one.
    private func checkOpcodes(
        _ row: FixupRow, _ place: LinkedPlace, _ code: [UInt8], _ live: [UInt8], _ offset: Int, _ about: Comment
    ) throws {
        var field = [UInt8](repeating: 0, count: live.count)
        let mask = FixupLink.fieldMask(place.row)
        for (byte, bits) in mask.enumerated() { field[place.offset + byte] = bits }
        for byte in place.span {
            for bit in 0..<8 where field[byte] >> bit & 1 == 0 {
                var other = live
                other[byte] ^= 1 << bit
                let found = try? row.find(in: other, from: code, at: offset)
                #expect(
                    found?.row != place.row || found?.offset != place.offset,
                    "\(about.rawValue) byte \(byte) bit \(bit)")
            }
        }
    }

    /// The bits that hold a value, told by what writing changes.
    static func fieldMask(_ row: FixupRow) -> [UInt8] {
        guard row.expression != .unsupported, row.byteCount > 0, row.expression != .none else { return [] }
        let unit = Int64(row.alignment)
        var (mask, base) = ([UInt8](repeating: 0, count: row.byteCount), [UInt8](repeating: 0, count: row.byteCount))
        let range = row.range ?? Int64.min...Int64.max
        try? row.write(0, into: &base, at: 0)
        let values = [range.lowerBound, range.upperBound].map { $0 / unit * unit } + (0..<63).map { Int64(1) << $0 }
        for value in values where range.contains(value) && value % unit == 0 {
            var bytes = base
            try? row.write(value, into: &bytes, at: 0)
            for index in mask.indices { mask[index] |= bytes[index] ^ base[index] }
        }
        return mask
    }

    static func clear(_ row: FixupRow, _ bytes: inout [UInt8], _ offset: Int) throws {
        for (byte, bits) in fieldMask(row).enumerated() { bytes[offset + byte] &= ~bits }
    }

    static func equal(_ code: [UInt8], _ live: [UInt8], _ mask: [UInt8]) -> Bool {
        code.indices.allSatisfy { (code[$0] ^ live[$0]) & ~mask[$0] == 0 }
    }
}
