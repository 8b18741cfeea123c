import FlyingFox
import Foundation
import Shop

/// What the server answers. FlyingFox keeps these closures for as long as it runs.
func addRoutes(to server: HTTPServer, counter: Counter, till: Till) async {
    await server.appendRoute("GET /get") { _ in
        text("\(await counter.value)")
    }
    await server.appendRoute("GET /increment") { _ in
        text("\(await counter.increment())")
    }
    await server.appendRoute("GET /hello") { _ in
        text("hello")
    }
    await server.appendRoute("GET /sell/:name") { request in
        let name = request.routeParameters["name"] ?? "tea"
        return text(try await till.sell(Item(name: name, price: 3)))
    }
    await server.appendRoute("GET /page") { _ in
        text("\(Limits.pageSize) a page, \(motto())")
    }
}

func text(_ body: String) -> HTTPResponse {
    HTTPResponse(statusCode: .ok, body: Data((body + "\n").utf8))
}
