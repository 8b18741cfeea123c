#if canImport(Glibc)
    import Glibc
#endif

/// Of a type that another file has: asked for by its metadata, its conformances and its functions.
func types() -> String {
    let points = Set([Point(x: 1), Point(x: 1), Point(x: 2)])
    let any: Any = Point(x: 3)
    return "\(points.count) \(any is Point) \((any as? any Named)?.name ?? "no name") \(Way.allCases) "
        + "\(Box(value: 4).twice()) \(Box(value: "a") == Box(value: "a"))"
}

print("ready")
fflush(nil)
while let line = readLine() {
    print(line == "types" ? types() : line == "kept" ? kept.map(\.name).joined(separator: ", ") : report())
    fflush(nil)
}
