import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What is refused: with exit code 2 and the reason, and the process goes on as if nothing had been tried.
    @Suite struct RefusalTests {
        private func price() throws -> String { try Workshop.library("price.c", ["-DPRICE=1000"]) }

        // MARK: Processes

        @Test func noSuchProcess() throws {
            // A pid that was ours a moment ago.
            let pid = "\(try ended())"
            try expectRefused(["apply", price(), "--pid", pid], "there is no process \(pid)", maps: nil)
            try expectRefused(["revert", "--all", "--pid", pid], "there is no process \(pid)", maps: nil)
            try expectRefused(["list", "--pid", pid], "there is no process \(pid)", maps: nil)
            try expectRefused(["symbols", "--pid", pid, "main"], "there is no process \(pid)", maps: nil)
            try expectRefused(["apply", price(), "--pid", "0"], "there is no process 0", maps: nil)
            try expectRefused(["apply", price(), "--pid=-5"], "-5", maps: nil)
        }

        private func ended() throws -> pid_t {
            let pid = try spawn(["true"])
            reap(pid)
            return pid
        }

        @Test func zombie() throws {
            let pid = try spawn(["true"])
            defer { reap(pid) }
            var info = siginfo_t()
            waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT)
            try expectRefused(["apply", price(), "--pid", "\(pid)"], "is a zombie", "\(getpid())", maps: nil)
        }

        @Test func aThreadIsNoProcess() throws {
            let shop = try Shop()
            let tids = try run(["ls", "/proc/\(shop.id)/task"]).output.split(separator: "\n").map(String.init)
            let thread = try #require(tids.first { $0 != shop.id })
            try expectRefused(["apply", price(), "--pid", thread], "process \(thread)", maps: shop.victim.maps)
        }

        @Test func stopped() throws {
            var shop = try Shop()
            kill(shop.victim.pid, SIGSTOP)
            try shop.victim.waitForState(["T"])
            try expectRefused(
                ["apply", price(), "--pid", shop.id], "stopped by job control", "kill -CONT", maps: shop.victim.maps)
            // Looking is allowed.
            try expect(expectDone("list", "--pid", shop.id).output, equals: "process \(shop.id) has no patches\n")
            try expect(shop.victim.state(), equals: "T", "it is still stopped")
            kill(shop.victim.pid, SIGCONT)
            try shop.expect()
        }

        @Test func traced() throws {
            var shop = try Shop()
            let tracer = try Victim(try Workshop.build("tracer.c"), shop.id)
            try expectRefused(
                ["apply", price(), "--pid", shop.id], "is being traced by tracer", "(pid \(tracer.id))",
                maps: shop.victim.maps)
            expect(tracer.finish(), equals: 0)
            try shop.expect()
            try expectDone("apply", price(), "--pid", shop.id)
            try shop.expect(price: 1007)
        }

        /// A vfork parent cannot stop before its child is gone: the command gives up in time.
        @Test func inVfork() throws {
            let victim = try Victim(try Workshop.program("vforker.c"))
            try victim.waitForState(["D"])
            var before = timespec()
            var after = timespec()
            clock_gettime(CLOCK_MONOTONIC, &before)
            let result = try hotpatch("apply", price(), "--pid", victim.id, "--timeout", "1")
            clock_gettime(CLOCK_MONOTONIC, &after)
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("did not stop in time") && result.errors.contains("vfork"), "\(result)")
            #expect(after.tv_sec - before.tv_sec < 30)
            try expect(victim.ask(), equals: "price 70")
            expect(victim.finish(), equals: 0)
        }

        @Test func notPermitted() throws {
            var shop = try Shop()
            // As root, try as somebody else; as somebody else, the first process is root's.
            let user: Int? = getuid() == 0 ? 65534 : nil
            let pid = getuid() == 0 ? shop.id : "1"
            let result = try hotpatch(["apply", price(), "--pid", pid], asUser: user)
            expect(result.status, equals: 2, "\(result)")
            #expect(
                result.errors.contains("may not be traced") && result.errors.contains("CAP_SYS_PTRACE"), "\(result)")
            #expect(result.errors.contains("user 0"), "\(result)")
            for command in [["list", "--pid", pid], ["revert", "--all", "--pid", pid], ["symbols", "--pid", pid]] {
                let result = try hotpatch(command, asUser: user)
                expect(result.status, equals: 2, "\(command): \(result)")
                #expect(
                    result.errors.contains("ermission denied") || result.errors.contains("may not"),
                    "\(command): \(result)")
                #expect(result.errors.contains("root"), "\(command): \(result)")
            }
            try shop.expect()
        }

        @Test func seccomp() throws {
            var shop = try Shop(threads: 1, "seccomp")
            try expectRefused(
                ["apply", price(), "--pid", shop.id], "seccomp mode 2", "--allow-seccomp", maps: shop.victim.maps)
            try expectDone("apply", price(), "--pid", shop.id, "--allow-seccomp")
            try shop.expect(price: 1007)
            try expect(hotpatch("revert", "--all", "--pid", shop.id).status, equals: 2)
            try expectDone("revert", "--all", "--pid", shop.id, "--allow-seccomp")
            try shop.expect()
        }

        @Test(arguments: [["-static"], ["-static-pie"]])
        func staticallyLinked(how: [String]) throws {
            var shop = try Shop(built: how)
            try expectRefused(["apply", price(), "--pid", shop.id], "statically linked", maps: shop.victim.maps)
            try shop.expect()
        }

        @Test func musl() throws {
            // The kernel's headers are not among musl's own.
            let headers = ["-idirafter/usr/include", "-idirafter/usr/include/x86_64-linux-gnu"]
            let victim = try Victim(
                try Workshop.build("shop.c", ["-pthread", "-rdynamic"] + headers, with: "musl-gcc"), "2")
            try expectRefused(["apply", price(), "--pid", victim.id], "musl", maps: victim.maps)
            #expect(try victim.ask().hasPrefix("price 70 "))
        }

        @Test func thirtyTwoBits() throws {
            let victim = try Victim(
                try Workshop.build(
                    "tiny32.c",
                    ["-m32", "-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector"]))
            try expectRefused(["apply", price(), "--pid", victim.id], "32-bit", maps: victim.maps)
            expect(victim.finish(), equals: 0)
        }

        @Test func itself() throws {
            // `sh -c 'exec …'` keeps the pid: the command is asked to patch itself.
            let library = try price()
            let result = try run(["sh", "-c", "exec \(products)/swift-hotpatch apply \(library) --pid $$"])
            #expect(result.status == 2 && result.errors.contains("itself"), "\(result)")
        }

        /// Its only thread may be in the allocator whenever it is stopped: under which name, nobody can tell.
        @Test func allocatesOnItsOwn() throws {
            let program = try Workshop.program("allocator.c", ["-O2", "-Wno-error=stringop-overflow"])
            let busy = try Victim(program)
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectRefused(
                ["apply", library, "--pid", busy.id, "--timeout", "2"], "perhaps in the process's own allocator",
                maps: nil)
            try expect(busy.ask(), equals: "price 70")
            // A thread that merely waits is borrowed.
            let waiting = try Victim(program, "waits")
            try expectDone("apply", library, "--pid", waiting.id)
            try expect(waiting.ask(), equals: "price 1007")
            expect(waiting.finish(), equals: 0)
        }

        // MARK: Libraries

        @Test func notALibrary() throws {
            var shop = try Shop()
            let library = try price()
            let bytes = try Workshop.bytes(of: library)
            var arm = bytes
            arm[18] = 183  // e_machine: EM_AARCH64
            var class32 = bytes
            class32[4] = 1  // e_ident[EI_CLASS]
            let rows: [(path: String, reason: String)] = [
                (try Workshop.directory + "/nowhere.so", "No such file"),
                (try Workshop.directory, "is not a regular file"),
                (try Workshop.file("text.so", Array("#include <stdio.h>\n".utf8)), "ELF header"),
                (try Workshop.file("empty.so", []), "the file is empty"),
                (try Workshop.file("short.so", Array(bytes[..<40])), "short.so"),
                (try Workshop.file("half.so", Array(bytes[..<(bytes.count / 2)])), "half.so"),
                (try Workshop.file("arm.so", arm), "built for"),
                (try Workshop.file("32.so", class32), "32"),
                (try Workshop.build("price.c", ["-DPRICE=1000", "-c"]), "object file"),
                (try Workshop.program("load.c", ["-O2", "-no-pie"]), "is an executable"),
                (try Workshop.program("load.c", ["-O2"]), "is an executable"),
                ("/dev/null", "is not a regular file"),
            ]
            for (path, reason) in rows {
                try expectRefused(["apply", path, "--pid", shop.id], reason, path, maps: shop.victim.maps)
            }
            try shop.expect()
        }

        /// Any one byte of the headers broken: it may be applied or refused, but nobody dies of it.
        @Test func brokenHeaders() throws {
            var shop = try Shop()
            let bytes = try Workshop.bytes(of: try price())
            for offset in stride(from: 5, to: 64 + 56 * 4, by: 6) {
                var broken = bytes
                broken[offset] = 0xff &- broken[offset]
                let path = try Workshop.file("broken.so", broken)
                let result = try hotpatch("apply", path, "--pid", shop.id, "--dry-run")
                #expect(result.status == 0 || result.status == 2, "byte \(offset): \(result)")
            }
            try shop.expect()
        }

        /// What only the loader of the target can know.
        @Test func refusedByTheLoader() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-DTLS", "-ftls-model=initial-exec"])
            let result = try hotpatch("apply", library, "--pid", shop.id)
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("Its loader says: cannot allocate memory in static TLS block"), "\(result)")
            #expect(try !shop.victim.maps().contains(library))
            try shop.expect()
        }

        @Test func unresolved() throws {
            var shop = try Shop()
            try expectRefused(
                ["apply", try Workshop.library("price.c", ["-DMISSING"]), "--pid", shop.id],
                "needs symbols that process \(shop.id) does not have: nowhere", maps: shop.victim.maps)
            _ = try Workshop.library("rate.c", ["-DNAME=first_rate", "-DFACTOR=2"], as: "libgone.so")
            let library = try Workshop.library(
                "price.c", ["-DPRICE=1", "-Wl,--no-as-needed", "-L\(try Workshop.directory)", "-lgone"])
            unlink(try Workshop.directory + "/libgone.so")
            try expectRefused(
                ["apply", library, "--pid", shop.id], "could not load: libgone.so", maps: shop.victim.maps)
            try shop.expect()
        }
    }
}
