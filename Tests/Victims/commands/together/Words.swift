// Edited while it runs: what uses constants that are made when they are first asked for.

enum Words {
    static let title = "a title that is longer than what lies in a string itself"
    static let all = ["one", "two"]
    static func text() -> String { "\(all.count) words of \(title.utf8.count)" }
}
