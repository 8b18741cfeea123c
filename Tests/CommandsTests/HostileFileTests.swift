import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// A process maps whatever its user pleases, and its files are whatever they please to be: the patcher, which may be root, reads
    /// them all.
    @Suite struct HostileFileTests {
        private static let nobody = 65534

        private func mapper(asUser user: Int? = nil) throws -> Victim {
            let program = try Workshop.program("mapper.c", ["-D_GNU_SOURCE"])
            guard let user else { return try Victim(program) }
            return try Victim("setpriv", "--reuid=\(user)", "--clear-groups", program)
        }
        private func patch() throws -> String { try Workshop.library("price.c", ["-DPRICE=1000"]) }

        /// A copy of a library, with a name of its own.
        private func copy(_ library: String, as name: String) throws -> String {
            try Workshop.file(name, Workshop.bytes(of: library))
        }

        /// libdw builds the file of a deleted image from the target's memory, by its program headers, and believes them: root's heap
        /// was what they said.
        @Test(arguments: [0, 0x10, 0x100_0000, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_F000, 0xFFFF_FFFF_FFFF_F000 as UInt64])
        func deletedImagesWithMangledHeaders(_ offset: UInt64) throws {
            var bytes = try Workshop.bytes(of: Workshop.library("price.c", ["-DOTHER=1"]))
            // p_offset of the third program header.
            let place = 64 + 2 * 56 + 8
            withUnsafeBytes(of: offset.littleEndian) { bytes.replaceSubrange(place..<place + 8, with: $0) }
            let file = try Workshop.file("mangled-\(offset).so", bytes)
            let victim = try mapper()
            try expect(victim.ask("map \(file)"), equals: "done")
            unlink(file)
            let result = try hotpatch("apply", patch(), "--pid", victim.id)
            expect(result.status, equals: 0, "\(result)")
            try expect(victim.ask(), equals: "price 1007 rate 0")
        }

        /// The opening of a FIFO waits for a writer: for ever, with the lock held.
        @Test func fifosInPlaceOfMappedFiles() throws {
            let file = try copy(Workshop.library("price.c", ["-DOTHER=1"]), as: "other-fifo.so")
            let victim = try mapper()
            try expect(victim.ask("map \(file)"), equals: "done")
            unlink(file)
            for path in [file, file + " (deleted)"] { #expect(mkfifo(path, 0o644) == 0) }
            defer { for path in [file, file + " (deleted)"] { unlink(path) } }
            try expectDone("apply", patch(), "--pid", victim.id)
            try expect(victim.ask(), equals: "price 1007 rate 0")
        }

        /// What a library needs is looked for where the process would find it: links lead where they lead below its root directory,
        /// and the loader's cache may be a FIFO.
        @Test func filesOfAProcessInAnotherRoot() throws {
            let root = try TemporaryDirectory("root")
            let libraries = root.path + "/lib/x86_64-linux-gnu"
            for folder in [libraries, root.path + "/lib64", root.path + "/etc", root.path + "/only-there"] {
                try runTool("mkdir", "-p", folder)
            }
            try runTool("cp", "-L", "/lib/x86_64-linux-gnu/libc.so.6", libraries)
            try runTool("cp", "-L", "/lib64/ld-linux-x86-64.so.2", root.path + "/lib64")
            try runTool("cp", try Workshop.program("mapper.c", ["-D_GNU_SOURCE"]), root.path + "/mapper")
            let helper = try Workshop.library("price.c", ["-DOTHER=1", "-Wl,-soname,libhelper.so"])
            try runTool("cp", helper, root.path + "/only-there/libhelper.so")
            let patch = try Workshop.library("price.c", ["-DPRICE=1000", "-Wl,--no-as-needed", helper])
            let victim = try Victim("chroot", root.path, "/mapper")
            expect(mkfifo(root.path + "/etc/ld.so.cache", 0o644), equals: 0)

            let missing = ["apply", patch, "--pid", victim.id, "--dry-run"]
            try expectRefused(missing, "libhelper.so", maps: victim.maps)
            // To a file that only the process has by this name.
            expect(symlink("/only-there/libhelper.so", libraries + "/libhelper.so"), equals: 0)
            let result = try hotpatch(missing)
            expect(result.status, equals: 0, "\(result)")
            // To a file that only we have by this name.
            unlink(libraries + "/libhelper.so")
            expect(symlink(helper, libraries + "/libhelper.so"), equals: 0)
            try expectRefused(missing, "libhelper.so", maps: victim.maps)
            try expectRefused(
                ["apply", self.patch(), "--pid", victim.id], "/proc", "root directory", maps: victim.maps)
            try expect(victim.ask(), equals: "price 70 rate 0")
        }

        /// A library that was deleted, of a process that is not root's: its exported functions are read from memory.
        @Test func deletedLibraryOfAnotherUser() throws {
            let library = try copy(Workshop.library("price.c", ["-DRATE=30", "-O0"]), as: "rate-deleted.so")
            let victim = try mapper(asUser: Self.nobody)
            try expect(victim.ask("load \(library)"), equals: "done")
            unlink(library)
            let patch = try Workshop.library("price.c", ["-DPRICE=1000", "-DRATE=8000"])
            let result = try hotpatch("apply", patch, "--pid", victim.id, asUser: Self.nobody)
            expect(result.status, equals: 0, "\(result)")
            #expect(result.output.contains("note: \(library) cannot be read any more"), "\(result)")
            try expect(victim.ask(), equals: "price 1007 rate 8007")
        }

        /// What cannot be read at all is said.
        @Test func imagesThatAreLeftOut() throws {
            var bytes = try Workshop.bytes(of: Workshop.library("price.c", ["-DOTHER=1"]))
            bytes[18] = 8  // e_machine: MIPS
            let file = try Workshop.file("mips.so", bytes)
            let victim = try mapper()
            try expect(victim.ask("map \(file)"), equals: "done")
            let result = try hotpatch("apply", patch(), "--pid", victim.id)
            expect(result.status, equals: 0, "\(result)")
            #expect(result.output.contains("note: an image was left out") && result.output.contains(file), "\(result)")
        }

        /// The loader of the process would follow what the file says of its tables, and end the process.
        @Test func mangledLibraries() throws {
            let victim = try mapper()
            let library = try patch()
            let bytes = try Workshop.bytes(of: library)
            func number(_ offset: Int) -> Int { (0..<8).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
            // SHT_DYNAMIC, 6; entries of DT_SYMTAB, DT_RELA and DT_INIT_ARRAY.
            let header = try #require((0..<Int(bytes[60])).map { number(40) + $0 * 64 }.first { bytes[$0 + 4] == 6 })
            let entries = stride(from: number(header + 24), to: number(header + 24) + number(header + 32), by: 16)
            for tag in [6, 7, 25] {
                var mangled = bytes
                let entry = try #require(entries.first { number($0) == tag })
                for index in 8..<16 { mangled[entry + index] = 0x77 }
                let file = try Workshop.file("mangled-\(tag).so", mangled)
                try expectRefused(
                    ["apply", file, "--pid", victim.id], "malformed at file offset 0x\(String(entry, radix: 16))",
                    "where nothing of the file is loaded", "Rebuild or reinstall the file", maps: victim.maps)
            }
            try expect(victim.ask(), equals: "price 70 rate 0")
            try expectDone("apply", library, "--pid", victim.id)
            try expect(victim.ask(), equals: "price 1007 rate 0")
        }

        // MARK: Budgets

        @Test func symbolsOfEnormousSize() throws {
            let library = try Workshop.library("price.c", ["-DOTHER=1", "-s"])
            var bytes = try Workshop.bytes(of: library)
            func number(_ offset: Int) -> Int { (0..<8).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
            // st_size of each record of .dynsym (SHT_DYNSYM, 11).
            let headers = (0..<Int(bytes[60])).map { number(40) + $0 * 64 }
            let table = try #require(headers.first { bytes[$0 + 4] == 11 })
            for record in stride(from: number(table + 24), to: number(table + 24) + number(table + 32), by: 24) {
                for index in 16..<24 { bytes[record + index] = 0xFF }
            }
            let result = try hotpatch("symbols", try Workshop.file("enormous.so", bytes), "other")
            expect(result.status, equals: 0, "\(result)")
            #expect(result.output.contains("  other"))
        }

        /// A sparse file takes no room on a disk, and its symbols took seven gigabytes.
        @Test func moreSymbolsThanAnyProgramHas() throws {
            let result = try hotpatch("symbols", sparse(symbols: 150_000_000))
            expect(result.status, equals: 2)
            #expect(result.errors.contains("150000000 symbols"), "\(result)")
        }

        /// As many as are read take their time, and that is the command's.
        @Test func readingEndsWithTheTimeout() throws {
            let victim = try mapper()
            try expectDone("apply", patch(), "--pid", victim.id)
            try expect(victim.ask("map \(sparse(symbols: 8_000_000))"), equals: "done")
            for command in [["apply", try patch()], ["revert", "--all"]] {
                try expectRefused(
                    command + ["--pid", victim.id, "--timeout", "0.02"], "the time was over while the symbols of /",
                    "longer timeout", maps: victim.maps)
            }
            try expect(victim.ask(), equals: "price 1007 rate 0")
        }

        /// A library that says it has so many symbols, which are zeros of a sparse file.
        private func sparse(symbols count: Int) throws -> String {
            var bytes = try Workshop.bytes(of: Workshop.library("price.c", ["-DOTHER=1"]))
            let table = (0..<8).reduce(0) { $0 | Int(bytes[40 + $1]) << ($1 * 8) }
            // SHT_SYMTAB, 2.
            let header = try #require(
                (0..<Int(bytes[60])).map { table + $0 * 64 }.first { bytes[$0 + 4] == 2 })
            let size = UInt64(count) * 24
            withUnsafeBytes(of: UInt64(1 << 20).littleEndian) {
                bytes.replaceSubrange(header + 24..<header + 32, with: $0)
            }
            withUnsafeBytes(of: size.littleEndian) { bytes.replaceSubrange(header + 32..<header + 40, with: $0) }
            let file = try Workshop.file("sparse-\(count).so", bytes)
            expect(truncate(file, off_t(size) + (1 << 20)), equals: 0)
            return file
        }

        /// Ten thousand members of one patch, of one function, took a minute and a half to list.
        @Test func listsAHostileLedger() throws {
            let victim = try mapper()
            try expect(victim.ask("ledger 10000"), equals: "done")
            let start = time(nil)
            let result = try expectDone("list", "--pid", victim.id)
            #expect(result.output.split(separator: "\n").count > 20_000)
            #expect(time(nil) - start < 30)
        }

        /// What only a newer version knows is told of and left alone; what this one knows is listed and reverted.
        @Test func goesOnBesideANewerVersion() throws {
            let victim = try mapper()
            try expect(victim.ask("newer"), equals: "done")
            let listed = try expectDone("list", "--pid", victim.id, "--all")
            #expect(listed.output.contains("patch 5  applied  1970-01-01T00:00:00Z  by swift-hotpatch (pid 7, uid 0)"))
            #expect(listed.output.contains("\n  prices, 8 bytes at 0x") && listed.output.contains("  in force\n"))
            #expect(listed.output.contains("\n4 more were reverted, and are forgotten\n"))
            #expect(
                listed.output.contains(
                    "\nnote: a newer swift-hotpatch has recorded more than this one knows, 1 record\n"))
            let told = try expectDone("list", "--pid", victim.id, "--json")
            let json = told.json
            #expect(json["forgotten"] == .number(4) && json["unknown_records"] == .number(1), "\(json)")
            #expect(told.output.contains(#""kind":"value","symbol":"prices""#), "\(told)")
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            #expect(try expectDone("apply", library, "--pid", victim.id).output.contains("patch 6 applied"))
            #expect(try victim.ask("price").contains("price 1007"))
            try expect(victim.ask("data"), equals: "patched!")
            try expectDone("revert", "--pid", victim.id, "--all")
            #expect(try victim.ask("data") == "original" && victim.ask("price").contains("price 70"))
            try expect(expectDone("list", "--pid", victim.id, "--json").json["unknown_records"], equals: .number(1))
        }
    }

    /// Root runs in a process what its file says: nobody else may have had a say in it.
    @Suite struct LibraryTrustTests {
        private func check(
            _ reasons: String..., owner: Int? = nil, prepare: (_ folder: String, _ library: String) throws -> Void,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let program = try Workshop.program("mapper.c", ["-D_GNU_SOURCE"])
            let victim =
                try owner.map { try Victim("setpriv", "--reuid=\($0)", "--clear-groups", program) }
                ?? Victim(program)
            let place = try TemporaryDirectory("trust")
            let folder = place.path + "/folder"
            let library = folder + "/patch.so"
            try runTool("mkdir", "-m", "755", folder)
            try runTool("install", "-m", "755", try Workshop.library("price.c", ["-DPRICE=1000"]), library)
            try prepare(folder, library)
            if !reasons.isEmpty {
                let refused = try hotpatch("apply", library, "--pid", victim.id)
                expect(refused.status, equals: 2, "\(refused)", sourceLocation: sourceLocation)
                for reason in reasons + ["--allow-unsafe-owner"] {
                    #expect(refused.errors.contains(reason), "\(refused)", sourceLocation: sourceLocation)
                }
                try expect(victim.ask(), equals: "price 70 rate 0", sourceLocation: sourceLocation)
            }
            let arguments = ["apply", library, "--pid", victim.id] + (reasons.isEmpty ? [] : ["--allow-unsafe-owner"])
            let applied = try hotpatch(arguments)
            expect(applied.status, equals: 0, "\(applied)", sourceLocation: sourceLocation)
            try expect(victim.ask(), equals: "price 1007 rate 0", sourceLocation: sourceLocation)
        }

        @Test func aFileThatOthersMayWrite() throws {
            try check("everybody may write to") { _, library in chmod(library, 0o757) }
            try check("group 12345 may write to") { _, library in
                chown(library, 0, 12345)
                chmod(library, 0o775)
            }
        }

        @Test func aFileOfSomebodyElse() throws {
            try check("belongs to user 12345") { _, library in chown(library, 12345, 0) }
            try check("belongs to user 12345", owner: 65534) { _, library in chown(library, 12345, 0) }
            // A file of the process's owner, who may do to the process what he likes.
            try check(owner: 65534) { _, library in chown(library, 65534, 0) }
        }

        @Test func aFolderThatOthersMayWrite() throws {
            try check("/folder", "everybody may write to") { folder, _ in chmod(folder, 0o777) }
            try check("/folder", "belongs to user 12345") { folder, _ in chown(folder, 12345, 0) }
            // As /tmp itself.
            try check { folder, _ in chmod(folder, 0o1777) }
        }

        /// By another name, the folders are those of the file.
        @Test func aLinkFromAnotherFolder() throws {
            try check("/elsewhere", "everybody may write to") { folder, library in
                let elsewhere = folder + "/../elsewhere"
                try runTool("mkdir", elsewhere)
                chmod(elsewhere, 0o777)
                try runTool("mv", library, elsewhere + "/real.so")
                symlink("../elsewhere/real.so", library)
            }
        }
    }
}
