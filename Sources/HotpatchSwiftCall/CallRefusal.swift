/// Why no adapter is made for a function type. Each says what to do instead.
///
/// These depend on the type alone, or on the type and what is said of its first parameter; `opaqueProperty` on the names of the
/// program's getters.
public enum CallRefusal: Error, Hashable, Sendable {
    // The function type itself.
    /// The type is none of a function.
    case notAFunction(String)
    /// A thin function, a C function or a block: what is called has no context.
    case convention(String)
    /// `@differentiable`: the value is a bundle of several functions.
    case differentiable(String)
    /// `throws(E)`: where the error is returned depends on its type, and the metadata does not tell that.
    case typedThrows(String)
    /// `@isolated(any)`: the value carries an actor that the function's callers do not pass.
    case isolatedAny(String)
    /// `nonisolated(nonsending)`: the function takes an actor that its type does not show.
    case nonsending(String)
    /// The result is `sending`, which a symbol does not show.
    case sendingResult(String)
    /// A flag that is newer than this code.
    case unknownFlags(String)
    /// The type, and how many parameters it has: more than 24.
    case tooManyParameters(String, Int)

    // Its parameters and its result.
    /// A type that a parameter or the result has, or holds, is not copyable.
    case noncopyable(String)
    /// An integer of more than 64 bits.
    case wideInteger(String)
    /// A floating-point number of more than 64 bits.
    case wideFloat(String)
    /// A SIMD vector of elements that are no whole bytes or wider than 64 bits, or of more than 16 bytes and no multiple of that.
    case unusualVector(String)
    /// The type, and its alignment in bytes: more than the 16 that a stack has.
    case overAligned(String, Int)
    /// Small integers share eight bytes with a `Float16` so that the register they are passed in would hold its bytes too: the
    /// compiler, 6.3 at least, passes such values wrongly.
    case overlappingRegisters(String)
    /// A struct with a stored property of an opaque type, `some P`: callers pass it by address.
    case opaqueProperty(String, String)
    /// A C union, an opaque C struct, or another type with bytes that belong to no field that Swift sees.
    case cType(String)
    /// A type whose fields are not known: it was compiled with `-disable-reflection-metadata`.
    case noReflectionMetadata(String)
    /// A type whose metadata is of a kind that is newer than this code.
    case unknownKind(String)
    /// A value that holds the metatype of a struct or an enum: a function that knows it is passed nothing for that.
    case metatypeInside(String)
    /// The result is the metatype of a struct or an enum.
    case metatypeResult(String)
    /// A closure inside an optional tuple or a nested optional.
    case closureInside(String)
    /// An `inout` parameter that is, or holds, a closure or the metatype of a struct or an enum.
    case inoutClosure(String)
    /// A member that only its own type can move, and the tuple that it is in.
    case tupleMember(String, of: String)

    // What is said of the first parameter.
    /// A member takes self, and the type has no first parameter to stand for it.
    case noSelf(String)
    /// The method is mutating, and the first parameter is not `inout`.
    case selfIsNotInout(String)
    /// The method is not mutating, and the first parameter is `inout`.
    case selfIsInout(String)
    /// The member is static, and the first parameter is not a metatype.
    case selfIsNotMetatype(String)
    /// The function is a protocol extension's, and what it takes for self cannot be made from the closure's first parameter.
    case existentialSelf(String)

    // Async functions.
    /// An async function with vectors on the stack beside an odd number of words, which the compiler itself does not take off it.
    case asyncStackVector(String)
    /// The function is async and only its code is known, not the size of its context; or the other way round.
    case asyncRecord(String)

    /// No memory for the code that callers jump to; the errno.
    case noMemory(Int32)
}

extension CallRefusal: CustomStringConvertible {
    /// Why, and what to do instead: two sentences.
    public var description: String {
        "\(reason). \(wayOut)"
    }

    private var reason: String {
        switch self {
        case .notAFunction(let type): "\(type) is not a function type"
        case .convention(let type): "\(type) is not a Swift closure: @convention(c), thin or block"
        case .differentiable(let type): "\(type) is @differentiable: a bundle of functions"
        case .typedThrows(let type):
            "\(type) throws a type of its own, which is returned in ways that its metadata does not tell"
        case .isolatedAny(let type):
            "\(type) is @isolated(any): it carries an actor that the function's callers do not pass"
        case .nonsending(let type): "\(type) is nonisolated(nonsending): it takes an actor that its type does not show"
        case .sendingResult(let type): "\(type) returns a sending result, which a symbol does not show"
        case .unknownFlags(let type): "\(type) has a property that this version does not know"
        case .tooManyParameters(let type, let count):
            "\(type) has \(count) parameters, more than \(FunctionType.maximumParameterCount)"
        case .noncopyable(let type): "\(type) is not copyable"
        case .wideInteger(let type): "\(type) holds an integer of more than 64 bits"
        case .wideFloat(let type): "\(type) holds a floating-point number of more than 64 bits"
        case .unusualVector(let type): "\(type) holds a vector of an unusual shape"
        case .overlappingRegisters(let type):
            "\(type) has small integers so close to a Float16 that the compiler itself passes them wrongly"
        case .opaqueProperty(let type, let property):
            "\(type) has a stored property of an opaque type, \(property): `some P`, whose layout is no part of the convention"
        case .overAligned(let type, let alignment): "\(type) is aligned to \(alignment) bytes, more than 16"
        case .cType(let type):
            "\(type) is a C type with bytes that are no field to Swift: a union, a bit-field, or padding where one may lie"
        case .noReflectionMetadata(let type): "\(type) was compiled without reflection metadata"
        case .unknownKind(let type): "\(type) is of a kind that this version does not know"
        case .metatypeInside(let type): "\(type) holds the metatype of a struct or an enum"
        case .metatypeResult(let type): "\(type) returns the metatype of a struct or an enum"
        case .closureInside(let type): "\(type) holds a closure inside an optional tuple or a nested optional"
        case .inoutClosure(let type): "a closure or a metatype is inout in \(type)"
        case .tupleMember(let member, let tuple):
            "\(member), in the tuple \(tuple), can only be moved by its own type"
        case .noSelf(let type): "\(type) has no first parameter to be self"
        case .selfIsNotInout(let type): "the method is mutating, and the first parameter of \(type) is not inout"
        case .selfIsInout(let type): "the method is not mutating, and the first parameter of \(type) is inout"
        case .selfIsNotMetatype(let type): "the member is static, and the first parameter of \(type) is not a metatype"
        case .existentialSelf(let function):
            "\(function) stands for a protocol extension's: its first parameter must be `any P` with one witness table, borrowed, "
                + "and not any Error"
        case .asyncStackVector(let type):
            "\(type) is async and has vectors on the stack beside an odd number of words, which the compiler itself does not take off it"
        case .asyncRecord(let type): "the code and the async record that go with \(type) do not fit together"
        case .noMemory(let code): "there is no memory for code (errno \(code))"
        }
    }

    private var wayOut: String {
        switch self {
        case .notAFunction: "Give a closure or a function."
        case .convention: "Leave the convention out, or give the C function's address."
        case .noReflectionMetadata:
            "Compile without -disable-reflection-metadata, or replace the function by another symbol (withSymbol:)."
        case .noSelf, .selfIsNotInout, .selfIsInout, .selfIsNotMetatype:
            "Write the type that self has as the first parameter: Self, inout Self or Self.Type."
        case .noMemory: "Free some."
        case .asyncRecord: "Give the function's async record, the symbol that ends with Tu."
        default: "Replace the function by another symbol (withSymbol:)."
        }
    }
}
