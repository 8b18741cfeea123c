/// The words of a `swift run` or `swift build`: which build they mean, and how it is repeated.
public struct BuildInvocation: Sendable, Hashable {
    /// `swift`, as it was called.
    public var program: String
    /// `run`, `build` or `test`.
    public var verb: String
    public var packagePath: String?
    public var scratchPath: String?
    public var configuration: String?
    public var buildSystem: String?
    /// The program to be run.
    public var product: String?
    /// `swift run` starts what was built before.
    public var skipsBuild = false
    /// The options that `swift build` takes too, all of the above but the product among them.
    public var options: [String] = []

    /// Options of SwiftPM that are followed by a value.
    private static let withValue: Set = [
        "--package-path", "--cache-path", "--config-path", "--security-path", "--scratch-path", "--build-path",
        "--swift-sdks-path", "--swift-sdk", "--toolset", "--pkg-config-path", "--configuration", "-c", "-Xcc",
        "-Xswiftc",
        "-Xlinker", "-Xcxx", "-Xxcbuild", "--triple", "--sdk", "--toolchain", "--arch", "--sanitize", "--jobs", "-j",
        "--build-system", "--netrc-file", "--traits", "-debug-info-format", "--debug-info-format",
        "--explicit-target-dependency-import-check", "--default-registry-url", "--manifest-cache",
        "--resolver-fingerprint-checking", "--resolver-signing-entity-checking", "--product", "--target",
        "--experimental-lto-mode", "--destination", "--experimental-destinations-path", "--filter", "--skip",
        "--specifier", "-s", "--num-workers", "--xunit-output", "--test-product", "--attachments-path",
        "--event-stream-output-path", "--event-stream-version", "--configuration-path",
    ]
    /// Options of `swift run` and `swift test` that `swift build` does not take.
    private static let runOnly: Set = [
        "--skip-build", "--repl", "--debugger", "--run", "--parallel", "--no-parallel", "--list-tests", "-l",
        "--show-codecov-path", "--show-code-coverage-path", "--enable-testable-imports", "--disable-testable-imports",
        "--filter", "--skip", "--specifier", "-s", "--num-workers", "--xunit-output", "--test-product",
        "--attachments-path", "--event-stream-output-path", "--event-stream-version", "--configuration-path",
    ]

    /// Nil where the words are no call of SwiftPM.
    public init?(_ words: [String]) {
        guard let program = words.first, BuildFiles.split(program).name == "swift", words.count > 1,
            ["run", "build", "test"].contains(words[1])
        else { return nil }
        self.program = program
        verb = words[1]
        var index = 2
        while index < words.count {
            let word = words[index]
            index += 1
            guard word.hasPrefix("-"), word.count > 1 else {
                // The first word that is no option is the program; what follows is for that one.
                if verb == "run" { product = word }
                break
            }
            if word == "--" { break }
            var name = word
            var value: String?
            if word.hasPrefix("--"), let equals = word.firstIndex(of: "=") {
                name = String(word[..<equals])
                value = String(word[word.index(after: equals)...])
            } else if Self.withValue.contains(word), index < words.count {
                value = words[index]
                index += 1
            }
            switch name {
            case "--package-path": packagePath = value
            case "--scratch-path", "--build-path": scratchPath = value
            case "--configuration", "-c": configuration = value
            case "--build-system": buildSystem = value
            case "--product": product = value
            case "--skip-build": skipsBuild = true
            default: break
            }
            if name == "--product" || Self.runOnly.contains(name) { continue }
            options.append(word)
            if let value, !word.contains("=") || !word.hasPrefix("--") { options.append(value) }
        }
    }

    /// `swift build` with the same options, and for the same program.
    public var build: [String] {
        [program, "build"] + options + (verb == "test" ? ["--build-tests"] : [])
            + (product.map { ["--product", $0] } ?? [])
    }

    /// The words of a command without the build that it begins with: what it built before is started.
    public static func withoutBuilding(_ words: [String]) -> [String] {
        guard let invocation = BuildInvocation(words), invocation.verb == "run", !invocation.skipsBuild else {
            return words
        }
        return Array(words[..<2]) + ["--skip-build"] + words[2...]
    }
}
