/// What a build has printed that has failed.
package struct BuildOutput: Hashable, Sendable {
    /// The files that errors are in, as it names them, each once.
    package private(set) var files: [String] = []
    /// Without what it has said before: a compiler that makes a module's interface, and another one that compiles the file, find the same.
    package private(set) var text = ""

    package init(_ printed: String) {
        var said: Set<Substring> = []
        var message = printed.startIndex..<printed.startIndex
        var isMessage = false
        func take(upTo end: String.Index) {
            message = message.lowerBound..<end
            if !isMessage || said.insert(printed[message]).inserted { text += printed[message] }
            message = end..<end
        }
        var start = printed.startIndex
        while start < printed.endIndex {
            let end = printed[start...].firstIndex(of: "\n").map(printed.index(after:)) ?? printed.endIndex
            let line = printed[start..<end]
            if let place = Self.place(line) {
                take(upTo: start)
                isMessage = true
                if place.isError, !files.contains(place.file) { files.append(place.file) }
            } else if isMessage, line.hasPrefix("[") || line.hasPrefix("make") {
                // What is built next.
                take(upTo: start)
                isMessage = false
            }
            start = end
        }
        take(upTo: printed.endIndex)
    }

    /// `FILE:LINE:COLUMN: error: …`, or a warning. A note belongs to what it follows.
    private static func place(_ line: Substring) -> (file: String, isError: Bool)? {
        for (word, isError) in [(": error: ", true), (": fatal error: ", true), (": warning: ", false)] {
            guard let colon = line.firstIndex(of: ":"), let range = line.firstRange(of: word) else { continue }
            // Between the file and the word stand numbers.
            let numbers = line[colon..<range.lowerBound]
            guard numbers.utf8.count > 1, numbers.utf8.allSatisfy({ $0 == 0x3a || (0x30...0x39).contains($0) }) else {
                continue
            }
            return (String(line[..<colon]), isError)
        }
        return nil
    }
}
