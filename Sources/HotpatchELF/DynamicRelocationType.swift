import CHotpatchElf

/// What a dynamic linker does for a type of relocation: the types that glibc's knows of libraries, no others (psABI x86-64 §4.4,
/// AArch64 ELF §5.7). R_*_COPY is a program's.
struct DynamicRelocationType: Sendable {
    enum Effect: Sendable {
        case nothing
        /// The word holds an address of the library.
        case relative
        /// The word holds a symbol's address.
        case symbol
        /// The word holds a function's address, to be jumped to.
        case function
        /// The word holds the size of a symbol.
        case size
        /// The word holds what the resolver at the addend returns.
        case resolver
        /// What thread-local memory is found by.
        case threadLocal
    }
    let effect: Effect
    /// Bytes that are written.
    let size: UInt64

    private init(_ effect: Effect, _ size: UInt64 = 8) {
        self.effect = effect
        self.size = size
    }

    /// Nil of a type that the machine's dynamic linker refuses.
    init?(_ type: Int32, machine: UInt16) {
        let row = machine == UInt16(EM_AARCH64) ? Self.arm64(type) : Self.x86_64(type)
        guard let row else { return nil }
        self = row
    }

    // swift-format-ignore: AlwaysUseLowerCamelCase
    private static func x86_64(_ type: Int32) -> Self? {
        switch type {
        case R_X86_64_NONE: Self(.nothing, 0)
        case R_X86_64_RELATIVE: Self(.relative)
        case R_X86_64_64, R_X86_64_GLOB_DAT: Self(.symbol)
        case R_X86_64_JUMP_SLOT: Self(.function)
        case R_X86_64_SIZE64: Self(.size)
        case R_X86_64_SIZE32: Self(.size, 4)
        case R_X86_64_IRELATIVE: Self(.resolver)
        case R_X86_64_DTPMOD64, R_X86_64_DTPOFF64, R_X86_64_TPOFF64: Self(.threadLocal)
        case R_X86_64_TLSDESC: Self(.threadLocal, 16)
        default: nil
        }
    }

    private static func arm64(_ type: Int32) -> Self? {
        switch type {
        case R_AARCH64_NONE: Self(.nothing, 0)
        case R_AARCH64_RELATIVE: Self(.relative)
        case R_AARCH64_ABS64, R_AARCH64_GLOB_DAT: Self(.symbol)
        case R_AARCH64_JUMP_SLOT: Self(.function)
        case R_AARCH64_IRELATIVE: Self(.resolver)
        case R_AARCH64_TLS_DTPMOD, R_AARCH64_TLS_DTPREL, R_AARCH64_TLS_TPREL: Self(.threadLocal)
        case R_AARCH64_TLSDESC: Self(.threadLocal, 16)
        default: nil
        }
    }
}
