// Replaces a method by its mangled name. `self` is the struct's one word, which comes after the arguments.
@_silgen_name("hotpatch.replace.$s5store4ShopV5price2of5twiceS2i_SbtF")
public func newPrice(of item: Int, twice: Bool, orders: Int) -> Int { item * 1000 + orders }
