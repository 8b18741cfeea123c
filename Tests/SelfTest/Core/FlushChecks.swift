#if arch(arm64)
    import CPatchCore
    import CHotpatchVictims
    import Glibc
    import HotpatchTestSupport

    /// Code written elsewhere than where it runs: only a flush makes it run. Most machines, and emulators with ordinary writes,
    /// forgive a missing one; qemu's user mode from version 10 on does not forgive these two.
    var flushChecks: [Check] {
        [
            Check(name: "a detour written through another mapping runs after a flush", run: throughAnotherMapping),
            Check(name: "a detour written through /proc/self/mem runs after a flush", run: throughOwnMemory),
        ]
    }

    private typealias Function = @convention(c) () -> Int32

    /// mov w0, #value; ret
    private func returning(_ value: UInt32) -> [UInt32] { [0x5280_0000 | value << 5, 0xd65f_03c0] }

    /// A function, its replacement, and the stub between: one page, with the slot in the next.
    private struct Subject {
        static let (entry, replacement, stub, slot) = (0, 0x100, 0x200, 0x1_0000)
        let code: UnsafeMutableRawPointer

        var function: Function { unsafeBitCast(code + Self.entry, to: Function.self) }

        func relocation() throws -> hp_relocation {
            var out = hp_relocation()
            var refusal = hp_refusal()
            let entry = UInt64(UInt(bitPattern: code))
            var request = hp_relocation_request(
                code: UnsafePointer(code.assumingMemoryBound(to: UInt8.self)), code_length: 8, function_length: 8,
                entry: entry, stub: entry + UInt64(Self.stub), slot: entry + UInt64(Self.slot))
            try expect(hp_relocate(HP_ARCH_ARM64, &request, 0, &out, &refusal), "\(refusal.reason)")
            return out
        }

        /// Lays down everything, then patches and reverts again and again, without a flush and with one.
        /// - Parameter write: writes bytes for where `code` runs, at an offset.
        func check(_ write: (_ bytes: [UInt8], _ offset: Int) throws -> Void) throws {
            func flush(_ offset: Int, _ count: Int) { victim_flush_code(code + offset, count) }
            func put(_ words: [UInt32], _ offset: Int) throws {
                try write(words.withUnsafeBytes { Array($0) }, offset)
                flush(offset, words.count * 4)
            }
            try put(returning(1), Self.entry)
            try put(returning(2), Self.replacement)
            try expect(function() == 1, "the function itself")
            let relocation = try relocation()
            let stub = withUnsafeBytes(of: relocation.stub) { Array($0.prefix(Int(relocation.stub_length))) }
            let detour = withUnsafeBytes(of: relocation.detour) { Array($0.prefix(Int(relocation.detour_length))) }
            let expected = withUnsafeBytes(of: relocation.expected) { Array($0.prefix(Int(relocation.detour_length))) }
            try write(stub, Self.stub)
            flush(Self.stub, stub.count)
            let target = UInt64(UInt(bitPattern: code + Self.replacement))
            try write(withUnsafeBytes(of: target) { Array($0) }, Self.slot)

            let rounds = 50
            var stale = 0
            for _ in 0..<rounds {
                try write(detour, Self.entry)
                if function() == 1 { stale += 1 }
                flush(Self.entry, detour.count)
                try expect(function() == 2, "the detour does not run")
                try write(expected, Self.entry)
                if function() == 2 { stale += 1 }
                flush(Self.entry, expected.count)
                try expect(function() == 1, "the function does not run again")
            }
            say("    without a flush, \(stale) of \(2 * rounds) calls ran the old code")
        }
    }

    private func throughAnotherMapping() throws {
        let size = 0x2_0000
        let file = victim_memory_file()
        try expect(file >= 0 && ftruncate(file, size) == 0, "memfd_create: errno \(errno)")
        defer { close(file) }
        let code = mmap(nil, size, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0)
        let alias = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        guard let code, let alias, code != MAP_FAILED, alias != MAP_FAILED else {
            throw TestFailure("mmap: errno \(errno)")
        }
        defer {
            munmap(code, size)
            munmap(alias, size)
        }
        try Subject(code: code).check { bytes, offset in
            (alias + offset).copyMemory(from: bytes, byteCount: bytes.count)
        }
    }

    private func throughOwnMemory() throws {
        let size = 0x2_0000
        let code = mmap(nil, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let code, code != MAP_FAILED else { throw TestFailure("mmap: errno \(errno)") }
        defer { munmap(code, size) }
        let file = open("/proc/self/mem", O_RDWR | O_CLOEXEC)
        try expect(file >= 0, "/proc/self/mem: errno \(errno)")
        defer { close(file) }
        try Subject(code: code).check { bytes, offset in
            let place = off_t(Int(bitPattern: code + offset))
            try expect(pwrite(file, bytes, bytes.count, place) == bytes.count, "/proc/self/mem: errno \(errno)")
        }
    }
#endif
