import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchTestSupport
import Testing

@testable import HotpatchSymbols

/// Reading ends with its time, wherever it is, and says what was being read.
@Suite struct ReadingTimeTests {
    let workshop: Workshop

    init() throws { workshop = try Workshop() }

    private func isOutOfTime(_ error: SymbolError?) -> Bool {
        if case .unread(.outOfTime) = error { true } else { false }
    }

    @Test func namesWhatWasRead() throws {
        let error = symbolError {
            try SymbolIndex(
                map: ProcessMap(pid: getpid()), memory: LocalMemory(), time: ReadingTime(.zero))
        }
        guard case .unread(.outOfTime(let what, 0))? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(what.hasPrefix("the symbols of /"), "\(what)")
        let text = try #require(error).description
        #expect(text.hasPrefix("the time was over while \(what) were read"), "\(text)")
        #expect(text.contains("longer timeout"), "\(text)")
    }

    /// What is read at its first use.
    private static let queries:
        [(name: String, run: @Sendable (SymbolIndex, FunctionSymbol, ElfImage) throws -> Void)] = [
            ("functions", { index, _, _ in _ = index.functions(matching: "twice") }),
            ("a name that there is not", { index, _, _ in _ = try? index.function(named: "nothing_of_the_kind") }),
            ("descriptions", { index, function, _ in _ = index.debugFacts(of: function) }),
            ("copies", { index, function, _ in _ = index.unreachedCopies(of: function) }),
            ("copies by name", { index, _, _ in _ = index.copiesLeft(of: ["thrice"]) }),
            ("an address", { index, function, _ in _ = index.function(containing: function.address + 1) }),
            ("starts of code", { _, function, _ in _ = function.image.codeStarts() }),
            ("labels", { _, function, _ in _ = function.image.label(in: function.address..<function.address + 1) }),
            ("relocations", { index, _, _ in _ = index.exportedAddress(of: "memcpy") }),
            ("what a library needs", { index, _, library in _ = index.unresolvedSymbols(of: library) }),
            ("the images once more", { index, _, _ in _ = try? index.refreshed(map: index.map) }),
        ]

    @Test(arguments: queries.map(\.name))
    func whateverIsReadLater(_ name: String) throws {
        let path = try workshop.build("program", ["symbols_program.c"], ["-g", "-O1"])
        let library = try ElfImage(path: try workshop.library("needy.so", ["symbols_needy.c"]))
        let victim = try Victim(path)
        let index = try victim.index()
        let function = try index.function(named: "twice", in: path)
        let query = try #require(Self.queries.first { $0.name == name })
        index.time.begin(.zero)
        try query.run(index, function, library)
        #expect(isOutOfTime(index.time.failure.map(SymbolError.init)), "\(name)")
        index.time.finish()
        // For good: something is missing now.
        #expect(isOutOfTime(symbolError { try index.time.check() }))
        #expect(isOutOfTime(symbolError { try index.function(named: "twice") }))
        // With time enough, nothing.
        let fresh = try victim.index()
        fresh.time.begin(.seconds(600))
        try query.run(fresh, fresh.function(named: "twice", in: path), library)
        try fresh.time.check()
    }

    @Test func sortsOrKeepsEverything() {
        let numbers = (0..<20_000).map { $0 &* 7919 % 20_011 }
        for time in [ReadingTime(), ReadingTime(.zero)] {
            var sorted = numbers
            sorted.sort(within: time, "numbers", by: <)
            expect(sorted.sorted(), equals: numbers.sorted())
            expect((sorted == numbers.sorted()), equals: (time.failure == nil))
        }
    }

    /// Hundreds of functions of one name take no longer to tell apart than a few.
    @Test func manyFunctionsOfOneName() throws {
        let count = 400
        let source = workshop.file("many.s")
        var assembly = "\t.text\n"
        let names = (1000..<1000 + count).map { "s\($0)" }
        for name in names { assembly += "\t.type \(name),@function\n\(name): ret\n\t.size \(name),1\n" }
        try write(Array(assembly.utf8), to: source)
        let library = workshop.file("many.so")
        try runTool(["cc", "-shared", "-o", library, source])
        // As many objects would have it: the assembler gives a name once.
        var bytes = try OpenFile(path: library).readAll(limit: 1 << 20, path: library)
        for name in names {
            let text = Array(name.utf8) + [0]
            let place = try #require(bytes.indices.first { bytes[$0...].starts(with: text) })
            bytes.replaceSubrange(place..<place + 5, with: Array("same_".utf8))
        }
        try write(bytes, to: library)
        _ = try load(library)
        let error = symbolError { try ownIndex().function(named: "same_", in: library) }
        guard case .ambiguous(_, let candidates)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(candidates.count == count && Set(candidates.map(\.spelling)).count == count)
        #expect(candidates.allSatisfy { $0.spelling.hasPrefix("many.so+0x") })
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        defer { close(descriptor) }
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw TestFailure("cannot write \(path)")
        }
    }
}
