import CPatchCore
import HotpatchExpectations
import Testing

/// The thunk of async functions, for both architectures on every host.
@Suite struct AsyncThunkTests {
    private let thunk = hp_async_thunk(
        replacement: 0x1111_2222_3333_4444, context_size: 0x1234, allocate: 0x5555_6666_7777_8888,
        deallocate: 0x9999_aaaa_bbbb_cccc)

    private func encode(_ arch: hp_arch) -> [UInt8] {
        var (thunk, out) = (thunk, [UInt8](repeating: 0xa5, count: Int(HP_ASYNC_THUNK_CAPACITY) + 16))
        let length = hp_encode_async_thunk(arch, &thunk, &out)
        #expect(out[length...].allSatisfy { $0 == 0xa5 })
        return Array(out[..<length])
    }

    private func instructions(_ arch: hp_arch) -> [String] {
        let code = encode(arch).dropLast(Int(HP_ASYNC_THUNK_DATA))
        return disassemble(Array(code), at: 0x1000, arch: arch).split(separator: ";").map {
            $0.split(separator: " ").joined(separator: " ")
        }
    }

    @Test func unknown() { #expect(encode(hp_arch(rawValue: 77)).isEmpty) }

    @Test(arguments: [HP_ARCH_X86_64.rawValue, HP_ARCH_ARM64.rawValue]) func words(_ raw: UInt32) {
        let bytes = encode(hp_arch(rawValue: raw))
        let words = bytes.suffix(32).withUnsafeBytes { bytes in
            (0..<4).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }
        }
        expect(words, equals: [0x1111_2222_3333_4444, 0x1234, 0x5555_6666_7777_8888, 0x9999_aaaa_bbbb_cccc])
        expect(bytes.count % 8, equals: 0)
    }

    /// Whatever is stored in one half is loaded where both end, from the same place; the context's register in either half.
    @Test func x86_64() {
        let all = instructions(HP_ARCH_X86_64)
        let halves = all.split(separator: "endbr64")
        expect(halves.count, equals: 2)
        func moves(_ half: ArraySlice<String>, stores: Bool) -> Set<String> {
            Set(
                half.filter { $0.hasPrefix("mov") }.compactMap { text in
                    let operands = text.drop { $0 != " " }.split(separator: ",").map {
                        $0.split(separator: " ").joined(separator: " ")
                    }
                    let places = operands.map { $0.contains("[rsp") || $0.contains("[rbp") }
                    guard places == (stores ? [true, false] : [false, true]) else { return nil }
                    return stores ? "\(operands[1]) \(operands[0])" : "\(operands[0]) \(operands[1])"
                })
        }
        let passing = moves(halves[0], stores: false).subtracting(["rcx qword ptr [rbp - 0x48]"])
        expect(passing.count, equals: 16)
        expect(moves(halves[0], stores: true), equals: passing.union(["r14 qword ptr [rbp - 0x48]"]))
        expect(moves(halves[1], stores: true), equals: passing.union(["rax qword ptr [rbp - 0x48]"]))
        expect(moves(halves[1], stores: false), equals: ["r14 qword ptr [rbp - 0x48]"])
        expect(all.filter { $0.hasPrefix("call") }.count, equals: 2)
        // The words lie at 0x1150: replacement, size, swift_task_alloc, swift_task_dealloc.
        for text in [
            "mov rdi, qword ptr [rip + 0xf7]", "call qword ptr [rip + 0xf9]", "lea rcx, [rip + 0x59]",
            "mov r11, qword ptr [rip + 0xcd]", "call qword ptr [rip + 0x34]",
        ] { #expect(all.contains(text), "\(text)") }
        expect(all.filter { $0 == "leave" || $0 == "jmp r11" }, equals: ["leave", "jmp r11"])
    }

    @Test func arm64() {
        let all = instructions(HP_ARCH_ARM64)
        let halves = all.split { $0 == "bti c" || $0 == "hint #0x22" }
        expect(halves.count, equals: 2)
        func moves(_ half: ArraySlice<String>, _ names: [String]) -> Set<String> {
            Set(
                half.filter { text in names.contains { text.hasPrefix($0 + " ") } && text.contains("[sp, #") }
                    .map { String($0.drop { $0 != " " }) })
        }
        let passing = moves(halves[0], ["ldp"])
        expect(passing.count, equals: 9)
        expect(moves(halves[0], ["stp"]).subtracting([" x29, x30, [sp, #-0xf0]!"]), equals: passing)
        expect(moves(halves[1], ["stp"]).subtracting([" x29, x30, [sp, #-0xf0]!"]), equals: passing)
        #expect(moves(halves[0], ["str"]) == [" x22, [sp, #0x60]"] && moves(halves[0], ["ldr"]) == [" x9, [sp, #0x60]"])
        #expect(moves(halves[1], ["str"]) == [" x9, [sp, #0x60]"] && moves(halves[1], ["ldr"]) == [" x22, [sp, #0x60]"])
        #expect(all.filter { $0 == "blr x16" }.count == 2 && all.filter { $0 == "br x16" }.count == 1)
        // The words lie at 0x10d0.
        for text in [
            "ldr x0, #0x10d8", "ldr x16, #0x10e0", "adr x10, #0x1080", "ldr x16, #0x10d0", "ldr x16, #0x10e8",
            "b #0x1054",
        ] { #expect(all.contains(text) || all.contains(text.replacing("#", with: "")), "\(text)") }
    }
}
