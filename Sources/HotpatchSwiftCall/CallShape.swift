/// What a function's symbol decides about a call, and its type does not.
public struct CallShape: Hashable, Sendable {
    /// What the first parameter of the function type is to the function.
    package enum SelfConvention: Hashable, Sendable {
        /// A parameter like the others: the function has no self.
        case none
        case borrowed
        /// The `self` of a mutating method or a setter.
        case `inout`
        case consuming
        /// The `self` of a static or class method, or of an initialiser.
        case metatype
        /// A method in a protocol extension borrows it. The closure takes an existential; the function takes the value in it, its type
        /// and its witness table.
        case opened
    }

    package var selfConvention: SelfConvention
    /// Bit n: parameter n of the function type, self not among them, is handed over to the function, whatever the type says. So
    /// are all of initialisers and setters.
    package var ownedParameters: UInt32

    package init(self selfConvention: SelfConvention = .none, ownedParameters: UInt32) {
        self.selfConvention = selfConvention
        self.ownedParameters = ownedParameters
    }

    /// - Parameter ownsParameters: all of them, but not self.
    package init(self selfConvention: SelfConvention = .none, ownsParameters: Bool = false) {
        self.init(self: selfConvention, ownedParameters: ownsParameters ? .max : 0)
    }

    func owns(_ parameter: Int) -> Bool {
        if parameter == 0, selfConvention != .none { return selfConvention == .consuming }
        return ownedParameters >> UInt32(parameter) & 1 != 0
    }

    /// A function that has no self and takes its parameters as their types say.
    public static let function = CallShape()
}
