/// Swift functions that are patched symbol to symbol, called from this module as a program calls its own. Each has a number of
/// its own: the compiler would make one function of equal ones, and loops that call through a pointer.
@inline(never) @_optimize(none)
public func swiftPlain(_ a: Int, _ b: Int) -> Int { a &+ b ^ 1 }

@inline(never) @_optimize(none)
public func swiftPatched(_ a: Int, _ b: Int) -> Int { a &+ b ^ 2 }

@inline(never) @_optimize(none)
public func swiftReplacement(_ a: Int, _ b: Int) -> Int { a &+ b ^ 3 }

public enum SwiftLoops {
    @inline(never)
    public static func plain(_ count: Int) -> Int {
        var sum = 1
        for number in 0..<count { sum = swiftPlain(sum, number) }
        return sum
    }

    @inline(never)
    public static func patched(_ count: Int) -> Int {
        var sum = 2
        for number in 0..<count { sum = swiftPatched(sum, number) }
        return sum
    }
}
