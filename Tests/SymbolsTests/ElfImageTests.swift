import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Synchronization
import Testing

@Suite struct ElfImageTests {
    let workshop: Workshop

    init() throws { workshop = try Workshop() }

    /// STO_AARCH64_VARIANT_PCS is a sign of arm64's symbols, and means nothing elsewhere.
    @Test(arguments: [(EM_AARCH64, true), (EM_X86_64, false)])
    func variantsOfTheConvention(_ machine: Int32, isTold: Bool) throws {
        let path = try workshop.build(
            "variant.so", ["symbols_variant_arm64.s"],
            [
                "--target=aarch64-linux-gnu", "-nostdlib", "-shared", "-fuse-ld=lld", "-Wl,--no-rosegment",
                "-Wl,-z,noseparate-code",
            ], compiler: "clang")
        var bytes = try readAll(path)
        bytes[18] = UInt8(machine & 0xFF)
        bytes[19] = UInt8(machine >> 8)
        let file = try write(bytes, "variant-\(machine).so")
        var status = stat()
        try #require(stat(file, &status) == 0)
        let map = try ProcessMap(parsing: "400000-410000 r-xp 0 0:0 \(status.st_ino) \(file)", pid: 0)
        let index = try SymbolIndex(map: map, memory: BytesMemory(base: Address(0x400000), contents: bytes))
        try expect(index.function(named: "vector_sum").isVariantCall, equals: isTold)
        #expect(try !index.function(named: "plain").isVariantCall)
    }

    @Test func headers() throws {
        let library = try ElfImage(
            path: try workshop.library(
                "libscopes.so", ["symbols_scopes.c", "symbols_scopes_other.c"],
                ["-g", "-Wl,-soname,libscopes.so.1", "-Wl,--build-id=0x0123456789abcdef"]))
        expect(library.fileType, equals: 3)
        expect(library.soname, equals: "libscopes.so.1")
        expect(library.buildID, equals: [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF])
        #expect(library.hasDebugInfo)
        expect(library.interpreter, equals: nil)
        #expect(!library.isStatic)

        let program = try ElfImage(path: try workshop.build("program", ["symbols_program.c"]))
        expect(program.interpreter?.contains("ld-linux"), equals: true)
        #expect(!program.hasDebugInfo)
        #expect(program.needed.contains("libc.so.6"))
        #expect(
            program.undefinedDynamicSymbols.contains { $0.name == "dlopen" && $0.version?.hasPrefix("GLIBC_") == true })
        let text = try #require(program.section(named: ".text"))
        try expect(program.contents(of: text), equals: program.readFile(at: text.address, count: Int(text.size)))
        expect(symbolError { try program.readFile(at: .max, count: 1) }.map(isMalformed), equals: true)
        expect(symbolError { try program.readFile(at: text.address, count: .max) }.map(isMalformed), equals: true)
        expect(symbolError { try program.readFile(at: text.address, count: -1) }.map(isMalformed), equals: true)

