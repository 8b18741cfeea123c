/// What a function's symbol decides about a call, and its type does not.
public struct CallShape: Hashable, Sendable {
    /// What the first parameter of the function type is to the function.
    public enum SelfConvention: Hashable, Sendable {
        /// A parameter like the others: the function has no self.
        case none
        case borrowed
        /// Of a mutating method or a setter.
        case `inout`
        case consuming
        /// Of a static or class method, or of an initialiser.
        case metatype
    }

    public var selfConvention: SelfConvention
    /// Whether the parameters, but not self, are handed over to the function, as they are to initialisers and setters.
    public var ownsParameters: Bool

    public init(self selfConvention: SelfConvention = .none, ownsParameters: Bool = false) {
        self.selfConvention = selfConvention
        self.ownsParameters = ownsParameters
    }

    public static let function = CallShape()
}
