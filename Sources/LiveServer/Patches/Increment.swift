// Compiled with -module-name LiveServer, so that its symbol is the one of the server's own function, which it replaces.

public func incremented(_ value: Int) -> Int {
    value + 100
}
