#if canImport(Glibc)
    import Glibc
#endif

print("ready")
fflush(nil)
while let line = readLine() {
    print("\(await label()) \(await tally(line.utf8.count))")
    fflush(nil)
}
