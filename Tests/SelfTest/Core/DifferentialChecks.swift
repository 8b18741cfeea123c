#if arch(arm64)
    import CPatchCore
    import CHotpatchVictims
    import Glibc
    import HotpatchTestSupport

    /// Random prologues, run as they are and run moved, with the detour in place, through both doors: all registers, the flags
    /// and the memory must agree.
    ///
    /// A wrong stub most likely ends the process; the seed is printed before.
    var differentialChecks: [Check] {
        [
            Check(name: "a moved prologue does what the original does", run: movedPrologues),
            Check(name: "a loop at the entry stays in the copy", run: loopsAtTheEntry),
            Check(name: "a recursion reaches the replacement", run: recursion),
            Check(name: "a guarded page tells a wrong jump", run: guardedPages),
        ]
    }

    private func hex(_ code: [UInt32]) -> String { code.map { String($0, radix: 16) }.joined(separator: " ") }

    private func movedPrologues() throws {
        var generator = SeededGenerator(seed: testSeed())
        let count = getenv("PROGRAMS").flatMap { Int(String(cString: $0)) } ?? 2000
        let machine = try Machine()
        var moved = [Int](repeating: 0, count: Machine.places.count)
        var refused: [UInt32: Int] = [:]
        var resumed = 0
        for _ in 0..<count {
            let program = Program(using: &generator)
            let registers = Registers(using: &generator)
            let index = Machine.places.indices.randomElement(using: &generator)!
            let place = Machine.places[index]
            machine.load(program.code)
            guard let relocation = machine.relocate(program.code, to: place) else {
                refused[machine.refusal.reason.rawValue, default: 0] += 1
                continue
            }
            let pairs = withUnsafeBytes(of: relocation.pc_map) { bytes in
                Array(bytes.bindMemory(to: hp_pc_pair.self).prefix(Int(relocation.pc_count)))
            }
            let pair = program.startsAnywhere && !program.signs ? pairs.randomElement(using: &generator) : nil
            var what: String { "\(place.name): \(hex(program.code))" }

            let original = machine.run(at: Machine.entry, registers, indirect: program.isLandingPad)
            let continued = pair.map {
                machine.run(at: Machine.entry + Int($0.entry_offset), registers, indirect: false)
            }
            machine.patch(relocation, at: place)
            let copy = machine.run(
                at: place.stub + Int(relocation.original_offset), registers, indirect: program.isLandingPad)
            try expect(original.0 == copy.0, "\(what)\n\(original.0.words)\n\(copy.0.words)")
            try expect(original.1 == copy.1, "memory of \(what)")

            let replaced = machine.run(at: Machine.replacement, registers, indirect: program.isLandingPad)
            let entered = machine.run(at: Machine.entry, registers, indirect: program.isLandingPad)
            try expect(entered.0 == replaced.0, "replaced: \(what)\n\(entered.0.words)\n\(replaced.0.words)")

            if let pair, let continued {
                let there = machine.run(at: place.stub + Int(pair.stub_offset), registers, indirect: false)
                try expect(
                    continued.0 == there.0 && continued.1 == there.1, "from +\(pair.entry_offset) of \(what)")
                resumed += 1
            }
            moved[index] += 1
        }
        for (place, count) in zip(Machine.places, moved) { say("    \(place.name): \(count) moved") }
        for (reason, count) in refused.sorted(by: { $0.key < $1.key }) {
            say("    refused \(count): \(String(cString: hp_reason_text(hp_reason(reason))))")
        }
        say("    \(resumed) continued in the middle; pages guarded: \(Machine.isGuarding)")
        try expect(moved.reduce(0, +) > count / 2, "most can be moved")
    }

    private func loopsAtTheEntry() throws {
        let machine = try Machine()
        let loops: [(code: [UInt32], places: [String])] = [
            // subs x1, x1, #1; b.ne .-4; add x0, x0, #1; ret
            ([0xf100_0421, 0x54ff_ffe1, 0x9100_0400, 0xd65f_03c0], ["page", "far", "anywhere"]),
            // paciasp; sub x1, x1, #1; cbnz x1, .-4; autiasp; ret
            ([0xd503_233f, 0xd100_0421, 0xb5ff_ffe1, 0xd503_23bf, 0xd65f_03c0], ["page", "far"]),
            // bti c; sub x1, x1, #1; nop; tbz x1, #63, .-12; ret
            ([0xd503_245f, 0xd100_0421, 0xd503_201f, 0xb6ff_ffa1, 0xd65f_03c0], ["far"]),
            // cbz x1, .; add x0, x0, #1; ret
            ([0xb400_0001, 0x9100_0400, 0xd65f_03c0], ["near", "middle", "page"]),
        ]
        for (code, names) in loops {
            for place in Machine.places where names.contains(place.name) {
                machine.load(code)
                var registers = Registers()
                registers.words[1] = 1000
                let original = machine.run(at: Machine.entry, registers, indirect: false)
                guard let relocation = machine.relocate(code, to: place) else {
                    throw TestFailure("\(place.name): \(hex(code)) is refused: \(machine.refusal.reason)")
                }
                machine.patch(relocation, at: place)
                let copy = machine.run(at: place.stub + Int(relocation.original_offset), registers, indirect: false)
                try expect(original == copy, "\(place.name): \(hex(code))")
            }
        }
    }

    private func recursion() throws {
        let machine = try Machine()
        // mov x21, x30; bl .-4; add x0, x0, #16; ret x21: only a moved `bl`, or one in the body, gets here twice
        let body: [UInt32] = [0xaa1e_03f5, 0x97ff_ffff, 0x9100_4000, 0xd65f_02a0]
        for place in Machine.places.prefix(3) {
            machine.load(body)
            guard let relocation = machine.relocate(body, to: place) else {
                throw TestFailure("\(place.name): refused: \(machine.refusal.reason)")
            }
            machine.patch(relocation, at: place)
            let left = machine.run(
                at: place.stub + Int(relocation.original_offset), Registers(), indirect: false)
            try expect(left.0.words[0] == 17, "\(place.name): x0 is \(left.0.words[0])")
        }
    }

    /// Shows that the page of entries is guarded, so that the checks above can fail.
    private func guardedPages() throws {
        guard Machine.isGuarding else { return say("    this machine has no guarded pages") }
        let machine = try Machine()
        machine.load([0xd503_201f, 0xd65f_03c0])  // nop; ret
        _ = machine.run(at: Machine.entry, Registers(), indirect: false)
        let child = victim_fork()
        if child == 0 {
            _ = machine.run(at: Machine.entry, Registers(), indirect: true)
            _exit(0)
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        try expect(status & 0x7f == SIGILL, "an indirect call of what is no landing pad ends with status \(status)")
    }
#endif
