// A Swift program with a class and a global variable, and the patch libraries for it. Each line is answered with what it computes.
#if canImport(Glibc)
    import Glibc
#endif

#if FEE
    // The function to be replaced, and beside it what it needs to be compiled.
    public var rate = 50
    public func fee() -> Int { 900 }
#elseif TYPES
    public final class Cart {
        public var prices: [Int] = []
        public init() {}
        public func total() -> Int { prices.count * 1000 }
        deinit { prices = [] }
    }
#else
    var rate = 5

    @inline(never) func fee() -> Int { rate }

    final class Cart {
        var prices: [Int] = []
        init() {}
        @inline(never) func total() -> Int { prices.reduce(0, +) }
        deinit { prices = [] }
    }

    @main struct Kinds {
        @inline(never) static func answer() -> String {
            rate += 1
            let cart = Cart()
            cart.prices = [7, 8]
            return "fee \(fee()) rate \(rate) total \(cart.total())"
        }

        static func main() {
            alarm(120)
            setvbuf(stdout, nil, Int32(_IOLBF), 0)
            print("ready")
            while readLine() != nil { print(answer()) }
        }
    }
#endif
