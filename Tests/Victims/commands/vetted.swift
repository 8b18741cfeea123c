// What a Swift library has for a dynamic linker to read, beside vetted.c: types, conformances, globals that are made at their first use.
protocol Priced { var price: Int { get } }

struct Item: Priced { var price = 10 }

final class Shelf: Priced {
    var items: [any Priced] = [Item()]
    var price: Int { items.reduce(0) { $0 + $1.price } }
}

let shelf = Shelf()

public func price(_ count: Int) -> Int { shelf.price * count }
public func tax(_ name: String) -> String { "\(name): \(price(name.count))" }
