import Glibc
@testable import HotpatchCommands
import HotpatchEngine
import HotpatchExpectations
import HotpatchObjects
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Code of linked objects that no call enters any more is taken away once nothing leads into it.
    @Suite struct DeadCodeTests {
        /// A program of which one function has one version after another.
        private struct Aging {
            /// Bytes of code, of a pool.
            static let stubs = 64 << 10

            let victim: Victim
            let base: String
            /// Where `price` gives 2, 3 and so on, and `nap` 200 and so on more than it is woken with.
            let versions: [String]

            init(versions count: Int, price: (Int) -> String = { "return \($0 + 2);" }, more: String = "") throws {
                let sources = try EditedC("aging.c", beside: "ager.c", ["gcc", "-pthread"])
                base = sources.base
                versions = try (0..<count).map {
                    try sources.edited([
                        ("long price(", more + "long price("), ("return 1;", price($0)), ("+ 100", "+ \($0 + 2)00"),
                    ]).object
                }
                victim = try Victim(sources.program)
            }

            /// What takes place in the process's memory: mappings, and bytes of code that no file has.
            func memory() throws -> (mappings: Int, code: Int) {
                let text = try victim.maps()
                let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
                let code = lines.filter { $0.count == 5 && $0[1] == "r-xp" }.map { line in
                    let ends = line[0].split(separator: "-").map { Int($0, radix: 16) ?? 0 }
                    return ends[1] - ends[0]
                }
                return (lines.count, code.reduce(0, +))
            }

            /// What becomes of a patch's code, and why.
            func fate(of patch: Int) throws -> (state: String, reason: String) {
                let list = try expectDone("list", "--all", "--pid", victim.id, "--json").json
                for index in 0..<(list["patches"].count ?? 0)
                where list["patches"][index]["id"].number == patch {
                    let code = list["patches"][index]["code"]
                    return (code["state"].string ?? "", code["reason"].string ?? "")
                }
                return ("", "")
            }

            /// Applies a version and takes it back, which frees what it can: again where the machine is too busy to search in time.
            func expectFreed(_ patch: Int) throws {
                let end = ContinuousClock.now + .seconds(60)
                repeat {
                    let applied = try expectDone("apply", versions[0], "--base", base, "--pid", victim.id, "--json")
                    let number = try #require(applied.json["patch"].number)
                    _ = try victim.ask()
                    try expectDone("revert", "\(number)", "--pid", victim.id)
                    _ = try victim.ask()
                    // Or forgotten, and only the stubs are left.
                    if try fate(of: patch).state == "freed" || memory().code <= Self.stubs { return }
                } while ContinuousClock.now < end
                Issue.record("patch \(patch): \(try fate(of: patch))")
            }
        }

        /// However many versions come, so many are kept to be gone back to, and the process has no more mappings than with the first.
        @Test func versionsComeAndGo() throws {
            let aging = try Aging(versions: 2)
            let session = ObjectSession(pid: aging.victim.pid)
            let kept = LedgerState.versionsKept
            var base = aging.base
            var first: (mappings: Int, code: Int)?
            var last = 0
            // In case the machine is too busy to search in time: more.
            for number in 1...10 * kept {
                let new = aging.versions[number % 2]
                let applied = try session.apply([ObjectPair(new: new, base: base)])
                expect(applied.patch, equals: UInt32(number))
                try expect(aging.victim.ask(), equals: "\(number % 2 + 2)")
                base = new
                last = number
                let now = try aging.memory()
                if first == nil { first = now }
                guard number >= 2 * kept else { continue }
                #expect(now.mappings <= first!.mappings + 8, "\(now) after \(first!)")
                if now.code - first!.code <= (kept + 8) * pageSize { break }
            }
            #expect(try aging.memory().code - first!.code <= (kept + 8) * pageSize, "after \(last) versions")
            // Those that are kept are gone back to, one after the other, and then to what the program had.
            for number in stride(from: last, to: last - kept + 1, by: -1) {
                _ = try session.revert([UInt32(number)])
                try expect(aging.victim.ask(), equals: "\((number - 1) % 2 + 2)")
            }
            try expectDone("revert", "--all", "--pid", aging.victim.id)
            try expect(aging.victim.ask(), equals: "1")
            expect(aging.victim.finish(), equals: 0)
        }

        /// What code has kept in its variables is there after it, for the versions that come then.
        @Test func variablesOutliveTheirCode() throws {
            let aging = try Aging(
                versions: 2, price: { "return ++added + \($0 + 1) * 1000;" }, more: "static long added;\n\n")
            let session = ObjectSession(pid: aging.victim.pid)
            var base = aging.base
            var last = 0
            for number in 1...10 * LedgerState.versionsKept {
                let new = aging.versions[number % 2]
                _ = try session.apply([ObjectPair(new: new, base: base)])
                try expect(aging.victim.ask(), equals: "\((number % 2 + 1) * 1000 + number)")
                base = new
                last = number
                guard number > LedgerState.versionsKept, number % 8 == 0 else { continue }
                if try aging.fate(of: 1).state == "freed" { break }
            }
            try expect(aging.fate(of: 1).state, equals: "freed")
            try expectDone("revert", "\(last)", "--pid", aging.victim.id)
            try expect(aging.victim.ask(), equals: "\(((last - 1) % 2 + 1) * 1000 + last + 1)")
            expect(aging.victim.finish(), equals: 0)
        }

        @Test func aThreadSleepsInIt() throws {
            let aging = try Aging(versions: 2)
            try expectDone("apply", aging.versions[1], "--base", aging.base, "--pid", aging.victim.id)
            try expect(aging.victim.ask("sleep"), equals: "sleeps")
            try expectDone("revert", "1", "--pid", aging.victim.id)
            let fate = try aging.fate(of: 1)
            #expect(fate.state == "waits" && fate.reason.contains(", on the stack of thread "), "\(fate)")
            try expect(aging.victim.ask(), equals: "1")
            try expect(aging.victim.ask("wake"), equals: "307")
            // Another thread gets the stack.
            try expect(aging.victim.ask("sleep"), equals: "sleeps")
            try expect(aging.victim.ask("wake"), equals: "107")
            try aging.expectFreed(1)
            try expect(aging.victim.ask(), equals: "1")
            expect(aging.victim.finish(), equals: 0)
        }

        /// The unwinder's own words, since it has looked for the tables of all code, do not count.
        @Test func theUnwinderKnowsIt() throws {
            let aging = try Aging(versions: 2)
            try expectDone("apply", aging.versions[1], "--base", aging.base, "--pid", aging.victim.id)
            try expect(aging.victim.ask("trace"), equals: "traced")
            try expect(aging.victim.ask(), equals: "3")
            try expectDone("revert", "1", "--pid", aging.victim.id)
            try aging.expectFreed(1)
            // It has forgotten what is gone.
            try expect(aging.victim.ask("trace"), equals: "traced")
            expect(aging.victim.finish(), equals: 0)
        }

        @Test func itsAddressIsOnTheHeap() throws {
            let aging = try Aging(versions: 2)
            try expectDone("apply", aging.versions[1], "--base", aging.base, "--pid", aging.victim.id)
            try expect(aging.victim.ask("keep"), equals: "3")
            try expectDone("revert", "1", "--pid", aging.victim.id)
            try expect(aging.victim.ask(), equals: "1")
            let fate = try aging.fate(of: 1)
            #expect(fate.state == "waits" && fate.reason.contains("on the heap"), "\(fate)")
            let text = try expectDone("list", "--all", "--pid", aging.victim.id).output
            #expect(text.contains("its code waits: a word at "), "\(text)")
            let list = try expectDone("list", "--all", "--pid", aging.victim.id, "--json").json["patches"][0]
            let (code, constants) = (list["segments"][0], list["segments"][1])
            #expect(code["kind"].string == "code" && code["size"].number == list["memory"]["code"].number, "\(list)")
            #expect(constants["kind"].string == "constants" && list["segments"].count == 2, "\(list)")
            let start = try #require(code["address"].string).dropFirst(2)
            #expect(try aging.victim.maps().contains("\(start)-"), "\(code)")
            try expect(aging.victim.ask("drop"), equals: "1")
            // Nothing does any more, but for a process whose memory takes too long to search.
            let inspection = try Inspection(pid: aging.victim.pid)
            guard case .waits(let why) = CodeFates(inspection, longest: 0).fate(of: 1) else {
                Issue.record("it does not wait")
                return
            }
            expect(why, equals: "searching its memory takes longer than its threads may be held (--max-pause)")
            try aging.expectFreed(1)
            expect(aging.victim.finish(), equals: 0)
        }

        /// A task that is suspended in it goes on in it.
        @Test func aTaskIsSuspendedInIt() throws {
            var napper = try Desk("Napper", editing: ["Napper"])
            try napper.apply(("nap v1", "nap v2"), ("other v1", "other v2"))
            try napper.expect(["waits"], ["start"])
            try expectDone("revert", "1", "--pid", napper.victim.id)
            try napper.expect(["other v1"], [""])
            let list = try expectDone("list", "--all", "--pid", napper.victim.id, "--json").json
            expect(list["patches"][0]["code"]["state"].string, equals: "waits", "\(list)")
            try napper.expect(["nap v2 woken 0", "waits", "nap v1 woken 0"], ["open", "start", "open"])
            expect(napper.victim.finish(), equals: 0)
        }

        /// What later objects may call by its name stays, and so do types.
        @Test func whatStays() throws {
            var desk = try Desk()
            try desk.apply(
                ("helper v1 \\(n)", "helper v2 \\(extra(n))"),
                ("enum Limits", "func extra(_ n: Int) -> String { \"<\\(n)>\" }\nenum Limits"))
            try desk.apply(
                ("enum Limits", "struct Box { var n = 1 }\nfunc boxed() -> Any { Box() }\nenum Limits"),
                ("probe v1", "\\(boxed())"))
            try expectDone("revert", "--all", "--pid", desk.victim.id)
            let text = try expectDone("list", "--all", "--pid", desk.victim.id).output
            #expect(text.contains("its code stays: later objects may call what it has added"), "\(text)")
            #expect(text.contains("its code stays: the Swift runtime keeps the types that it has brought"), "\(text)")
            try desk.expect(["page v1 helper v1 7"], ["page"])
            expect(desk.victim.finish(), equals: 0)
        }
    }
}

private let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
