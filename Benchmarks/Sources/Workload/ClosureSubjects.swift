/// Swift functions that closures replace: one of each kind is left alone, one is replaced by a symbol, one by a closure, one by
/// Swift's own means, and of one the original is called. Each has a number of its own: the compiler would make one function of
/// equal ones, and of nearly equal ones one with a parameter more.
public enum ClosureSubjects {
    @inline(never) @_optimize(none) public static func plain(_ a: Int) -> Int { a &* 3 ^ 1 }
    @inline(never) @_optimize(none) public static func bySymbol(_ a: Int) -> Int { a &* 3 ^ 2 }
    @inline(never) @_optimize(none) public static func byClosure(_ a: Int) -> Int { a &* 3 ^ 3 }
    @inline(never) @_optimize(none) public static func replacement(_ a: Int) -> Int { a &* 3 ^ 5 }
    @inline(never) @_optimize(none) public static func mocked(_ a: Int) -> Int { a &* 3 ^ 9 }
    @inline(never) @_optimize(none) public dynamic static func dynamic(_ a: Int) -> Int { a &* 3 ^ 6 }

    public struct Failure: Error {
        public init() {}
    }

    @inline(never)
    public static func plainFour(_ name: String, _ count: Int, _ price: Double, _ isNew: Bool) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 1 : 11)
    }
    @inline(never)
    public static func bySymbolFour(_ name: String, _ count: Int, _ price: Double, _ isNew: Bool) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 2 : 12)
    }
    @inline(never)
    public static func byClosureFour(_ name: String, _ count: Int, _ price: Double, _ isNew: Bool) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 3 : 13)
    }
    @inline(never)
    public static func replacementFour(_ name: String, _ count: Int, _ price: Double, _ isNew: Bool) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 4 : 14)
    }
    @inline(never)
    public dynamic static func dynamicFour(_ name: String, _ count: Int, _ price: Double, _ isNew: Bool) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 5 : 15)
    }

    @inline(never) @_optimize(none) public static func plainAsync(_ a: Int) async -> Int { a &* 3 ^ 1 }
    @inline(never) @_optimize(none) public static func bySymbolAsync(_ a: Int) async -> Int { a &* 3 ^ 2 }
    @inline(never) @_optimize(none) public static func byClosureAsync(_ a: Int) async -> Int { a &* 3 ^ 3 }
    @inline(never) @_optimize(none) public static func replacementAsync(_ a: Int) async -> Int { a &* 3 ^ 5 }
    @inline(never) @_optimize(none) public dynamic static func dynamicAsync(_ a: Int) async -> Int { a &* 3 ^ 6 }
}

// Where the compiler takes them.
extension ClosureSubjects {
    @inline(never) @_optimize(none) @_dynamicReplacement(for:dynamic(_:)) public static func dynamicReplacement(
        _ a: Int
    ) -> Int {
        a &* 3 ^ 7
    }
    @inline(never) @_dynamicReplacement(for:dynamicFour(_:_:_:_:))
    public static func dynamicReplacementFour(
        _ name: String, _ count: Int, _ price: Double, _ isNew: Bool
    ) throws -> Int {
        if count < 0 { throw Failure() }
        return name.utf8.count &+ count ^ Int(truncatingIfNeeded: price.bitPattern) ^ (isNew ? 6 : 16)
    }
    @inline(never) @_optimize(none) @_dynamicReplacement(for:dynamicAsync(_:))
    public static func dynamicReplacementAsync(_ a: Int) async -> Int { a &* 3 ^ 7 }
}

/// Loops that call them as a program calls its own functions, and the originals as function values.
public enum ClosureLoops {
    public typealias One = (Int) -> Int
    public typealias Four = (String, Int, Double, Bool) throws -> Int
    public typealias Async = (Int) async -> Int

    @inline(never) public static func plain(_ count: Int) -> Int {
        var sum = 1
        for _ in 0..<count { sum = ClosureSubjects.plain(sum) }
        return sum
    }
    @inline(never) public static func bySymbol(_ count: Int) -> Int {
        var sum = 2
        for _ in 0..<count { sum = ClosureSubjects.bySymbol(sum) }
        return sum
    }
    @inline(never) public static func byClosure(_ count: Int) -> Int {
        var sum = 3
        for _ in 0..<count { sum = ClosureSubjects.byClosure(sum) }
        return sum
    }
    @inline(never) public static func mocked(_ count: Int) -> Int {
        var sum = 6
        for _ in 0..<count { sum = ClosureSubjects.mocked(sum) }
        return sum
    }
    @inline(never) public static func dynamic(_ count: Int) -> Int {
        var sum = 4
        for _ in 0..<count { sum = ClosureSubjects.dynamic(sum) }
        return sum
    }
    @inline(never) public static func value(_ function: One, _ count: Int) -> Int {
        var sum = 5
        for _ in 0..<count { sum = function(sum) }
        return sum
    }

    @inline(never) public static func plainFour(_ count: Int) throws -> Int {
        var sum = 1
        for i in 0..<count { sum = try ClosureSubjects.plainFour("a name", sum & 0xff, 1.5, i & 1 == 0) }
        return sum
    }
    @inline(never) public static func bySymbolFour(_ count: Int) throws -> Int {
        var sum = 2
        for i in 0..<count { sum = try ClosureSubjects.bySymbolFour("a name", sum & 0xff, 1.5, i & 1 == 0) }
        return sum
    }
    @inline(never) public static func byClosureFour(_ count: Int) throws -> Int {
        var sum = 3
        for i in 0..<count { sum = try ClosureSubjects.byClosureFour("a name", sum & 0xff, 1.5, i & 1 == 0) }
        return sum
    }
    @inline(never) public static func dynamicFour(_ count: Int) throws -> Int {
        var sum = 4
        for i in 0..<count { sum = try ClosureSubjects.dynamicFour("a name", sum & 0xff, 1.5, i & 1 == 0) }
        return sum
    }
    @inline(never) public static func value(_ function: Four, _ count: Int) throws -> Int {
        var sum = 5
        for i in 0..<count { sum = try function("a name", sum & 0xff, 1.5, i & 1 == 0) }
        return sum
    }

    @inline(never) public static func plainAsync(_ count: Int) async -> Int {
        var sum = 1
        for _ in 0..<count { sum = await ClosureSubjects.plainAsync(sum) }
        return sum
    }
    @inline(never) public static func bySymbolAsync(_ count: Int) async -> Int {
        var sum = 2
        for _ in 0..<count { sum = await ClosureSubjects.bySymbolAsync(sum) }
        return sum
    }
    @inline(never) public static func byClosureAsync(_ count: Int) async -> Int {
        var sum = 3
        for _ in 0..<count { sum = await ClosureSubjects.byClosureAsync(sum) }
        return sum
    }
    @inline(never) public static func dynamicAsync(_ count: Int) async -> Int {
        var sum = 4
        for _ in 0..<count { sum = await ClosureSubjects.dynamicAsync(sum) }
        return sum
    }
    @inline(never) public static func value(_ function: Async, _ count: Int) async -> Int {
        var sum = 5
        for _ in 0..<count { sum = await function(sum) }
        return sum
    }
}
