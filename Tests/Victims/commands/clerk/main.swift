#if canImport(Glibc)
    import Glibc
#endif

print("ready")
fflush(nil)
while let question = readLine() {
    switch question {
    case "drawn": print(draw(Square()))
    case "reader": print(reader(), Limits.size)
    case "made": print(ten, four)
    default: print(line())
    }
    fflush(nil)
}
