// Never edited: classes that inherit what another file overrides.

final class Cub: Dog {
    override func speak() -> String { "cub of " + super.speak() }
}

/// Its metadata is made when it is asked for.
class Boxed<Content>: Puppy {
    let content: Content
    init(_ content: Content) { self.content = content }
}
