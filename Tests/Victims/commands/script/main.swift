#if canImport(Glibc)
    import Glibc
#endif

let limit = 5
let marks: [@Sendable (String) -> String] = [{ $0 + "!" }, { "(" + $0 }]
func told() -> String { marks.reduce(named(limit)) { $1($0) } }
print("ready")
fflush(nil)
while readLine() != nil {
    print(told())
    fflush(nil)
}
