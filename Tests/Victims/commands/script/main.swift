#if canImport(Glibc)
    import Glibc
#endif

let limit = 5
func told() -> String { named(limit) }
print("ready")
fflush(nil)
while readLine() != nil {
    print(told())
    fflush(nil)
}
