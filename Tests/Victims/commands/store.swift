// A Swift program. Each line is answered with what it computes.
#if canImport(Glibc)
    import Glibc
#endif

struct Shop {
    var orders = 0

    @inline(never) func price(of item: Int, twice: Bool) -> Int { item * 10 * (twice ? 2 : 1) }
    @inline(never) mutating func order(_ name: String) -> String {
        orders += 1
        return "\(name) #\(orders)"
    }
}

alarm(120)
setvbuf(stdout, nil, Int32(_IOLBF), 0)
print("ready")
var shop = Shop()
while readLine() != nil { print("price \(shop.price(of: 7, twice: false)) order \(shop.order("tea"))") }
