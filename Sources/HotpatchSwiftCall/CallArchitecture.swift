/// The registers of Swift's calling convention on a machine, in the order in which they are used. A plan for either machine can be
/// computed on any.
public enum CallArchitecture: String, Sendable, CaseIterable {
    /// The System V psABI of x86-64, and what Swift adds to it.
    case x8664 = "x86_64"
    /// AAPCS64, and what Swift adds to it.
    case arm64

    #if arch(x86_64)
        /// That of this process.
        public static let current = x8664
    #else
        /// That of this process.
        public static let current = arm64
    #endif

    /// General registers that hold arguments.
    var generals: [String] {
        switch self {
        case .x8664: ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
        case .arm64: ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"]
        }
    }

    /// General registers that hold results; those of async functions come as arguments.
    var resultGenerals: [String] {
        switch self {
        case .x8664: ["rax", "rdx", "rcx", "r8"]
        case .arm64: ["x0", "x1", "x2", "x3"]
        }
    }

    /// Vector registers are numbered from 0, for arguments and for results.
    var vector: String { self == .x8664 ? "xmm" : "v" }
    var context: String { self == .x8664 ? "r13" : "x20" }
    var indirectResult: String { self == .x8664 ? "rax" : "x8" }

    var generalCount: Int { self == .x8664 ? 6 : 8 }
    static let vectorCount = 8

    /// Bytes that an async function takes off the stack for so many bytes of arguments. On x86_64 they and the return address
    /// are a multiple of 16 (LLVM, X86TargetLowering::GetAlignedArgumentStackSize), on arm64 they are.
    func popped(_ stackSize: Int) -> Int {
        self == .x8664 ? (stackSize + 8).roundedUp(to: 16) - 8 : stackSize.roundedUp(to: 16)
    }
}
