import Glibc
@testable import HotpatchCommands
import HotpatchExpectations
import HotpatchObjects
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// One process, to which edited objects are applied again and again.
    @Suite struct ObjectSessionTests {
        /// - Returns: what was edited, for the next time.
        private func apply(
            _ edit: (String, String), to desk: inout Desk, by session: ObjectSession
        ) throws -> ObjectSession.Applied {
            let edited = try desk.edited([edit])
            let applied = try session.apply([ObjectPair(new: edited.new, base: edited.base)])
            desk.note(edited)
            return applied
        }

        /// The symbols are read once, and what is patched each time.
        @Test func appliesAgainAndAgain() throws {
            var desk = try Desk()
            let session = ObjectSession(pid: desk.victim.pid)
            try session.prepare()
            let index = try #require(session.session?.index)
            for number in 2...4 {
                let applied = try apply(("hello v\(number - 1)", "hello v\(number)"), to: &desk, by: session)
                expect(applied.patch, equals: UInt32(number - 1))
                expect(applied.functions.count, equals: 1)
                expect(applied.functions.first?.contains("closure #1"), equals: true, "\(applied.functions)")
                expect(
                    applied.steps.map(\.name),
                    equals: ["read the process", "linked", "committed", "counted suspended calls"])
                #expect((applied.summary?.heldThreads ?? 0) >= 1)
                try desk.expect(["hello v\(number)"])
            }
            // Another patcher's work is seen.
            try expectDone("revert", "3", "--pid", desk.victim.id)
            #expect(throws: CommandError.self) { try apply(("hello v4", "hello v5"), to: &desk, by: session) }
            try desk.expect(["hello v3"])
            #expect(session.session?.index === index)
            expect(desk.victim.finish(), equals: 0)
            let error = try #require(throws: CommandError.self) { try session.prepare() }
            #expect(error.description.contains("\(desk.victim.pid)"), "\(error)")
        }

        @Test func saysWhatWouldChange() throws {
            let desk = try Desk()
            let session = ObjectSession(pid: desk.victim.pid)
            let same = try session.apply([ObjectPair(new: desk.object, base: desk.object)])
            expect(same.patch, equals: nil)
            #expect(same.functions.isEmpty)
            let edited = try desk.edited([("helper v1", "helper v2")])
            let planned = try session.apply([ObjectPair(new: edited.new, base: edited.base)], dryRun: true)
            expect(planned.patch, equals: nil)
            expect(planned.functions.count, equals: 1)
            try desk.expect(["hello v1", "count v1 1", "page v1 helper v1 7"])
            #expect(throws: CommandError.self) { try session.apply([]) }
        }

        /// What was read of a program does not count for the one that the process executes next.
        @Test func aProcessThatExecutesAnotherProgram() throws {
            var desk = try Desk()
            let session = ObjectSession(pid: desk.victim.pid)
            let edited = try desk.edited([("hello v1", "hello v2")])
            let pair = ObjectPair(new: edited.new, base: edited.base)
            try expect(session.apply([pair]).patch, equals: 1)
            try desk.expect(["hello v2"])
            let index = try #require(session.session?.index)
            try expect(desk.victim.ask("exec"), equals: "ready")
            try desk.expect(["hello v1", "count v1 1"])
            try expect(session.apply([pair]).patch, equals: 1)
            try desk.expect(["hello v2", "count v1 2"])
            #expect(session.session?.index !== index)
            desk.note(edited)
        }
    }
}
