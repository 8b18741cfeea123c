// Edited while it runs: which of their superclass's methods classes override.

class Animal {
    func speak() -> String { "animal" }
    func walk() -> String { "walks" }
    var legs: Int { 4 }
    func rest() async -> String { "rests" }
}

class Dog: Animal {
    override func speak() -> String { "dog" }
    // Dog
}

class Puppy: Dog {
    // Puppy
}
