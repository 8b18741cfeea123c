import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport
import Testing

@testable import HotpatchEngine
@testable import HotpatchSymbols

/// Every error once, as it is read.
@Suite struct MessageTests {
    private static let address = Address(0x401000)

    private static func refusals() -> [Refusal] {
        Refusal.Reason.allCases.flatMap { reason -> [Refusal] in
            let entry = Refusal(reason: reason, address: address)
            var code = Refusal(
                reason: reason, address: address, operand: Address(0x402000), bytes: [0xEB, 0x10],
                instruction: "jmp 0x401012")
            let bytes = Refusal(reason: reason, address: address, bytes: [0xEB, 0x10])
            var elsewhere = code
            elsewhere.place = ("mempcpy+0x6", "memmove+0x3")
            code.operand = nil
            return [entry, code, bytes, elsewhere]
        }
    }

    private static let errors: [PatchError] =
        [
            .ownFunction(function: "hp_commit", address: address), .itself(function: "price", address: address),
            .twice(function: "price", address: address),
            .sameCode(functions: ["price", "rate"], address: address, image: "/srv/shop"),
            .entryChanged(function: "price", address: address, expected: [0x55], found: [0xCC]),
            .asyncContext(
                function: "price", address: address, replacement: "rate", AsyncContext(own: 16, replacement: 32)),
            .asyncContext(
                function: "price", address: address, replacement: "rate", AsyncContext(own: 16, replacement: nil)),
            .asyncContext(
                function: "price", address: address, replacement: "rate", AsyncContext(own: nil, replacement: 16)),
            .asyncContext(
                function: "price", address: address, replacement: "rate", AsyncContext(own: nil, replacement: nil)),
            .shadowStack(function: "price", address: address),
            .noPool(function: "price", address: address, reach: 1 << 31),
            .noPool(function: "price", address: address, reach: .max), .addressTaken(address),
            .overtaken(pid: 42), .restless(pid: 42, by: nil), .restless(pid: 42, by: "patch 3 of its own"),
            .underway(pid: 42, thread: 43),
            .ledger(.malformed("a record ends inside a number")), .ledger(.version(7)),
            .memory(MemoryError(address: address, count: 8, code: EFAULT), doing: "read the function"),
            .memory(MemoryError(address: address, count: 8, code: 0), doing: "read the function"),
            .noSuchPatch(id: 7, pid: 42), .notInForce(id: 7, state: .reverted),
            .type("0x401000 is not in executable memory. Pass the address of a function."),
            .notHeld(pid: 42, thread: 43, reason: ""),
            .notHeld(pid: 42, thread: 43, reason: "it blocks the signal that parks threads"),
            .busy(pid: 42, thread: 43, address: address),
            .system(what: "cannot hold the threads of this process", code: ENOMEM, remedy: "Patching needs memory."),
            .system(what: "cannot hold the threads of this process", code: 0, remedy: "Patching needs memory."),
            .target("process 42 has no place for the patch ledger. Nothing was changed."),
            .object(TestFailure("price.o is no object file. It is linked already. Name the .o file.")),
            .object(
                TestFailure("Item: stored property 'tax: Int' added: restart needed. Restart."), needsRestart: true),
            .unfinished("process 42 ended while it mapped memory. Look why.", .inconsistent),
            .rolledBack(address: address, code: EIO), .inconsistent(address: address, code: EIO),
        ] + symbolErrors.map(PatchError.symbol)
        + refusals().map { .refused(function: "price", address: address, image: "/srv/shop", $0) }

    private static let symbolErrors: [SymbolError] =
        [
            .notFound(name: "price", image: nil, nearest: []),
            .notFound(
                name: "price", image: "shop", nearest: [], stripped: "/srv/shop is stripped. Run one that is not."),
            .noFunctionAt(name: "0x401000", inside: nil), .noFunctionAt(name: "0x401000", inside: "price"),
            .ambiguous(
                name: "price",
                candidates: ["price@a.c", "price@b.c"].map {
                    .init(image: "/srv/shop", address: address, name: "price", spelling: $0)
                }),
            .indirectUnresolved(name: "memcpy", image: "/srv/shop", resolver: address),
        ] + readErrors.map(SymbolError.init)

    private static let readErrors: [ReadError] = [
        .malformed(path: "/srv/shop", offset: 64, what: "the program headers reach beyond the end of the file"),
        .unsupported(path: "/srv/shop", what: "it is a 32-bit ELF file"),
        .unloadable(
            path: "/srv/shop", what: "it has relocations in its code", remedy: "Compile it with -fPIC"),
        .unreadable(path: "/srv/shop", code: EACCES), .unreadable(path: "/proc/42/maps", code: EPERM),
        .unreadable(path: "/srv/shop", code: ENOENT), .replaced(path: "/srv/shop", what: "the build-ids differ"),
        .noProcess(pid: 42),
        .outOfTime(reading: "the symbols of /srv/shop", milliseconds: 3000),
    ]

