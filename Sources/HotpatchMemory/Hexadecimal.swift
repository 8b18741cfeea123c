extension Sequence<UInt8> {
    /// Two digits a byte: "55 48 89 e5".
    package func hexadecimal(separator: String = " ") -> String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: separator)
    }
}
