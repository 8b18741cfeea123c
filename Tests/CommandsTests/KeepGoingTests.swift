import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// `apply --keep-going`: what is refused is left out and told, and the rest is one transaction.
    @Suite struct KeepGoingTests {
        private static let before = "price 2 de 20 at 20"

        private func start() throws -> (victim: Victim, library: String) {
            (try Victim(try Workshop.program("partly.c", ["-DPROGRAM"])), try Workshop.library("partly.c"))
        }

        @Test func appliesTheRest() throws {
            let (victim, library) = try start()
            try expectRefused(["apply", library, "--pid", victim.id], "vat_at", "vat_de", maps: victim.maps)

            let apply = ["apply", library, "--pid", victim.id, "--keep-going"]
            let planned = try hotpatch(apply + ["--dry-run"])
            expect(planned.status, equals: 5, "\(planned)")
            #expect(planned.output.contains("would replace 1 function of process"), "\(planned)")
            for name in ["vat_at", "vat_de"] {
                #expect(planned.output.contains("\n  refused: \(name): "), "\(planned)")
            }
            try expect(victim.ask(), equals: Self.before)

            let applied = try hotpatch(apply)
            expect(applied.status, equals: 5, "\(applied)")
            #expect(applied.output.contains(": 1 function, 2 refused, "), "\(applied)")
            for name in ["vat_at", "vat_de"] {
                #expect(applied.output.contains("\n  refused: \(name): "), "\(applied)")
            }
            // The pointers to the originals of what was refused lead to the functions.
            try expect(victim.ask(), equals: "price 2020002 de 20 at 20")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask(), equals: Self.before)
            expect(victim.finish(), equals: 0)
        }

        @Test func tellsItAsJSON() throws {
            let (victim, library) = try start()
            let applied = try hotpatch("apply", library, "--pid", victim.id, "--keep-going", "--json")
            expect(applied.status, equals: 5, "\(applied)")
            expect(applied.json["functions"].count, equals: 1)
            expect(applied.json["refused"].count, equals: 2)
            let names = Set((0..<2).map { applied.json["refused"][$0]["symbol"].string ?? "" })
            expect(names, equals: ["vat_at", "vat_de"])
            #expect(applied.json["refused"][0]["reason"].string?.contains("vat_de") == true, "\(applied)")
            expect(victim.finish(), equals: 0)
        }

        /// With nothing refused it is an apply like any other; with everything refused, a refusal.
        @Test func allOrNothingIsNoPart() throws {
            let (victim, _) = try start()
            let refused = try Workshop.library("partly.c", ["-DREFUSED"])
            try expectRefused(
                ["apply", refused, "--pid", victim.id, "--keep-going"], "vat_at", "vat_de", maps: victim.maps)
            let other = try Workshop.library("price.c", ["-DPRICE=1000"])
            let applied = try expectDone("apply", other, "--pid", victim.id, "--keep-going")
            #expect(applied.output.contains(": 1 function, ") && !applied.output.contains("refused"), "\(applied)")
            try expect(victim.ask(), equals: "price 1001 de 20 at 20")
            expect(victim.finish(), equals: 0)
        }

        @Test func objectsGoTogether() throws {
            let result = try hotpatch("apply", "new.o", "--base", "old.o", "--pid", "1", "--keep-going")
            expect(result.status, equals: 64, "\(result)")
            #expect(result.errors.contains("--keep-going is for a library"), "\(result)")
        }
    }
}
