import Glibc
import Hotpatch
import HotpatchExpectations
import HotpatchTestSupport
import Testing

#if arch(x86_64)
    /// Functions of this process whose first bytes other code leads into (Tests/Victims/commands/entered.c).
    @Suite(.serialized) final class EnteredTests {
        private let turn: PatchingTurn
        private static let directory = Result { try TemporaryDirectory("entered", untilExit: true) }

        init() async { turn = await PatchingTurn() }

        deinit { try? Patch.revertAll() }

        @Test func whatIsEnteredElsewhereIsRefusedOrOverwrittenLess() throws {
            let package = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            let library = try Self.directory.get().path + "/libentered.so"
            try runTool(
                "gcc", "-shared", "-fPIC", "-Wl,-Bsymbolic", package + "/Tests/Victims/commands/entered.c", "-o",
                library)
            let handle = try #require(dlopen(library, RTLD_NOW | RTLD_LOCAL))
            func call(_ name: String) throws -> Int32 {
                unsafeBitCast(try #require(dlsym(handle, name)), to: Unary.self)(7)
            }
            let replacement: Unary = { $0 + 1000 }
            for (function, reason) in [
                ("short_in", "jumps into the bytes"), ("labelled", "labelled_goes_on"), ("addressed", "is taken"),
                ("pointed", "is taken"), ("looped", "jumps back to the entry"), ("unsized", "has no size"),
                ("narrow", "(to_narrow+0x2), which refers to narrow+0x2"), ("chosen_past", "`jmp rcx`"),
            ] {
                #expect {
                    try Patch.replace(symbol: function, in: library, with: replacement)
                } throws: { error in "\(error)".contains(reason) }
                try expect(call(function), equals: 15)
            }
            for _ in 0..<2 {
                let patch = try Patch.replace(symbol: "roomy", in: library, with: replacement)
                try expect(call("roomy"), equals: 1007)
                try expect(call("to_roomy"), equals: 15)
                try expect(patch.original(as: Unary.self)(7), equals: 15)
                try patch.revert()
                try expect(call("roomy"), equals: 15)
            }
            let chosen = try Patch.replace(symbol: "chosen", in: library, with: replacement)
            try expect(call("chosen"), equals: 1007)
            try expect(chosen.original(as: Unary.self)(7), equals: 15)
            try chosen.revert()
            let tail = try Patch.replace(symbol: "tail", in: library, with: replacement)
            try expect(call("to_tail"), equals: 1007)
            try tail.revert()
        }
    }
#endif
