/// The function that a program begins with. It runs once, and what is new in it when the program is started again.
enum FirstFunction {
    /// Whether a readable name is that of one: of C, of top-level code, or of what is marked with `@main`.
    static func isName(_ function: String) -> Bool {
        let name = function.prefix { $0 != "(" }
        return function == "main"
            || function.hasPrefix("static ") && function.hasSuffix("-> ()")
                && (name.hasSuffix(".main") || name.hasSuffix(".$main"))
    }

    static func note(_ function: String) -> String {
        "\(function): it runs already, and is not called again: its new code runs at the next start"
    }
}
