import HotpatchMemory
import HotpatchPlan
import HotpatchTestSupport

/// "55 48 89 e5" → bytes.
func hex(_ text: String) -> [UInt8] { text.split(separator: " ").map { UInt8($0, radix: 16)! } }

/// push rbp; mov rbp, rsp; push r15; ret
let prologue = hex("55 48 89 e5 41 57 c3")

extension Detour {
    /// The entry is 0x401000, the stub 0x500000, the slot 0x600000.
    init(
        code: [UInt8] = prologue, functionLength: Int? = nil, architecture: Architecture = .x86_64,
        entry: Address = Address(0x401000), stub: Address = Address(0x500000),
        tables: any MemoryReader = BytesMemory(base: .null, contents: [])
    ) throws(Refusal) {
        try self.init(
            architecture: architecture, code: code, functionLength: functionLength ?? code.count, entry: entry,
            stub: stub, slot: stub + 0x100000, tables: tables)
    }
}
