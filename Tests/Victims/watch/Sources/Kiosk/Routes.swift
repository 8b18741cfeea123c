import KioskCore

struct Route {
    var name: String
    var answer: () -> String
}

/// Stored for as long as the program runs.
func makeRoutes(_ counter: Counter) -> [Route] {
    [
        Route(name: "hello") { "hello" },
        Route(name: "count") { "count \(counter.next())" },
        Route(name: "price") { "price \(price(of: 2)), \(Limits.pageSize) a page" },
    ]
}
