// What the articles' examples replace. Tests/docs.sh compiles it as the module that they import, and runs them with it.

public struct URL: Sendable {
    public let path: String
}

public typealias Data = [UInt8]

@inline(never)
public func price(of item: String) -> Int { item.utf8.count }

@inline(never)
public func salePrice(of item: String) -> Int { price(of: item) / 2 }

@inline(never)
public func fetch(_ url: URL) async throws -> Data { Array(url.path.utf8) }

public struct Cart: Sendable {
    public var items: [String] = []

    public init(_ items: [String] = []) { self.items = items }

    public mutating func add(_ item: String) throws { items.append(item) }

    public var total: Int { items.reduce(0) { $0 + price(of: $1) } }

    public func checkout() async throws -> String {
        String(decoding: try await fetch(URL(path: "/\(total)")), as: UTF8.self)
    }
}

@_cdecl("open_session")
public func openSession() -> Int32 { 1 }

@_cdecl("open_session_fixed")
public func openSessionFixed() -> Int32 { 2 }

@_cdecl("close_session")
public func closeSession() -> Int32 { 3 }

@_cdecl("close_session_fixed")
public func closeSessionFixed() -> Int32 { 4 }
