import Glibc
import HotpatchELF
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport

/// Real objects, before and after an edit, and programs that were linked from them: of Swift, C and C++, for both architectures.
enum Corpus {
    #if arch(arm64)
        static let machine = "aarch64"
    #else
        static let machine = "x86_64"
    #endif

    private struct Compiler {
        var name: String
        /// The ending of the source's file name.
        var ending: String
        var command: [String]
        var emulation: String
        var source: CorpusSource
    }

    private static var compilers: [Compiler] {
        let swift = [
            "swiftc", "-c", "-parse-as-library", "-Onone", "-enable-testing", "-g", "-suppress-warnings",
            "-module-name", "Shop",
        ]
        let (here, there) = ("elf_x86_64", "aarch64linux")
        let cross = "--target=aarch64-linux-gnu"
        var result = [
            Compiler(name: "swift-x86_64", ending: "swift", command: swift, emulation: here, source: .swift),
            Compiler(
                name: "swift-sections-x86_64", ending: "swift",
                command: swift + ["-Xfrontend", "-function-sections"], emulation: here, source: .swift),
            Compiler(name: "gcc-x86_64", ending: "c", command: ["gcc"], emulation: here, source: .c),
            Compiler(
                name: "gcc-sections-x86_64", ending: "c", command: ["gcc", "-ffunction-sections", "-fdata-sections"],
                emulation: here, source: .c),
            Compiler(name: "g++-x86_64", ending: "cpp", command: ["g++"], emulation: here, source: .cxx),
            Compiler(name: "clang-x86_64", ending: "c", command: ["clang"], emulation: here, source: .c),
            Compiler(name: "clang++-x86_64", ending: "cpp", command: ["clang++"], emulation: here, source: .cxx),
            Compiler(name: "clang-arm64", ending: "c", command: ["clang", cross], emulation: there, source: .c),
            Compiler(
                name: "clang++-arm64", ending: "cpp", command: ["clang++", cross], emulation: there, source: .cxx),
        ]
        if let arm64 = Arm64SDK.options {
            result.append(
                Compiler(
                    name: "swift-arm64", ending: "swift", command: swift + arm64, emulation: there, source: .swift))
        }
        return result
    }

    /// Compiles and links; for workers to read.
    /// - Returns: how many pairs there are.
    static func make(in directory: String) throws -> Int {
        var names: [String] = []
        for compiler in compilers {
            let folder = "\(directory)/\(compiler.name)"
            guard mkdir(folder, 0o755) == 0 else { throw TestFailure("cannot make \(folder)") }
            for (number, text) in compiler.source.versions.enumerated() {
                // Private names are made from the file's.
                let place = "\(folder)/\(number)"
                guard mkdir(place, 0o755) == 0 else { throw TestFailure("cannot make \(place)") }
                let file = "\(place)/Shop.\(compiler.ending)"
                try Array(text.utf8).write(toFile: file)
                let options = compiler.ending == "swift" ? [] : ["-c", "-g", "-O0", "-fPIC"]
                try runTool(compiler.command + options + [file, "-o", "\(place)/shop.o"])
            }
            // What the runtime defines is not asked for: see `Subject.live`.
            try runTool([
                "ld.lld", "-m", compiler.emulation, "-pie", "--no-dynamic-linker", "-e", "0",
                "--unresolved-symbols=ignore-all", "-z", "notext", "-z", "max-page-size=4096", "--build-id", "-o",
                "\(folder)/program", "\(folder)/0/shop.o",
            ])
            names.append(compiler.name)
        }
        try Array(names.joined(separator: "\n").utf8).write(toFile: directory + "/names")
        return names.count * 2
    }

    static func read(from directory: String) throws -> [Subject] {
        try String(readingFile: directory + "/names").split(separator: "\n").flatMap { name in
            let folder = "\(directory)/\(name)"
            let first = try Subject(name: "\(name) 0-1", folder, 0, after: nil)
            return [first, try Subject(name: "\(name) 1-2", folder, 1, after: first)]
        }
    }
}

/// A pair of objects, and the program that it is an edit of, as it would lie in a process.
struct Subject: Sendable {
    let name: String
    let before: HostileObject
    let after: HostileObject
    /// What is before, as the compiler wrote it.
    let graph: ObjectGraph
    let live: LiveProgram
    private let memory: FakeMemory
    private let files: (before: String, after: String)

    /// Where segments are put, from the start of the image.
    private static let distance = 64 << 20

