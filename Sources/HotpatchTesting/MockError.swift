import Hotpatch

/// Why a function cannot be mocked. `description` reads `what. why. try this.`
public struct MockError: Error, Hashable, Sendable {
    /// What is the matter, for a program.
    public let code: Code
    /// The function, by its readable name; of a recorder that is for another type, nil.
    public let function: String?
    /// For people: `what. why. try this.`
    public let message: String

    /// What is the matter. Others may be added.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// Its name, which stays the same from version to version.
        public let rawValue: String

        /// Makes the code that has a name.
        /// - Parameter rawValue: the name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The function is patched for the whole process: its calls would lead there, or that patch would be left out.
        public static let alreadyPatched = Self(rawValue: "alreadyPatched")
        /// The recorder is for functions of another type.
        public static let recorderType = Self(rawValue: "recorderType")
        /// The function's callers rely on vector registers that the search for a mock does not keep.
        public static let variantCall = Self(rawValue: "variantCall")
        /// The function never returns, and the mock would.
        public static let neverReturns = Self(rawValue: "neverReturns")
    }
}

extension MockError: CustomStringConvertible {
    /// The message.
    public var description: String { message }
}

extension MockError {
    static func alreadyPatched(function: String, by other: String) -> MockError {
        MockError(
            code: .alreadyPatched, function: function,
            message:
                "\(function) is patched for the whole process, and \(other) runs. Revert that first, or use withPatch.")
    }

    static func recorder(_ type: String, function: String) -> MockError {
        MockError(
            code: .recorderType, function: nil,
            message: "the recorder is for \(type), and the mock is of type \(function). Make it with the mock's type.")
    }

    static func variantCall(function: String) -> MockError {
        MockError(
            code: .variantCall, function: function,
            message:
                "\(function) cannot be mocked for one task. Its callers rely on vector or SVE registers that other functions do not "
                + "keep (a variant of the procedure call standard). Use Patch.replace, with a C function of the same convention."
        )
    }

    static func neverReturns(function: String, mock type: String) -> MockError {
        MockError(
            code: .neverReturns, function: function,
            message:
                "\(function) never returns, and \(type) does. Its callers have no code to go on with. Let the mock be of a type that "
                + "ends with -> Never; or test what ends a process with an exit test of Swift Testing.")
    }

    /// Functions of C libraries that never return: behind a call of one, callers have no code.
    private static let endless: Set<String> = [
        "abort", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit", "thrd_exit", "longjmp", "_longjmp",
        "siglongjmp",
        "__longjmp_chk", "__assert_fail", "__assert_perror_fail", "__assert", "__stack_chk_fail", "__fortify_fail",
        "__chk_fail", "err", "errx", "verr", "verrx", "__cxa_throw", "__cxa_rethrow", "__cxa_bad_cast",
        "__cxa_pure_virtual", "_Unwind_Resume",
    ]

    /// Refuses a C function that returns in the place of one that does not.
    static func refuseReturning<F>(from function: FunctionSymbol, as type: F.Type) throws(MockError) {
        guard !function.image.isMainProgram, endless.contains(function.name), !FunctionConvention.neverReturns(type)
        else { return }
        throw .neverReturns(function: function.name, mock: "\(type)")
    }
}
