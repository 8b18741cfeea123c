import AppCore
import Hummingbird

extension Item: ResponseCodable {}

/// The router keeps these closures for as long as the server runs.
func routes(store: Store, service: Service) -> Router<BasicRequestContext> {
    let router = Router()
    router.add(middleware: LogRequestsMiddleware(.debug))
    router.get("hello") { _, _ -> String in
        "hello 0"
    }
    router.get("count") { _, _ -> String in
        "count 0 is \(await store.increment())"
    }
    router.get("describe") { _, context -> String in
        context.logger.debug("describing")
        return await Service.$requestID.withValue("r1") {
            "description 0: " + service.describe(await store.all())
        }
    }
    router.get("page") { _, _ -> String in
        service.page() + " " + greeting()
    }
    router.post("items") { request, context -> String in
        let item = try await request.decode(as: Item.self, context: context)
        return "item \(try await store.add(item))"
    }
    router.get("waited", use: waited)
    return router
}

@Sendable
func waited(_ request: Request, _ context: BasicRequestContext) async throws -> String {
    "waited 0 for \(try await wait(3))"
}

private func wait(_ turns: Int) async throws -> Int {
    try await Task.sleep(for: .milliseconds(1))
    return turns
}
