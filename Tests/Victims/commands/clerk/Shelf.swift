// The other file that is edited.

struct Square: Drawn {
    func outline() -> String { "square" }
    var color: String { "red" }
}

func reader() -> Int { 1 }
let ten = Limits.five * 2
