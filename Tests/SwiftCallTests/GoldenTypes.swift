// What the plans of GoldenTests are made for. The test compiles this file by itself too, and reads what the compiler makes of it.

public final class GoldenObject {}
public protocol GoldenProtocol {}
public protocol GoldenOther {}
public protocol GoldenClassProtocol: AnyObject {}
public enum GoldenError: Error { case one }

public struct GoldenEmpty {}
public struct GoldenBytes { public var a, b, c: UInt8 }
public struct GoldenSmall { public var a: Int8, b: Bool, c: Float, d: Double, e: UInt16 }
public struct GoldenPoint { public var x, y: Double }
public struct GoldenFloats { public var a, b, c: Float }
public struct GoldenMixed { public var a: Int32, b: Float, c: Int16 }
public struct GoldenPair { public var object: GoldenObject, number: Int }
public struct GoldenFour { public var a, b, c, d: Int }
public struct GoldenFive { public var a, b, c, d, e: Int }
public struct GoldenWeak {
    public weak var object: GoldenObject?
    public var number: Int
}
public struct GoldenUnowned { public unowned var object: GoldenObject }
public struct GoldenNested { public var a: GoldenBytes, b: GoldenBytes, c: Int32 }
public struct GoldenBox<T> { public var value: T, flag: Bool }
public struct GoldenVectors { public var a: SIMD4<Float>, b: SIMD2<Float> }
public struct GoldenExistential { public var value: any GoldenProtocol }

public enum GoldenEmptyCases { case a, b, c }
public enum GoldenSingle { case only(Double) }
public enum GoldenPayloads {
    case number(Double)
    case text(String)
    case none
}
public enum GoldenThree {
    case bytes(GoldenBytes)
    case flag(Bool)
}
public indirect enum GoldenTree {
    case leaf(Int)
    case node(GoldenTree, GoldenTree)
}
