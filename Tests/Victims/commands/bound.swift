// A Swift program that exports nothing, and the patch library for it, which imports its module. Each line is answered with what it
// computes.
#if canImport(Glibc)
    import Glibc
#endif

#if PATCH
    @testable import bound

    @_silgen_name("hotpatch.replace.$s5bound8describeySSypF")
    public func newDescription(_ thing: Any) -> String {
        orders += 100
        guard let cart = thing as? Cart else { return "not a cart" }
        let another = Cart(items: cart.items + 1000)
        return "new \(another.total()) \(shipping(another))"
    }
#else
    var orders = 0

    class Cart {
        var items: Int
        init(items: Int) { self.items = items }
        @inline(never) func total() -> Int { items * 2 }
    }

    @inline(never) func shipping(_ cart: Cart) -> String { "by ship" }
    @inline(never) func describe(_ thing: Any) -> String { "old" }

    @main struct Bound {
        @inline(never) static func answer() -> String {
            orders += 1
            let thing = describe(Cart(items: 3))
            return "\(thing), orders \(orders)"
        }

        static func main() {
            alarm(120)
            setvbuf(stdout, nil, Int32(_IOLBF), 0)
            print("ready")
            while readLine() != nil { print(answer()) }
        }
    }
#endif
