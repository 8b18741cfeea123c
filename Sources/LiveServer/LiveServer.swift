import FlyingFox
import Foundation
import Shop

/// A small HTTP server with a counter and a shop, to be changed while it runs: by patches, and by edits of its files.
@main
struct LiveServer {
    static func main() async throws {
        let port = CommandLine.arguments.dropFirst().first.flatMap(UInt16.init) ?? 8080
        let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port))
        await addRoutes(to: server, counter: Counter(), till: Till(pricing: ListPricing()))
        let running = Task { try await server.run() }
        try await server.waitUntilListening()
        if case .ip4(_, let port)? = await server.listeningAddress {
            FileHandle.standardOutput.write(Data("listening on http://127.0.0.1:\(port), pid \(getpid())\n".utf8))
        }
        try await running.value
    }
}

/// What the server remembers. A patch leaves it alone.
actor Counter {
    private(set) var value = 0

    func increment() -> Int {
        value = incremented(value)
        return value
    }
}

/// The next value of the counter. Patches/Increment.swift changes what it does.
@inline(never)
func incremented(_ value: Int) -> Int {
    value + 1
}
