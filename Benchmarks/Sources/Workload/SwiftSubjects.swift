/// Swift functions that are patched symbol to symbol, called from this module as a program calls its own.
@inline(never) @_optimize(none)
public func swiftPlain(_ a: Int, _ b: Int) -> Int { a &+ b }

@inline(never) @_optimize(none)
public func swiftPatched(_ a: Int, _ b: Int) -> Int { a &+ b }

@inline(never) @_optimize(none)
public func swiftReplacement(_ a: Int, _ b: Int) -> Int { a &+ b }

public enum SwiftLoops {
    @inline(never)
    public static func plain(_ count: Int) -> Int {
        var sum = 0
        for number in 0..<count { sum = swiftPlain(sum, number) }
        return sum
    }

    @inline(never)
    public static func patched(_ count: Int) -> Int {
        var sum = 0
        for number in 0..<count { sum = swiftPatched(sum, number) }
        return sum
    }
}
