import Glibc
import HotpatchCommands
import HotpatchELF
import HotpatchExpectations
import HotpatchPlan
import HotpatchTestSupport
import Testing

/// The process that a library is loaded into must not end by what its file says: whatever the dynamic linker reads is read first.
@Suite(.serialized) struct LibraryVettingTests {
    private static let package = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    private static let sources = package + "/Tests/Victims/commands"
    private static let directory = Result { try TemporaryDirectory("vetting", untilExit: true) }

    private static func library(_ name: String, _ options: [String], compiler: String = "gcc") throws -> String {
        let path = try directory.get().path + "/" + name
        if access(path, F_OK) == 0 { return path }
        try runTool(
            [compiler, "-g", "-O1", "-shared", "-fPIC", "-nostartfiles", "-Wl,-init=first,-fini=last"] + options
                + [sources + "/vetted.c", "-lm", "-o", path])
        return path
    }

    private static func vetted() throws -> String { try library("vetted.so", ["-Wl,--hash-style=both"]) }

    private func objection(to path: String) throws -> String? {
        do {
            _ = try PatchLibrary(image: ElfImage(path: path), path: path, architecture: .current)
            return nil
        } catch { return "\(error)" }
    }

    /// Mutants that pass are opened by a process each: none dies of its loader. `make fuzz` makes more of them.
    @Test func whatPassesHarmsNobody() throws {
        let directory = try TemporaryDirectory("trial")
        let trial = try LibraryTrial.compile(Self.sources, in: directory.path)
        let seed = getenv("SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        let outcome = try trial.run(seed: seed, 0..<600) { try objection(to: $0) == nil }
        #expect(outcome.failures.isEmpty, "SEED=\(seed): \(outcome.failures.joined(separator: "\n"))")
        // Two of three changes harm nothing: names that nobody asks for, sizes that nobody reads.
        #expect(outcome.passed > 60 && outcome.passed < 500, "\(outcome)")
    }

    /// What linkers write is taken: all that this process has loaded.
    @Test func takesWhatLinkersWrite() throws {
        let maps = try String(readingFile: "/proc/self/maps").split(separator: "\n")
        let libraries = Set(maps.compactMap { $0.split(separator: " ").last.map(String.init) })
            // The loader and its library are never loaded by another.
            .filter { $0.hasPrefix("/") && $0.contains(".so") && !$0.contains("/ld-") && !$0.contains("/libc.so") }
        #expect(libraries.count > 5)
        for path in libraries { #expect(throws: Never.self) { try ElfImage(path: path).vetForLoading() } }
    }

    @Test(.enabled(if: Arm64SDK.options != nil)) func takesWhatLinkersOfTheOtherArchitectureWrite() throws {
        let folder = Self.package + "/.sdk-arm64/root"
        let found = try run(["find", "-H", folder, "-name", "*.so*", "-type", "f"]).output
        var count = 0
        for path in found.split(separator: "\n").map(String.init) {
            // Some files of the folder are scripts of linkers.
            guard let bytes = try? [UInt8](readingFile: path), bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else {
                continue
            }
            // The loader and its library are never loaded by another.
            if path.contains("/ld-") || path.contains("/libc.so") { continue }
            let image = try ElfImage(path: path)
            count += 1
            #expect(image.machine == Architecture.arm64.elfMachine && fault(of: image) == nil, "\(path)")
        }
        #expect(count > 3)
    }

    private func fault(of image: ElfImage) -> String? {
        do {
            try image.vetForLoading()
            return nil
        } catch { return "\(error)" }
    }

    // MARK: One by one

    /// A file whose numbers can be set.
    fileprivate struct Editor {
        var bytes: [UInt8]
        init(_ path: String) throws { bytes = try [UInt8](readingFile: path) }

        func number(_ offset: Int, _ size: Int = 8) -> Int {
            Int(
                truncatingIfNeeded: (0..<size).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
            )
        }

        mutating func set(_ value: Int, at offset: Int, _ size: Int = 8) {
            for index in 0..<size { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }

        /// A section's offset in the file.
        func section(_ name: String) throws -> Int { number(try header(of: name) + 24) }
        func sectionAddress(_ name: String) throws -> Int { number(try header(of: name) + 16) }

        private func header(of name: String) throws -> Int {
            let headers = (0..<number(60, 2)).map { number(40) + 64 * $0 }
            let strings = number(headers[number(62, 2)] + 24)
            let found = headers.first { header in
                String(decoding: bytes[(strings + number(header, 4))...].prefix { $0 != 0 }, as: UTF8.self) == name
            }
            return try #require(found, "\(name)")
        }

        /// The offset in the file of the first program header of a type.
        func segment(_ type: Int) throws -> Int {
            try #require((0..<number(56, 2)).map { number(32) + 56 * $0 }.first { number($0, 4) == type })
        }

        /// Where the dynamic section has an entry.
        func entry(_ tag: Int) throws -> Int {
            let start = try section(".dynamic")
            return try #require((0..<64).map { start + 16 * $0 }.first { number($0) == tag }, "tag \(tag)")
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var reason: String
        fileprivate var change: @Sendable (inout Editor) throws -> Void
        var testDescription: String { reason }

        fileprivate init(_ reason: String, _ change: @escaping @Sendable (inout Editor) throws -> Void) {
            self.reason = reason
            self.change = change
        }

        /// The value of an entry of the dynamic section.
        fileprivate init(_ reason: String, entry tag: Int, _ value: Int) {
            self.init(reason) { $0.set(value, at: try $0.entry(tag) + 8) }
        }
    }

    private static let beyond = 0x7FFF_0000
    private static let lost: [(tag: Int, what: String)] = [
        (4, "the hash table"), (5, "the table of names"), (6, "the table of symbols"), (7, "the table of relocations"),
        (23, "the table of functions' relocations"), (25, "DT_INIT_ARRAY"), (26, "DT_FINI_ARRAY"),
        (0x6FFF_FEF5, "the hash table"), (0x6FFF_FFF0, "the table of versions"),
        (0x6FFF_FFFE, "the versions that it needs"),
    ]

    private static let cases: [Case] = [
        Case("DT_INIT leads to 0x10, where the file has no function", entry: 12, 16),
        Case("DT_FINI leads to 0x0, where the file has no function", entry: 13, 0),
        Case("reaches beyond the end of its segment", entry: 8, 24 << 24),
        Case("its relocations are not of 24 bytes each", entry: 9, 16),
        Case("are said to be relative", entry: 0x6FFF_FFF9, 1 << 30),
        Case("is said to be relative, and is of type", entry: 0x6FFF_FFF9, 8),
        Case("a needed library's name lies outside of the table of names", entry: 1, 1 << 20),
        Case("its symbols are not of 24 bytes each", entry: 11, 16),
        Case("the table of names does not end with a NUL") {
            let end = try $0.section(".dynstr") + $0.number($0.entry(10) + 8)
            $0.set(0x41, at: end - 1, 1)
        },
        Case("the dynamic section has no end") { editor in
            for place in stride(from: try editor.entry(0), to: try editor.section(".dynamic") + 0x2000, by: 16)
            where place - (try editor.section(".dynamic")) < editor.number(try editor.segment(2) + 32) {
                editor.set(0x6FFF_0000 + place, at: place)
            }
        },
        Case("twice") { $0.set(5, at: try $0.entry(6)) },
        Case("DT_STRTAB without DT_STRSZ", without: 10), Case("DT_RELA without DT_RELASZ", without: 8),
        Case("DT_PLTREL without DT_PLTRELSZ", without: 2), Case("no symbol has one", without: 0x6FFF_FFF0),
        Case("a relocation of type 5 is not one of a library") { $0.set(5, at: try $0.section(".rela.plt") + 8, 4) },
        Case("a relocation of type 1027 is not one") { $0.set(1027, at: try $0.section(".rela.plt") + 8, 4) },
        Case("which are not in its data") { $0.set(0x1000, at: try $0.section(".rela.plt")) },
        Case("symbol 1048576 lies outside") { $0.set(1 << 20, at: try $0.section(".rela.plt") + 12, 4) },
        Case("a relocation is of a table that the loader reads") {
            $0.set($0.number(try $0.segment(2) + 16) + 8, at: try $0.section(".rela.plt"))
        },
        // The first relocation is of the first constructor.
        Case("a resolver is at 0x10, where the file has no function") {
            let place = try $0.section(".rela.plt")
            $0.set(37, at: place + 8, 4)
            $0.set(16, at: place + 16)
        },
        Case("makes word 0 of DT_INIT_ARRAY a function's address") { editor in
            let array = editor.number(try editor.entry(25) + 8)
            let table = try editor.section(".rela.dyn")
            let row = (0..<64).map { table + 24 * $0 }.first { editor.number($0) == array }
            editor.set(try editor.sectionAddress(".data"), at: try #require(row))
        },
        Case("of DT_INIT_ARRAY, no function's address") { editor in
            let array = editor.number(try editor.entry(25) + 8)
            let table = try editor.section(".rela.dyn")
            let row = (0..<64).map { table + 24 * $0 }.first { editor.number($0) == array }
            editor.set(16, at: try #require(row) + 16)
        },
        Case("the name of symbol 1 lies outside") { $0.set(1 << 20, at: try $0.section(".dynsym") + 24, 4) },
        Case("symbol 1 is of version 77, which no table has") { $0.set(77, at: try $0.section(".gnu.version") + 2, 2) },
        Case("a version's hash is not that of its name") { editor in
            let record = try editor.section(".gnu.version_r")
            editor.set(7, at: record + editor.number(record + 8, 4), 4)
        },
        Case("of a library that it does not need") { $0.set(1, at: try $0.section(".gnu.version_r") + 4, 4) },
        Case("the hash table's filter has 0 words") { $0.set(0, at: try $0.section(".gnu.hash") + 8, 4) },
        Case("the hash table has 16777216 buckets, and no room") {
            $0.set(1 << 24, at: try $0.section(".gnu.hash"), 4)
        },
        Case("a chain of the hash table leads to symbol") { editor in
            let table = try editor.section(".hash")
            let (buckets, first) = (editor.number(table, 4), editor.number(table + 8, 4))
            editor.set(first, at: table + 8 + 4 * (buckets + first), 4)
        },
        Case("function price is at 0x10, where the file has none") { editor in
            let (table, names) = (try editor.section(".dynsym"), try editor.section(".dynstr"))
            let row = (1..<64).map { table + 24 * $0 }.first {
                editor.bytes[(names + editor.number($0, 4))...].starts(with: Array("price\0".utf8))
            }
            editor.set(16, at: try #require(row) + 8)
        },
        Case("overlaps the one before") { editor in
            let first = try editor.segment(1)
            editor.set(editor.number(first + 16), at: first + 56 + 16)
            editor.set(editor.number(first + 8), at: first + 56 + 8)
        },
        Case("reaches beyond the end of the file") { editor in
            let first = try editor.segment(1)
            editor.set(1 << 24, at: first + 32)
            editor.set(1 << 24, at: first + 40)
        },
        Case("PT_DYNAMIC leads to other bytes") { $0.set(0, at: try $0.segment(2) + 8) },
        Case("its thread-local data is at 0x7fff0000") { $0.set(beyond, at: try $0.segment(7) + 16) },
        Case("what becomes read-only (PT_GNU_RELRO) lies outside of its data") {
            $0.set(0, at: try $0.segment(0x6474_E552) + 16)
        },
        Case("the table of frames is at 0x7fff0000") { $0.set(beyond, at: try $0.segment(0x6474_E550) + 16) },
        Case("reaches beyond the end of its segment") {
            $0.set(1 << 20, at: try $0.section(".note.gnu.build-id") + 4, 4)
        },
        Case("it asks for stacks that can be executed") { $0.set(7, at: try $0.segment(0x6474_E551) + 4, 4) },
        Case("would be writable and executable") { editor in
            let place = editor.number(32) + 56
            editor.set(7, at: place + 4, 4)
        },
        Case("it has relocations in its code") { $0.set(22, at: try $0.entry(0x6FFF_FFF9)) },
        Case("no segment loads its program headers") { $0.set(0, at: try $0.segment(1) + 4, 4) },
        Case("it is an auxiliary filter") { $0.set(0x7FFF_FFFD, at: try $0.entry(0x6FFF_FFF9)) },
        Case("relocations of a kind that glibc does not know") { $0.set(17, at: try $0.entry(0x6FFF_FFF9)) },
    ]

    @Test(
        arguments: cases
            + lost.map {
                Case("\($0.what) is at 0x7fff0000, where nothing of the file is loaded", entry: $0.tag, beyond)
            })
    func isRefused(_ refused: Case) throws {
        var editor = try Editor(Self.vetted())
        try refused.change(&editor)
        let path = try TemporaryDirectory("mangled")
        let file = path.path + "/mangled.so"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o755)
        defer { close(descriptor) }
        expect(write(descriptor, editor.bytes, editor.bytes.count), equals: editor.bytes.count)
        let found = try objection(to: file)
        expect(found?.contains(refused.reason), equals: true, "\(refused.reason): \(found ?? "taken")")
        // What is not the file's fault is mended by another way to link it.
        #expect(
            found?.contains("Rebuild or reinstall the file.") == true || found?.contains("ink it ") == true
                || found?.contains("Compile it") == true)
    }

    @Test func takesWhatWasNotChanged() throws { try expect(objection(to: Self.vetted()), equals: nil) }

    @Test func namesTheRemedyOfWhatLinkersCanDo() throws {
        let stacks = try objection(to: Self.library("stacks.so", ["-Wl,-z,execstack"]))
        expect(stacks?.contains("Link it with -z noexecstack"), equals: true, "\(stacks ?? "")")
        let constant = try objection(
            to: Self.library("constant.so", ["-fuse-ld=lld", "-Wl,-z,rodynamic"], compiler: "clang"))
        expect(constant?.contains("Link it without -z rodynamic"), equals: true, "\(constant ?? "")")
    }
}

extension LibraryVettingTests.Case {
    /// An entry of the dynamic section becomes one that nobody reads.
    fileprivate init(_ reason: String, without tag: Int) {
        self.init(reason) { $0.set(0x6FFF_0000, at: try $0.entry(tag)) }
    }
}