    @Test func eachReadsWell() throws {
        for error in Self.errors {
            let text = error.description
            #expect(faults(ofMessage: text).isEmpty, "\(text): \(faults(ofMessage: text))")
        }
        // A new code asks for an example here; a closure's error is SwiftCall's to tell.
        let codes = Set(Self.errors.map(\.code.rawValue)).union(["closure", "closureType"])
        let declared = try Set(Self.declaredCodes())
        expect(codes, equals: declared)
        expect(Set(Self.symbolErrors.map(Self.name)).count, equals: 5)
        expect(Set(Self.readErrors.map(Self.name)).count, equals: 7)
    }

    /// As its source has them; each value is its name.
    private static func declaredCodes() throws -> [String] {
        let folder = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let source = try run(["cat", "\(folder)/Sources/HotpatchEngine/PatchError+Code.swift"]).output
        let codes = source.split(separator: "\n").compactMap { line -> String? in
            guard line.hasPrefix("    public static let ") else { return nil }
            let words = line.split(separator: " ")
            expect(words.last, equals: "\"\(words[3])\")", "\(line)")
            return String(words[3])
        }
        expect(Set(codes).count, equals: codes.count)
        return codes
    }

    /// A program reads from an error what it is about, without its text.
    @Test func eachTellsWhatItIsAbout() {
        let refused = PatchError.refused(
            function: "price", address: Self.address, image: "/srv/shop",
            Refusal(reason: .tooShort, address: Self.address))
        #expect(refused.code == .refused && refused.outcome == .refused)
        #expect(refused.function == "price" && refused.address == Self.address && refused.image == "/srv/shop")
        #expect(refused.thread == nil && refused.patch == nil && refused.systemError == nil)
        let late = PatchError.notHeld(pid: 42, thread: 43, reason: "")
        #expect(late.code == .deadline && late.process == 42 && late.thread == 43)
        expect(PatchError.deadline(pid: 42, thread: 0, text: "").thread, equals: nil)
        let during = late.during("read the function")
        #expect(during.message == "cannot read the function: \(late.message)" && during.thread == 43)
        #expect(during != late && during == late.during("read the function"))
        let failed = PatchError.rolledBack(address: Self.address, code: EIO)
        #expect(failed.outcome == .rolledBack && failed.systemError == EIO)
        expect(PatchError.unfinished("", .inconsistent).outcome, equals: .inconsistent)
        expect(PatchError.notInForce(id: 7, state: .reverted).patch, equals: 7)
        let ambiguous = Self.symbolErrors.map(PatchError.symbol).filter { !$0.candidates.isEmpty }
        expect(ambiguous.map(\.code), equals: [.functionAmbiguous])
        expect(ambiguous.first?.candidates.map(\.spelling), equals: ["price@a.c", "price@b.c"])
    }

    private static func name(_ error: SymbolError) -> String {
        switch error {
        case .notFound, .noFunctionAt, .ambiguous, .indirectUnresolved, .unread:
            return String("\(Mirror(reflecting: error).children.first?.label ?? "\(error)")")
        }
    }

    private static func name(_ error: ReadError) -> String {
        switch error {
        case .malformed, .unsupported, .unloadable, .unreadable, .replaced, .noProcess, .outOfTime:
            return String("\(Mirror(reflecting: error).children.first?.label ?? "\(error)")")
        }
    }

    /// What is to blame, once, behind what cannot be done.
    @Test func aRefusalSaysOnceThatItIsOne() {
        var refusal = Refusal(
            reason: .foreignBranch, address: Address(0x1000), operand: Address(0x2003), bytes: [0xE9, 1, 2, 3, 4],
            instruction: "jmp 0x2003")
        refusal.place = ("mempcpy+0x6", "memmove+0x3")
        let error = PatchError.refused(
            function: "memmove", address: Address(0x2000), image: "/lib/libc.so.6", refusal)
        #expect(
            error.description.hasPrefix(
                "cannot patch memmove at 0x2000 in /lib/libc.so.6: `jmp 0x2003` (e9 01 02 03 04) at 0x1000 (mempcpy+0x6), which "
                    + "refers to memmove+0x3: code outside the function jumps into the bytes that would be overwritten; "
            ))
    }
}
