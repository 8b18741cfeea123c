#if arch(arm64)
    import CPatch
    import HotpatchTestSupport

    /// What runs while text may not be executable lies in pages of its own: a branch out of them may end in a page that is not.
    /// Compilers for this machine call libgcc for an atomic operation unless told not to.
    let ownPagesChecks: [Check] = [
        Check(name: "the code that runs while text is written branches nowhere else") {
            let last: @convention(c) (UInt64) -> Bool = hp_is_own_code
            // Itself the last of it, and short; the rest of its page may not be there.
            let end = UInt64(UInt(bitPattern: unsafeBitCast(last, to: Int.self)))
            var address = end
            try expect(hp_is_own_code(address), "hp_is_own_code is not among it")
            while hp_is_own_code(address - 4) { address -= 4 }
            var (branches, calls) = (0, 0)
            while address < end {
                // b and bl: a displacement of 26 bits, in words; blr; the system calls are not looked at.
                let word = UnsafePointer<UInt32>(bitPattern: UInt(address))!.pointee
                if word >> 26 & 31 == 5 {
                    let target = address &+ UInt64(bitPattern: Int64(Int32(bitPattern: word << 6) >> 6) * 4)
                    let (from, to) = (String(address, radix: 16), String(target, radix: 16))
                    try expect(hp_is_own_code(target), "at \(from): a branch to \(to)")
                    branches += 1
                }
                if word & 0xffff_fc1f == 0xd63f_0000 { calls += 1 }
                address += 4
            }
            try expect(branches > 0, "there is no branch at all")
            try expect(calls == 0, "\(calls) indirect calls")
        }
    ]
#endif
