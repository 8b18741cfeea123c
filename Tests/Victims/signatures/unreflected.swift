// Built with -disable-reflection-metadata.
public struct Unreflected { var number = 1 }
public enum UnreflectedChoice {
    case number(Int)
    case text(String)
}
public struct Around { var inner = Unreflected() }

@_cdecl("unreflected_functions") public func unreflectedFunctions(_ index: Int) -> UnsafeRawPointer {
    let types: [Any.Type] = [
        ((Unreflected) -> Int).self, (() -> UnreflectedChoice).self, ((Around?) -> Int).self,
    ]
    return unsafeBitCast(types[index], to: UnsafeRawPointer.self)
}