        let object = try ElfImage(path: try workshop.build("twin.o", ["symbols_twin.c"], ["-c"]))
        expect(object.fileType, equals: 1)
        #expect(object.symbols.contains { $0.name == "in_two_images" && $0.isDefined })
    }

    /// Also a file whose section headers were cut off has its dynamic symbols: the dynamic linker needs no sections.
    @Test func withoutSectionHeaders() throws {
        let path = try workshop.library("libbare.so", ["symbols_scopes.c", "symbols_scopes_other.c"])
        let whole = try ElfImage(path: path)
        var bytes = try readAll(path)
        for index in 40..<48 { bytes[index] = 0 }  // e_shoff
        for index in 60..<64 { bytes[index] = 0 }  // e_shnum, e_shstrndx
        let bare = try ElfImage(path: try write(bytes, "bare.so"))
        #expect(bare.sections.isEmpty)
        expect(bare.dynamicSymbols, equals: whole.dynamicSymbols)
        expect(bare.needed, equals: whole.needed)
    }

    @Test func refusesOtherFiles() throws {
        func error(_ bytes: [UInt8]) throws -> SymbolError? {
            let path = try write(bytes, "file")
            return symbolError { try ElfImage(path: path) }
        }
        try expect(error(Array("#!/bin/sh\n".utf8)).map(isMalformed), equals: true)
        try expect(error([]).map(isMalformed), equals: true)
        let good = try readAll(try workshop.library("good.so", ["symbols_twin.c"]))
        for (offset, value, word) in [(4, UInt8(1), "32-bit"), (5, 2, "big-endian"), (18, 8, "machine")] {
            var bytes = good
            bytes[offset] = value
            let found = try error(bytes)
            guard case .unread(.unsupported(_, let what))? = found else {
                Issue.record("\(word): \(String(describing: found))")
                continue
            }
            #expect(what.contains(word))
        }
        guard case .unread(.unreadable(_, ENOENT))? = symbolError({ try ElfImage(path: workshop.file("none")) }) else {
            Issue.record("a missing file is not unreadable")
            return
        }
        #expect(symbolError { try ElfImage(path: workshop.path) } != nil)
    }

    @Test func survivesTruncation() throws {
        let good = try readAll(try workshop.library("good.so", ["symbols_inlined.c"], ["-g"]))
        var refused = 0
        var lengths = Array(0..<256)
        lengths += stride(from: 256, to: good.count, by: 97)
        for length in lengths {
            refused += examine(Array(good[..<length])) ? 0 : 1
        }
        // The section headers stand at the end: nothing shorter is whole.
        expect(refused, equals: lengths.count)
        #expect(examine(good))
    }

    /// A file that is cut off while it is looked at ends nobody: what was read is kept, the rest is an error.
    @Test func survivesTruncationMeanwhile() throws {
        let padding = try write([UInt8](repeating: 1, count: 1 << 20), "padding")
        let path = workshop.file("padded.so")
        try runTool([
            "objcopy", "--add-section", ".padding=\(padding)", try workshop.library("cut.so", ["symbols_inlined.c"]),
            path,
        ])
        let elf = try ElfImage(path: path)
        let symbols = elf.symbols
        let section = try #require(elf.section(named: ".padding"))
        try expect(ElfImage(path: path).contents(of: section).count, equals: 1 << 20)
        expect(truncate(path, 4096), equals: 0)
        expect(elf.symbols, equals: symbols)
        expect(symbolError { try elf.contents(of: section) }.map(isMalformed), equals: true)
        #expect(symbolError { try ElfImage(path: path) } != nil)
    }

    /// Neither a FIFO nor a device is opened: the opening of either may wait, or do something.
    @Test func opensRegularFilesOnly() throws {
        expect(mkfifo(workshop.file("fifo"), 0o644), equals: 0)
        for path in [workshop.file("fifo"), "/dev/null", workshop.path] {
            guard case .unread(.unsupported)? = symbolError({ try ElfImage(path: path) }) else {
                Issue.record("\(path) was opened")
                continue
            }
        }
    }

    @Test func survivesChangedBytes() throws {
        let seed = testSeed()
        var random = SeededGenerator(seed: seed)
        let files = [
            try readAll(try workshop.library("a.so", ["symbols_inlined.c"], ["-g", "-O2"])),
            try readAll(
                try workshop.library(
                    "b.so", ["symbols_versions.c"], ["-Wl,--version-script=\(Workshop.victims)/symbols_versions.map"])),
            try readAll(try workshop.library("c.so", ["symbols_indirect.c"], ["-s"])),
            try readAll(try workshop.library("d.so", ["symbols_inlined.c"], ["-g", "-gz", "-O2"])),
        ]
        var accepted = 0
        // FUZZ_ROUNDS=1000000 for a night.
        let rounds = getenv("FUZZ_ROUNDS").flatMap { Int(String(cString: $0)) } ?? 4000
        for round in 0..<rounds {
            var bytes = files[round % files.count]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Headers and tables stand at either end; text in the middle is not looked at.
                let zone = Int.random(in: 0..<3, using: &random)
                let offset =
                    zone == 0
                    ? Int.random(in: 0..<min(2048, bytes.count), using: &random)
                    : zone == 1
                        ? Int.random(in: max(0, bytes.count - 4096)..<bytes.count, using: &random)
                        : Int.random(in: 0..<bytes.count, using: &random)
                bytes[offset] =
                    Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random) : [0, 0xFF, 0x7F, 0x80][round & 3]
            }
            accepted += examine(bytes) ? 1 : 0
        }
        #expect(accepted > 0 && accepted < rounds, "SEED=\(seed)")
    }

    /// A section that says it decompresses to a terabyte, or to a thousand times more than it can, is not tried.
    @Test func compressedBeyondReason() throws {
        let good = try readAll(try workshop.library("d.so", ["symbols_inlined.c"], ["-g", "-gz", "-O2"]))
        let elf = try ElfImage(path: workshop.file("d.so"))
        let section = try #require(elf.section(named: ".debug_info"))
        try #require(section.flags & 0x800 != 0, "SHF_COMPRESSED")
        func copies(_ bytes: [UInt8]) throws -> UnreachedCopies? {
            let path = try write(bytes, "bomb")
            var status = stat()
            try #require(stat(path, &status) == 0)
            let map = try ProcessMap(
                parsing: "400000-600000 r-xp 0 0:0 \(status.st_ino) \(path)", pid: 0)
            let index = try SymbolIndex(map: map, memory: BytesMemory(base: Address(0x400000), contents: bytes))
            return index.unreachedCopies(of: try index.function(named: "area"))
        }
        guard case .known? = try copies(good) else {
            Issue.record("the file as it is has no DWARF")
            return
        }
        for size in [1 << 40, section.size * 2000] as [UInt64] {
            var bytes = good
            // ch_size of Elf64_Chdr.
            let place = Int(section.fileOffset) + 8
            withUnsafeBytes(of: size.littleEndian) { bytes.replaceSubrange(place..<place + 8, with: $0) }
            guard case .symbolsOnly? = try copies(bytes) else {
                Issue.record("\(size) bytes of DWARF were made")
                continue
            }
        }
    }

    /// libelf writes to the headers of what it decompresses, whatever size the file says they have.
    @Test(arguments: [0, 1, 63, 65, 0xFFFF]) func survivesSectionHeadersOfAnotherSize(_ size: UInt16) throws {
        var bytes = try readAll(try workshop.library("d.so", ["symbols_inlined.c"], ["-g", "-gz", "-O2"]))
        withUnsafeBytes(of: size.littleEndian) { bytes.replaceSubrange(58..<60, with: $0) }
        // A page of their own, behind all that libelf writes to otherwise.
        let count = Int(bytes[60]) | Int(bytes[61]) << 8
        let table = bytes[40..<48].reversed().reduce(0) { $0 << 8 | Int($1) }
        let headers = Array(bytes[table..<table + count * 64])
        bytes += [UInt8](repeating: 0, count: (8192 - bytes.count % 4096) - 64) + headers
        withUnsafeBytes(of: UInt64(bytes.count - headers.count).littleEndian) {
            bytes.replaceSubrange(40..<48, with: $0)
        }
        _ = examine(bytes)
    }

    /// Memory that goes away while it is read, as that of a library being unloaded does, ends nobody.
    @Test func survivesMemoryThatVanishes() throws {
        let lines = String(decoding: try readAll("/proc/self/maps"), as: UTF8.self).split(separator: "\n")
        let text = lines.filter { $0.hasSuffix("/libc.so.6") }.map { $0 + "\n" }.joined()
        let map = try ProcessMap(parsing: text, pid: getpid())
        var complete = 0
        for reads in 0..<40 {
            let memory = VanishingMemory(reads: reads)
            let index = try? SymbolIndex(map: map, memory: memory)
            complete += index?.images.isEmpty == false ? 1 : 0
        }
        #expect(complete > 0)
    }

    /// Reads everything there is to read. True if the file was accepted.
    private func examine(_ bytes: [UInt8]) -> Bool {
        guard let path = try? write(bytes, "mutant"), let elf = try? ElfImage(path: path) else { return false }
        _ =
            elf.symbols.count + elf.dynamicSymbols.count + elf.functionRelocations().count
            + elf.undefinedDynamicSymbols.count
        _ = (elf.soname, elf.needed, elf.runpath, elf.hasDebugInfo, elf.isStatic)
        for section in elf.sections { _ = try? elf.contents(of: section) }

        // As an image of a process whose memory is the file.
        let text = "400000-\(String(0x400000 + max(bytes.count, 1) + 0x10000 & ~0xFFF, radix: 16)) r-xp 0 0:0 "
        var status = stat()
        guard stat(path, &status) == 0 else { return true }
        explore("\(text)\(status.st_ino) \(path)", bytes)
        // And as one whose file is gone.
        explore("\(text)1 /nowhere/mutant (deleted)", bytes)
        _ = elf.frameTable?.range(containing: 0x1000)
        return true
    }

    private func explore(_ line: String, _ bytes: [UInt8]) {
        guard let map = try? ProcessMap(parsing: line, pid: 0),
            let index = try? SymbolIndex(map: map, memory: BytesMemory(base: Address(0x400000), contents: bytes)),
            let elf = index.images.first?.elf
        else { return }
        for name in ["area", "versioned", "versioned@V1", "chosen", "shop::price"] {
            for function in index.functions(named: name) {
                _ = index.extent(of: function)
                _ = index.unreachedCopies(of: function)
            }
            _ = try? index.function(named: name)
            _ = index.exportedAddress(of: name)
        }
        for function in index.functions(matching: "*") { _ = index.extent(of: function) }
        for offset in stride(from: 0, to: bytes.count, by: 512) {
            _ = index.function(containing: Address(0x400000) + offset)
        }
        _ = index.unresolvedCount(elf)
    }

    private func readAll(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw TestFailure("cannot open \(path)") }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 22)
        return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
    }

    private func write(_ bytes: [UInt8], _ name: String) throws -> String {
        let path = workshop.file(name)
        // A new inode each time: the last one may still be mapped.
        unlink(path)
        guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw TestFailure("short write") }
        return path
    }
}

extension SymbolIndex {
    fileprivate func unresolvedCount(_ elf: ElfImage) -> Int {
        unresolvedSymbols(of: elf, root: "/nonexistent").symbols.count
    }
}

/// This process's memory, for so many reads.
private final class VanishingMemory: MemoryReader {
    private let left: Mutex<Int>

    init(reads: Int) { left = Mutex(reads) }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        let isThere = left.withLock { left in
            left -= 1
            return left >= 0
        }
        guard isThere else { throw MemoryError(address: address, count: buffer.count, code: EFAULT) }
        try LocalMemory().read(at: address, into: buffer)
    }
}
