import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Names that several functions have, several names of one, versions.
    @Suite struct LibraryNamesTests {
        private func names() throws -> Victim {
            let directory = try Workshop.directory
            let map = try Workshop.file(
                "versions.map", Array("V1 { global: versioned; local: *; };\nV2 { global: versioned; } V1;\n".utf8))
            let library = try Workshop.library(
                "versions.c", ["-Wl,--version-script=\(map)"], as: "libversions.so")
            return try Victim(
                try Workshop.program("names.c", ["-DPROGRAM", "-Wl,-rpath,\(directory)", library]))
        }
        private let namesAsBuilt = "de 119 at 119 rate 6 new 65 old 55"

        /// Functions that a linker has folded into one are patched together, or not at all.
        @Test func foldedFunctions() throws {
            let victim = try names()
            try expect(victim.ask(), equals: namesAsBuilt)
            let applied = try expectDone(
                "apply", try Workshop.library("names.c", ["-DFOLDED=1000"]), "--pid", victim.id)
            #expect(applied.output.contains("\n    also changes vat_at, which is the same code\n"), "\(applied)")
            try expect(victim.ask(), equals: "de 1100 at 1100 rate 6 new 65 old 55")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expectRefused(
                ["apply", try Workshop.library("names.c", ["-DFOLDED=1000", "-DBOTH=2000"]), "--pid", victim.id],
                "cannot replace vat_at and vat_de by different functions", maps: victim.maps)
            try expect(victim.ask(), equals: namesAsBuilt)
        }

        @Test func copiesThatAreLeft() throws {
            let victim = try names()
            let library = try Workshop.library("names.c", ["-DRATE=1000"])
            try expectRefused(
                ["apply", library, "--pid", victim.id], "rate is not replaced", "specialised as rate.constprop.0 at 0x",
                maps: victim.maps)
            try expectRefused(
                ["apply", library, "--pid", victim.id, "--map", "rate=rate"], "rate.constprop.0", maps: victim.maps)
            let both = try Workshop.library("names.c", ["-DRATE=1000", "-DFOLDED=1000"])
            let applied = try expectDone("apply", both, "--pid", victim.id)
            #expect(applied.output.contains("\nnote: rate is not replaced"), "\(applied)")
            try expect(victim.ask(), equals: "de 1100 at 1100 rate 6 new 65 old 55")
        }

        @Test func versions() throws {
            let victim = try names()
            let map = try Workshop.file("patch.map", Array("V1 { global: versioned; local: *; };\n".utf8))
            let library = try Workshop.library("names.c", ["-DVERSIONED=1000", "-Wl,--version-script=\(map)"])
            let applied = try expectDone("apply", library, "--pid", victim.id)
            #expect(applied.output.contains("\n  versioned@V1 at 0x"), "\(applied)")
            try expect(victim.ask(), equals: "de 119 at 119 rate 6 new 65 old 1005")
            try expectDone("revert", "--all", "--pid", victim.id)
            let other = try Workshop.file("other.map", Array("V3 { global: versioned; local: *; };\n".utf8))
            try expectRefused(
                [
                    "apply",
                    try Workshop.library(
                        "names.c", ["-DVERSIONED=1000", "-DVERSION=\"V3\"", "-Wl,--version-script=\(other)"]),
                    "--pid", victim.id,
                ], "1 function of which the process has other versions: versioned", maps: victim.maps)
            let symbols = try expectDone("symbols", "--pid", victim.id, "versioned", "--in", "libversions.so")
            for version in ["versioned@V1 ", "versioned@V2 "] {
                #expect(symbols.output.contains("  \(version)"), "\(symbols)")
            }
            try expect(victim.ask(), equals: namesAsBuilt)
        }

        /// Static functions of one name, told apart by their files and by their addresses.
        @Test func twins() throws {
            let other = try Workshop.build("twin_other.c", ["-c"])
            let victim = try Victim(try Workshop.program("twin.c", [other]))
            let asBuilt = "helper 10 other 16"
            try expect(victim.ask(), equals: asBuilt)
            let library = try Workshop.library("twin.c", ["-DPATCH=1000"])
            try expectRefused(
                ["apply", library, "--pid", victim.id], "'helper' names 2 functions:", "  helper@twin.c at 0x",
                "  helper@twin_other.c at 0x", "as it stands here", maps: victim.maps)

            func expectApplied(_ options: String..., library: String, _ answer: String) throws {
                let result = try hotpatch(["apply", library, "--pid", victim.id] + options)
                expect(result.status, equals: 0, "\(options): \(result)")
                try expect(victim.ask(), equals: answer, "\(options)")
                try expectDone("revert", "--all", "--pid", victim.id)
                try expect(victim.ask(), equals: asBuilt)
            }
            try expectApplied("--map", "helper@twin.c=helper", library: library, "helper 1005 other 16")
            try expectApplied("--only", "helper@twin_other.c", library: library, "helper 10 other 1006")
            for (old, answer) in [("twin.c", "helper 1010 other 16"), ("twin_other.c", "helper 10 other 1016")] {
                let option = "-DOLD=HOTPATCH_IN(\"helper\", \"\(old)\")"
                let named = try Workshop.library("twin.c", ["-DPATCH=1000", option])
                try expectApplied(library: named, answer)
            }

            let found = try expectDone("symbols", "--pid", victim.id, "helper", "--json").json["functions"]
            let address = try #require(found[0]["address"].string)
            let image = try #require(found[0]["image"].string)
            let applied = try expectDone("apply", library, "--pid", victim.id, "--map", "\(address)=helper")
            #expect(applied.output.contains("  helper at \(address) in "), "\(applied)")
            let answer = try victim.ask()
            #expect(["helper 1005 other 16", "helper 10 other 1006"].contains(answer), "\(answer)")
            try expectDone("revert", "--all", "--pid", victim.id)

            let file = try expectDone("symbols", try Workshop.program("twin.c", [other]), "helper", "--json")
            let offset = try #require(file.json["functions"][0]["address"].string)
            let named = try Workshop.library("twin.c", ["-DPATCH=1000", "-DOLD=HOTPATCH_AT(\"IMAGE\", \"\(offset)\")"])
            try expectRefused(["apply", named, "--pid", victim.id], "IMAGE+\(offset)", maps: victim.maps)
            try expectApplied("--map", "\(image)+\(offset)=helper", library: library, answer)
            try expectRefused(
                ["apply", library, "--pid", victim.id, "--map", "\(image)+0x1=helper"], "no function begins at",
                maps: victim.maps)
            try expectRefused(
                ["apply", library, "--pid", victim.id, "--map", "helper@third.c=helper"],
                "no function named 'helper@third.c'", maps: victim.maps)
        }

        @Test func oneOfTwoImages() throws {
            let first = try Workshop.library(
                "rate.c", ["-DNAME=first_rate", "-DFACTOR=2", "-Wl,-Bsymbolic"], as: "libfirst.so")
            let second = try Workshop.library(
                "rate.c", ["-DNAME=second_rate", "-DFACTOR=3", "-Wl,-Bsymbolic"], as: "libsecond.so")
            let victim = try Victim(try Workshop.program("shop.c", ["-DHELPER", "-Wno-unused", first, second]))
            try expect(victim.ask(), equals: "first 14 second 21")
            let library = try Workshop.library("price.c", ["-DRATE=1000"])
            try expectRefused(
                ["apply", library, "--pid", victim.id], "'rate' names 2 functions", "libfirst.so", "libsecond.so",
                "--in",
                maps: victim.maps)
            try expectRefused(
                ["apply", library, "--pid", victim.id, "--in", "libthird.so"], "libthird.so", maps: victim.maps)
            let applied = try expectDone("apply", library, "--pid", victim.id, "--in", "libsecond.so")
            #expect(applied.output.contains("/libsecond.so"), "\(applied)")
            try expect(victim.ask(), equals: "first 14 second 1007")
            try expectDone("apply", library, "--pid", victim.id, "--in", first)
            try expect(victim.ask(), equals: "first 1007 second 1007")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask(), equals: "first 1007 second 21")
        }
    }
}
