#if canImport(Glibc)
    import Glibc
#endif

print("ready")
fflush(nil)
while let question = readLine() {
    switch question {
    case "facts": print(facts())
    case "others": print(Facts.greeting, Facts.span.from, Facts.long.utf8.count)
    case "kept": print(kept())
    case "sell":
        Facts.till.sold += 1
        print(Facts.till.sold)
    case "late": print(Facts.late)
    default: print(plain())
    }
    fflush(nil)
}
