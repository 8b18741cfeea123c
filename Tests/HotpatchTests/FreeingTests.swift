import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension ObjectTests {
    /// Code of objects that a process has linked into itself is freed once nothing leads into it.
    @Suite struct FreeingTests {
        /// A program that links one version after another of two functions into itself.
        private final class Ager {
            let program: Conversation
            let base: String
            /// Where `price` gives 2, 3 and so on, and `nap` 200 and so on more than it is woken with.
            let versions: [String]
            private let directory: TemporaryDirectory
            private let before: Int

            init(_ command: [String] = []) throws {
                directory = try TemporaryDirectory("ager")
                let folder = directory.path
                let objects = Client.victims + "/commands/objects"
                let source = try String(readingFile: objects + "/aging.c")
                var built: [String] = []
                for number in 1...3 {
                    let edited = source.components(of: "return 1;").joined(separator: "return \(number);")
                        .components(of: "+ 100").joined(separator: "+ \(number)00")
                    try Client.write(edited, to: folder + "/aging.c")
                    built.append(folder + "/aging-\(number).o")
                    try runTool("gcc", "-g", "-O0", "-c", folder + "/aging.c", "-o", built[number - 1])
                }
                try runTool("gcc", "-g", "-O0", "-c", objects + "/ager.c", "-o", folder + "/ager.o")
                try Client.compile(
                    ["-parse-as-library", Client.victims + "/SelfLinked/ager.swift", "-o", folder + "/edit.o"],
                    module: "Ager", in: folder, [])
                let linked = try run(
                    ["swiftc", "-o", folder + "/program", folder + "/ager.o", folder + "/edit.o", built[0]]
                        + Client.library() + ["-lcapstone"])
                guard linked.status == 0 else { throw TestFailure("cannot link: \(linked)") }
                base = built[0]
                versions = Array(built[1...])
                program = try Conversation(command + [folder + "/program"])
                before = try Self.codeSize(of: program.pid)
            }

            /// Bytes that run and that no file has.
            private static func codeSize(of pid: Int32) throws -> Int {
                let lines = try String(readingFile: "/proc/\(pid)/maps").split(separator: "\n").map {
                    $0.split(separator: " ")
                }
                return lines.filter { $0.count == 5 && $0[1] == "r-xp" }.reduce(0) { sum, line in
                    let ends = line[0].split(separator: "-").map { Int($0, radix: 16) ?? 0 }
                    return sum + ends[1] - ends[0]
                }
            }

            /// The part of that which came since it began.
            func code() throws -> Int { try Self.codeSize(of: program.pid) - before }

            @discardableResult
            func expect(_ question: String, _ answer: String) throws -> Bool {
                let found = try program.ask(question, seconds: 120)
                #expect(found == answer, "asked \(question)")
                return found == answer
            }

            /// The number of the patch that came last.
            private(set) var last = 0

            /// Links a version into it.
            func apply(_ new: String, over base: String? = nil) throws {
                last += 1
                try expect("apply \(new) \(base ?? self.base)", "\(last)")
            }

            /// What the program says of a patch: "true 4096 kept".
            func status(of patch: Int) throws -> String {
                let all = try program.ask("objects", seconds: 120).components(of: "; ")
                return all.first { $0.hasPrefix("\(patch) ") }.map { String($0.dropFirst("\(patch) ".count)) }
                    ?? "forgotten"
            }

            /// Applies a version and takes it back, which frees what it can, until a patch's code is gone.
            func expectFreed(_ patch: Int) throws {
                var status = ""
                for _ in 0..<40 {
                    try apply(versions[0])
                    try expect("", "2")
                    try expect("revert \(last)", "reverted")
                    try expect("", "1")
                    status = try self.status(of: patch)
                    if status == "forgotten" || status.hasSuffix(" 0 freed") { return }
                }
                Issue.record("patch \(patch): \(status)")
            }
        }

        /// Bytes of code that may be there besides the first version's: of those that are kept, and of what comes between two searches.
        private static let most = (20 + 16) * Int(sysconf(Int32(_SC_PAGESIZE)))

        /// However many versions come, twenty are kept, which are gone back to in any order; who looks from outside sees the same.
        @Test func versionsComeAndGo() throws {
            let ager = try Ager()
            var base = ager.base
            var first = 0
            // In case the machine is too busy to search in time: more.
            for number in 1...160 {
                let new = ager.versions[number % 2]
                try ager.apply(new, over: base)
                try ager.expect("", "\(number % 2 + 2)")
                base = new
                if first == 0 { first = try ager.code() }
                if number >= 56, try ager.code() - first <= Self.most { break }
            }
            #expect(try ager.code() - first <= Self.most)
            let objects = try ager.program.ask("objects", seconds: 120)
            let list = try run([products + "/swift-hotpatch", "list", "--all", "--pid", "\(ager.program.pid)"])
            expect(list.status, equals: 0, "\(list)")
            func count(_ text: String, _ part: String) -> Int { text.components(of: part).count - 1 }
            expect(
                count(objects, " kept"), equals: count(list.output, "its code is kept, to be gone back to"),
                "\(objects)\n\(list)")
            expect(count(objects, " freed"), equals: count(list.output, "its code was freed"), "\(objects)\n\(list)")
            let last = ager.last
            for number in [last, last - 2, last - 1, last - 3] { try ager.expect("revert \(number)", "reverted") }
            try ager.expect("", "\(last % 2 + 2)")
            let reverted = try run([products + "/swift-hotpatch", "revert", "--all", "--pid", "\(ager.program.pid)"])
            expect(reverted.status, equals: 0, "\(reverted)")
            try ager.expect("", "1")
            expect(ager.program.finish(), equals: 0)
        }

        /// A program that is asked to do it, and may not be traced, does not grow either.
        @Test func overTheSocket() throws {
            let ager = try Ager()
            try ager.expect("loop", "listening")
            var base = ager.base
            var first = 0
            for number in 1...160 {
                let new = ager.versions[number % 2]
                let arguments = ["apply", new, "--base", base, "--pid", "\(ager.program.pid)", "--timeout", "60"]
                let applied = try run(ReloaderTests.untracing + [products + "/swift-hotpatch"] + arguments)
                guard applied.status == 0 else { throw TestFailure("\(applied)") }
                try ager.expect("", "\(number % 2 + 2)")
                base = new
                if first == 0 { first = try ager.code() }
                if number >= 50, try ager.code() - first <= Self.most { break }
            }
            #expect(try ager.code() - first <= Self.most)
            expect(ager.program.finish(), equals: 0)
        }

        /// Whoever reverts, and however, frees what it can.
        @Test(arguments: ["revert-all", "revert-function price"])
        func revertedWithoutAHandle(how: String) throws {
            let ager = try Ager()
            try ager.apply(ager.versions[1])
            try ager.expect(how, "reverted")
            try ager.expect("", "1")
            // In case the machine is too busy to search in time: again. Nothing else of this program frees.
            for _ in 0..<100 {
                if try ager.status(of: 1).hasSuffix(" freed") { break }
                usleep(20_000)
                try ager.expect(how, "reverted")
            }
            let status = try ager.status(of: 1)
            #expect(status.hasSuffix(" 0 freed") || status == "forgotten", "\(status)")
            expect(ager.program.finish(), equals: 0)
        }

        @Test func aThreadSleepsInIt() throws {
            let ager = try Ager()
            try ager.apply(ager.versions[1])
            try ager.expect("sleep", "sleeps")
            try ager.expect("revert 1", "reverted")
            let status = try ager.status(of: 1)
            #expect(status.hasPrefix("false ") && status.contains(", on the stack of thread "), "\(status)")
            try ager.expect("", "1")
            try ager.expect("wake", "307")
            // Another thread gets the stack.
            try ager.expect("sleep", "sleeps")
            try ager.expect("wake", "107")
            try ager.expectFreed(1)
            expect(ager.program.finish(), equals: 0)
        }

        @Test func aRegisterLeadsThere() throws {
            let ager = try Ager()
            try ager.apply(ager.versions[1])
            try ager.expect("hold", "holds")
            try ager.expect("revert 1", "reverted")
            for _ in 0..<3 {
                let status = try ager.status(of: 1)
                #expect(!status.contains("freed"), "\(status)")
                try ager.apply(ager.versions[0])
                try ager.expect("revert \(ager.last)", "reverted")
            }
            try ager.expect("let go", "let go")
            try ager.expectFreed(1)
            expect(ager.program.finish(), equals: 0)
        }

        @Test func itsAddressIsOnTheHeap() throws {
            let ager = try Ager()
            try ager.apply(ager.versions[1])
            try ager.expect("trace", "traced")
            try ager.expect("keep", "3")
            try ager.expect("revert 1", "reverted")
            let status = try ager.status(of: 1)
            #expect(status.contains("waits"), "\(status)")
            try ager.expect("drop", "1")
            try ager.expectFreed(1)
            try ager.expect("trace", "traced")
            expect(ager.program.finish(), equals: 0)
        }

        /// A program that may not open what of /proc says which of its pages it has written to, or what they hold: it is not dumpable,
        /// and not root's. It edits itself as any, keeps its old code, and says why.
        @Test func itMayNotReadItself() throws {
            let isRoot = geteuid() == 0
            let ager = try Ager(isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [])
            try ager.expect("hide", "hidden")
            try ager.apply(ager.versions[1])
            try ager.expect("", "3")
            let code = try ager.code()
            try ager.expect("revert 1", "reverted")
            try ager.expect("", "1")
            for _ in 0..<3 {
                try ager.apply(ager.versions[0])
                try ager.expect("", "2")
                try ager.expect("revert \(ager.last)", "reverted")
            }
            try ager.expect("", "1")
            let status = try ager.status(of: 1)
            #expect(status.hasPrefix("false "), "\(status)")
            #expect(status.contains("waits(\"nobody can tell whether anything leads into it: "), "\(status)")
            #expect(status.contains("/mem cannot be opened: Permission denied"), "\(status)")
            #expect(try ager.code() > code)
            expect(ager.program.finish(), equals: 0)
        }

        /// While threads begin and end, and map and unmap memory.
        @Test func inAStorm() throws {
            let ager = try Ager()
            try ager.expect("storm", "storms")
            for _ in 0..<3 {
                try ager.apply(ager.versions[1])
                try ager.expect("", "3")
                try ager.expect("revert \(ager.last)", "reverted")
                try ager.expect("", "1")
            }
            try ager.expectFreed(1)
            expect(ager.program.finish(), equals: 0)
        }
    }
}