    /// - Parameter first: the edit that was applied before.
    init(name: String, _ folder: String, _ number: Int, after first: Subject?) throws {
        self.name = name
        files = ("\(folder)/\(number)/shop.o", "\(folder)/\(number + 1)/shop.o")
        before = try HostileObject([UInt8](readingFile: files.before))
        after = try HostileObject([UInt8](readingFile: files.after))
        var memory = try FakeMemory(program: "\(folder)/program")
        var identities: [String: Address] = [:]
        var replacements: [Address: Address] = [:]
        if let first {
            memory = first.memory
            let edit = try ObjectEdit(
                before: ElfImage(path: first.files.before), after: ElfImage(path: first.files.after), live: first.live)
            let plan = try ObjectLinker([edit], into: first.live).plan()
            let ranges = first.ranges(of: plan.segments)
            let linked = try plan.link(ranges)
            for (range, contents) in zip(ranges, linked.contents) { memory.add(contents, at: range.lowerBound) }
            identities = Dictionary(linked.identities.map { ($0.name, $0.address) }, uniquingKeysWith: { $1 })
            for redirect in linked.redirects { replacements[redirect.function.address] = redirect.address }
        }
        let image = try ElfImage(path: files.before)
        let object = try ObjectFile(image)
        graph = try ObjectGraph(object)
        var needed: Set<String> = [
            "__register_frame", "__deregister_frame", "swift_registerTypeMetadataRecords",
            "swift_registerProtocolConformances", "swift_registerProtocols", "pthread_key_create",
            "pthread_getspecific",
            "pthread_setspecific", "pthread_key_delete", "aligned_alloc", "memcpy", "free", "__tls_get_addr",
        ]
        for file in [object, try ObjectFile(ElfImage(path: files.after))] {
            needed.formUnion(file.symbols.filter(\.isUndefined).map(\.name))
        }
        let index = try memory.index()
        guard let program = LiveProgram.image(of: object, in: index) else {
            throw TestFailure("\(name): the program has none of the object's functions")
        }
        // What the libraries of a process would define lies somewhere near.
        let libraries = program.range.upperBound + (256 << 20)
        let (known, replaced) = (identities, replacements)
        let outside = Dictionary(
            uniqueKeysWithValues: needed.sorted().enumerated().map { ($0.element, libraries + $0.offset * 16) })
        live = LiveProgram(
            architecture: object.architecture, index: index, image: program, memory: memory,
            identity: { known[$0] ?? outside[$0] }, isPlaced: { known[$0] != nil }, replacement: { replaced[$0] })
        self.memory = memory
    }

    /// Side by side, in whole pages.
    func ranges(of segments: [LinkPlan.Segment]) -> [Range<Address>] {
        var next = memory.end + Self.distance
        next = Address(next.rawValue & ~0xffff)
        return segments.map { segment in
            let start = next
            next = Address((start + segment.size + 0xffff).rawValue & ~0xffff)
            return start..<start + segment.size
        }
    }

    /// Whether an address lies in what an edit before has placed.
    func isLinked(_ address: Address) -> Bool { memory.isAdded(address) }
}

/// A program as a process would map it, and what was linked into it.
struct FakeMemory: MemoryReader {
    private let path: String
    private var parts: [(start: Address, bytes: [UInt8])] = []
    private var imageParts = 0
    private var map = ""
    private static let bias = Address(0x5555_0000_0000)

    init(program path: String) throws {
        self.path = path
        let elf = try ElfImage(path: path)
        let bytes = try [UInt8](readingFile: path)
        var status = stat()
        // As if this process ran it, which makes it a program. That it is the file is known by its build-id.
        guard stat("/proc/self/exe", &status) == 0 else { throw TestFailure("cannot look at this program") }
        for segment in elf.loadSegments {
            let start = segment.address & ~0xfff
            let end = (segment.address + segment.memorySize + 0xfff) & ~0xfff
            var contents = [UInt8](repeating: 0, count: Int(end - start))
            let file = Int(segment.fileOffset)..<Int(segment.fileOffset + segment.fileSize)
            let place = Int(segment.address - start)
            contents.replaceSubrange(place..<place + file.count, with: bytes[file])
            parts.append((Self.bias + Int(start), contents))
            let permissions = segment.permissions
            let letters =
                (permissions.contains(.read) ? "r" : "-") + (permissions.contains(.write) ? "w" : "-")
                + (permissions.contains(.execute) ? "x" : "-")
            let (low, high) = (Self.bias + Int(start), Self.bias + Int(end))
            map += "\(hex(low))-\(hex(high)) \(letters)p \(hex(Address(segment.fileOffset & ~0xfff))) 00:00 "
            map += "\(status.st_ino)   \(path)\n"
        }
        imageParts = parts.count
    }

    private func hex(_ address: Address) -> String { String(address.rawValue, radix: 16) }

    /// Behind all of it.
    var end: Address { parts.map { $0.start + $0.bytes.count }.max()! }

    mutating func add(_ bytes: [UInt8], at address: Address) { parts.append((address, bytes)) }

    func isAdded(_ address: Address) -> Bool {
        parts.dropFirst(imageParts).contains { ($0.start..<$0.start + $0.bytes.count).contains(address) }
    }

    func index() throws -> SymbolIndex {
        try SymbolIndex(map: ProcessMap(parsing: map, pid: getpid()), memory: self)
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        let found = parts.first {
            address >= $0.start && address <= $0.start + $0.bytes.count
                && buffer.count <= ($0.start + $0.bytes.count) - address
        }
        guard let found else { throw MemoryError(address: address, count: buffer.count, code: EFAULT) }
        let offset = address - found.start
        buffer.copyBytes(from: found.bytes[offset..<offset + buffer.count])
    }
}
