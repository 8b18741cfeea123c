import Glibc
import Testing

/// Expects two values to be equal, as `#expect(value == expected)` does; an issue tells both, and the line that expected it.
///
/// A macro is expanded, parsed and type-checked as a closure wherever it stands, which takes the compiler ten times as long as a call.
public func expect<Value: Equatable>(
    _ value: Value, equals expected: Value, _ comment: @autoclosure () -> Comment? = nil,
    sourceLocation: SourceLocation? = nil, file: StaticString = #fileID, path: StaticString = #filePath,
    line: Int = #line,
    column: Int = #column
) {
    if value == expected { return }
    let place =
        sourceLocation
        ?? SourceLocation(fileID: file.description, filePath: path.description, line: line, column: column)
    var text = "\(String(describingForTest: value)) is not \(String(describingForTest: expected))"
    if let source = sourceLine(line, of: path.description), !source.hasSuffix("(") { text = "\(source) → \(text)" }
    if let comment = comment() { text += "\n\(comment)" }
    Issue.record(Comment(rawValue: text), sourceLocation: place)
}

/// What stands in a line of a file, without what surrounds it.
private func sourceLine(_ number: Int, of path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var buffer: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(buffer) }
    for _ in 0..<number where getline(&buffer, &capacity, file) < 0 { return nil }
    guard let buffer else { return nil }
    var line = Substring(String(cString: buffer))
    while let last = line.last, last.isWhitespace { line.removeLast() }
    return String(line.drop(while: \.isWhitespace))
}
