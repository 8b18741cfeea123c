import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// The exit code is a promise: a target that ends, or runs out of something, amid an operation.
    @Suite struct EndTests {
        /// What a library does to the process that loads it, with the exit code and what is said.
        @Test(arguments: [
            ("__builtin_trap()", false, Int32(4), "was killed by signal 4 (SIGILL) while it loaded the library"),
            ("_exit(7)", false, 4, "exited with code 7 while it loaded the library"),
            ("abort()", true, 4, "was killed by signal 6 (SIGABRT) while hotpatch_on_apply ran"),
            (
                "execl(\"/bin/sleep\",\"sleep\",\"100\",(char*)0)", true, 3,
                "sleep while hotpatch_on_apply ran. Nothing of the patch is left"
            ),
        ])
        func endsOverThePatch(how: String, inApply: Bool, code: Int32, text: String) throws {
            let shop = try Shop()
            let options = ["-DEND=\(how)"] + (inApply ? ["-DIN_APPLY"] : [])
            let result = try hotpatch(
                "apply", try Workshop.library("ending.c", options), "--pid", shop.id, "--json")
            expect(result.status, equals: code, "\(result)")
            #expect(result.errors.contains(text), "\(result)")
            expect(result.json["exit_code"], equals: .number(Int(code)))
        }

        /// A filter kills the target for what the agent needs. It was told with --allow-seccomp that it would not.
        @Test(arguments: ["mmap", "clone3", "memfd_create"])
        func killedByItsFilter(call: String) throws {
            let victim = try Victim(try Workshop.program("filtered.c"), call)
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            var before = timespec()
            var after = timespec()
            clock_gettime(CLOCK_MONOTONIC, &before)
            let result = try hotpatch("apply", library, "--pid", victim.id, "--allow-seccomp", "--timeout", "60")
            clock_gettime(CLOCK_MONOTONIC, &after)
            expect(result.status, equals: 4, "\(result)")
            #expect(result.errors.contains("process \(victim.id) was killed by signal 31 (SIGSYS) while "), "\(result)")
            #expect(result.errors.contains("filter of system calls (seccomp)"), "\(result)")
            #expect(after.tv_sec - before.tv_sec < 30, "it was noticed at once")
            #expect(!result.errors.contains("stays loaded"), "nothing is loaded in what has ended: \(result)")
        }

        /// A filter kills the agent's thread alone: that is noticed, and told, and the process runs on.
        @Test func threadKilledByAFilter() throws {
            let victim = try Victim(try Workshop.program("filtered.c"), "socketpair")
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let start = time(nil)
            let result = try hotpatch("apply", library, "--pid", victim.id, "--allow-seccomp", "--timeout", "60")
            expect(result.status, equals: 4, "\(result)")
            #expect(result.errors.contains("the agent's thread in process \(victim.id) has ended"), "\(result)")
            #expect(time(nil) - start < 30, "it was noticed at once")
            try expect(victim.ask(), equals: "price 70")
        }

        /// Strict mode allows nothing that a patch needs, whoever says so.
        @Test func strictSeccomp() throws {
            let victim = try Victim(try Workshop.program("filtered.c"), "strict")
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectRefused(
                ["apply", library, "--pid", victim.id, "--allow-seccomp"], "strict seccomp mode", maps: victim.maps)
            try expect(victim.ask(), equals: "price 70")
        }

        /// No memory left for the agent, for its thread, or for the ledger: refused at once, and nothing is changed.
        @Test(arguments: [0, 300, 9000])
        func outOfAddresses(kibibytes: Int) throws {
            var shop = try Shop(threads: 0)
            try shop.expect()
            let pages = String(decoding: try Workshop.bytes(of: "/proc/\(shop.id)/statm"), as: UTF8.self)
            let size = try #require(Int(pages.prefix { $0 != " " })) * Int(sysconf(Int32(_SC_PAGESIZE)))
            _ = try run(["prlimit", "--pid", shop.id, "--as=\(size + kibibytes << 10):"])
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let start = time(nil)
            let result = try hotpatch("apply", library, "--pid", shop.id, "--timeout", "60")
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("memory (ulimit -v"), "\(result)")
            #expect(time(nil) - start < 30, "it was noticed at once")
            try shop.expect()
            // Nothing of it is in the way of the next.
            _ = try run(["prlimit", "--pid", shop.id, "--as=unlimited:"])
            try expectDone("apply", library, "--pid", shop.id)
            try shop.expect(price: 1007)
        }

        /// No descriptor left for the library's file: refused, naming the limit, and the next one gets through.
        @Test func outOfDescriptors() throws {
            var shop = try Shop()
            try shop.expect()
            let open = try run(["ls", "/proc/\(shop.id)/fd"]).output.split(separator: "\n").compactMap { Int($0) }
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            // None may be had from the first free number on; then one, which the socket takes that the file comes through.
            for free in [0, 1] {
                let limit = try #require((0...open.count).first { !open.contains($0) }) + free
                _ = try run(["prlimit", "--pid", shop.id, "--nofile=\(limit):"])
                try expectRefused(
                    ["apply", library, "--pid", shop.id], "as many files open as it may",
                    "raise RLIMIT_NOFILE (prlimit --nofile)",
                    maps: nil)
                try expect(run(["ls", "/proc/\(shop.id)/fd"]).output.split(separator: "\n").count, equals: open.count)
                try shop.expect()
            }
            _ = try run(["prlimit", "--pid", shop.id, "--nofile=1024:"])
            try expectDone("apply", library, "--pid", shop.id)
            try shop.expect(price: 1007)
        }

        /// The ledger is a file in memory, and the process may not make files so long.
        @Test func filesOfLimitedLength() throws {
            var shop = try Shop()
            _ = try run(["prlimit", "--pid", shop.id, "--fsize=4096:"])
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let result = try hotpatch("apply", library, "--pid", shop.id)
            #expect(result.status == 2 && result.errors.contains("raise RLIMIT_FSIZE (prlimit --fsize)"), "\(result)")
            try shop.expect()
            _ = try run(["prlimit", "--pid", shop.id, "--fsize=unlimited:"])
            try expectDone("apply", library, "--pid", shop.id)
            try shop.expect(price: 1007)
        }

        /// The time counts from the beginning, and ends before anything is begun for which none is left.
        @Test func outOfTime() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--timeout", "0.001"], "the time was over", "longer timeout",
                maps: shop.victim.maps)
            try expectDone("apply", library, "--pid", shop.id)
            try expectRefused(
                ["revert", "--all", "--pid", shop.id, "--timeout", "0.001"], "the time was over", maps: shop.victim.maps
            )
            try shop.expect(price: 1007)
        }

        /// What no thread can be held long enough for is given up in time, with a pause of a millisecond allowed for all holds:
        /// attempts without number once overflowed a counter.
        @Test func keepsMaximumPauseAndTimeout() throws {
            let victim = try Victim(try Workshop.program("vforker.c"))
            try victim.waitForState(["D"])
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let start = time(nil)
            let result = try hotpatch("apply", library, "--pid", victim.id, "--timeout", "1", "--max-pause", "1")
            expect(result.status, equals: 2, "\(result)")
            #expect(time(nil) - start < 30)
            try expect(victim.ask(), equals: "price 70")
        }
    }
}
