#if canImport(Glibc)
    import Glibc
#endif

let all: [Animal] = [Animal(), Dog(), Puppy(), Cub(), Boxed(1), Boxed("text")]

print("ready")
fflush(nil)
while let line = readLine() {
    var words: [String] = []
    for animal in all {
        switch line {
        case "speak": words.append(animal.speak())
        case "walk": words.append(animal.walk())
        case "legs": words.append("\(animal.legs)")
        case "later": words.append(Boxed([animal.legs]).walk())
        default: words.append(await animal.rest())
        }
    }
    print(words.joined(separator: ", "))
    fflush(nil)
}
