extension BuildRecipe {
    /// A build of SwiftPM's newer build system.
    /// - Parameters:
    ///   - out: `.build/out`.
    ///   - root: the package; nil for the one around `out`.
    ///   - product: the program; nil for the only one that there is.
    /// - Throws: `BuildError`.
    static func swiftBuild(out: String, root: String? = nil, product: String? = nil) throws(BuildError) -> BuildRecipe {
        let out = BuildFiles.canonical(out)
        let scratch = BuildFiles.split(out).folder
        let root = BuildFiles.canonical(root ?? BuildFiles.split(scratch).folder)
        let path = try latestTasks(out + "/Intermediates.noindex/XCBuildData")
        let tasks = try BuildTasks(reading: BuildFiles.read(path), path: path)

        // What is linked: the program, from objects and from others that are linked before (`-r`) of the objects of one target each.
        let programs = tasks.links.filter { !$0.output.hasSuffix(".o") && !$0.output.hasSuffix(".so") }
        let program =
            product.flatMap { product in programs.first { BuildFiles.split($0.output).name == product } }
            ?? only(programs.filter { !tasks.tools.contains($0.output) })
        var linked: Set<String>?
        if let program {
            var objects = Set(lines(program.list))
            for link in tasks.links where objects.contains(link.output) { objects.formUnion(lines(link.list)) }
            linked = objects
        }

        // What runs while others are compiled: macros, and what plugins start.
        var tools: Set<String> = []
        for link in programs where link.output != program?.output && tasks.tools.contains(link.output) {
            tools.formUnion(lines(link.list))
        }
        for link in tasks.links where tools.contains(link.output) { tools.formUnion(lines(link.list)) }

        var modules: [BuildModule] = []
        var maps: Set<String> = []
        for words in tasks.drivers {
            // Each stands there twice, for what it makes early and for the rest.
            guard var module = try swiftModule(words, scratch: scratch, linked: linked),
                maps.insert(module.sources[0].object).inserted
            else { continue }
            if !module.isInProgram || linked == nil {
                module.isTool = module.sources.contains { tools.contains($0.object) }
                if module.isTool { module.isInProgram = false }
            }
            if module.isInProgram, module.isLocal { try checkDebug(module) }
            modules.append(module)
        }
        modules += clangModules(tasks.compilations, root: root, scratch: scratch, linked: linked)
        let manifests = manifests(root: root, modules: modules)
        let inputs = inputs(tasks, scratch: scratch).filter { input in
            manifests.contains { BuildFiles.isBelow(input.key, BuildFiles.split($0).folder) }
        }
        let resources = tasks.copies.filter { !BuildFiles.isBelow($0.source, scratch) }
        let embedded = embedded(resources, modules)
        return BuildRecipe(
            system: .swiftBuild, root: root, scratch: scratch,
            product: program.map { BuildFiles.split($0.output).name },
            modules: modules, resources: resources.filter { embedded[BuildFiles.canonical($0.source)] == nil },
            manifests: manifests, toolFiles: pluginFiles(root), inputs: inputs.merging(embedded) { $1 })
    }

    /// The resources that SwiftPM writes a source of (`.embedInCode`), each with the target that has it. They are copied, too, and which
    /// they are stands in that source only: `static let sign_txt: [UInt8] = …`.
    private static func embedded(_ resources: [BuildResource], _ modules: [BuildModule]) -> [String: String] {
        var files: [String: String] = [:]
        for module in modules {
            guard let source = module.sources.first(where: { $0.path.hasSuffix("/embedded_resources.swift") }),
                source.isGenerated, let text = try? BuildFiles.read(source.path)
            else { continue }
            let names = text.split(separator: UInt8(ascii: "\n")).compactMap { line -> String? in
                let words = String(decoding: line.prefix(1000), as: UTF8.self).split(separator: " ")
                return words.count > 2 && words.starts(with: ["static", "let"])
                    ? words[2].split(separator: ":").first.map(String.init) : nil
            }
            func isLetter(_ character: Character) -> Bool { character.isLetter || character.isNumber }
            for resource in resources
            where module.directories.contains(where: { BuildFiles.isBelow(resource.source, $0) }) {
                let name = BuildFiles.split(resource.source).name.map { isLetter($0) ? $0 : "_" }
                if names.contains(String(name)) { files[BuildFiles.canonical(resource.source)] = module.name }
            }
        }
        return files
    }

    private static func only<Value>(_ values: [Value]) -> Value? { values.count == 1 ? values[0] : nil }

    /// What plugins make sources of, each with the target that has them.
    private static func inputs(_ tasks: BuildTasks, scratch: String) -> [String: String] {
        let outputs = scratch + "/plugins/outputs/"
        var files: [String: String] = [:]
        for (input, output) in tasks.inputs where output.hasPrefix(outputs) && !BuildFiles.isBelow(input, scratch) {
            // PACKAGE/TARGET/…
            let parts = output.dropFirst(outputs.count).split(separator: "/")
            if parts.count > 2 { files[BuildFiles.canonical(input)] = String(parts[1]) }
        }
        return files
    }

    /// The files of a package's plugins, each with the plugin, where SwiftPM expects them: no task says.
    private static func pluginFiles(_ root: String) -> [String: String] {
        var files: [String: String] = [:]
        for name in BuildFiles.list(root + "/Plugins") {
            let folder = root + "/Plugins/" + name
            for file in BuildFiles.list(folder) where file.hasSuffix(".swift") {
                files[BuildFiles.join(folder, file)] = name
            }
        }
        return files
    }

    /// The description that was made last: there is one for each set of options.
    private static func latestTasks(_ folder: String) throws(BuildError) -> String {
        var latest: (time: Int, path: String)?
        for name in BuildFiles.list(folder) where name.hasSuffix(".xcbuilddata") {
            let path = folder + "/" + name + "/task-store.msgpack"
            let time = BuildFiles.modified(path)
            if time > latest?.time ?? 0 { latest = (time, path) }
        }
        guard let latest else { throw .noBuild("There is no description of a build below \(folder)") }
        return latest.path
    }

    private static func lines(_ path: String) -> [String] {
        guard let text = try? BuildFiles.read(path) else { return [] }
        return text.split(separator: UInt8(ascii: "\n")).compactMap {
            CompilerWords.split(Substring(String(decoding: $0, as: UTF8.self)))?.first
        }
    }

    /// A module from the words of a call of the driver.
    private static func swiftModule(
        _ words: [String], scratch: String, linked: Set<String>?
    ) throws(BuildError) -> BuildModule? {
        func value(_ option: String) -> String? {
            guard let place = words.firstIndex(of: option), place + 1 < words.count else { return nil }
            return words[place + 1]
        }
        guard let name = value("-module-name"), let map = value("-output-file-map") else { return nil }
        var sources: [String] = []
        var driver: [String] = []
        for word in words {
            if word.hasPrefix("@"), word.hasSuffix(".SwiftFileList") {
                sources += lines(String(word.dropFirst()))
            } else {
                driver.append(word)
            }
        }
        guard !sources.isEmpty else { return nil }
        let own = sources.filter { !BuildFiles.isBelow($0, scratch) }
        let outputs = try BuildFiles.json(map)
        var module = BuildModule(
            name: name, language: .swift, sources: [], isLocal: !own.isEmpty, isInProgram: true,
            directories: folders(of: name, own), driver: driver, workingDirectory: value("-working-directory") ?? "/")
        module.moduleFile = value("-emit-module-path")
        for source in sources {
            guard let object = outputs[source]?["object"]?.string else {
                throw .malformed(path: map, what: "It has no object for \(source)")
            }
            module.sources.append(
                BuildSource(
                    path: source, object: object, isGenerated: BuildFiles.isBelow(source, scratch),
                    dependencyFile: outputs[source]?["dependencies"]?.string,
                    referenceFile: outputs[source]?["swift-dependencies"]?.string))
        }
        if let linked { module.isInProgram = module.sources.contains { linked.contains($0.object) } }
        return module
    }

    private static func clangModules(
        _ compilations: [BuildTasks.Compilation], root: String, scratch: String, linked: Set<String>?
    ) -> [BuildModule] {
        var modules: [String: BuildModule] = [:]
        for compilation in compilations {
            // …/Package.build/Debug-linux/TARGET.build/Objects-normal/x86_64/file.o
            let parts = compilation.object.split(separator: "/")
            guard parts.count > 4, parts[parts.count - 4].hasSuffix(".build") else { continue }
            let name = String(parts[parts.count - 4].dropLast(".build".count))
            var module =
                modules[name]
                ?? BuildModule(
                    name: name, language: .clang, sources: [], isLocal: false, isInProgram: false, directories: [],
                    workingDirectory: compilation.directory ?? root)
            let isOwn = !BuildFiles.isBelow(compilation.source, scratch)
            if isOwn { module.isLocal = true }
            if linked?.contains(compilation.object) != false { module.isInProgram = true }
            module.sources.append(
                BuildSource(
                    path: compilation.source, object: compilation.object, isGenerated: !isOwn,
                    dependencyFile: compilation.dependencies,
                    command: CompilerOptions.withoutOutputs(compilation.arguments)))
            modules[name] = module
        }
        return withFolders(modules, root: root, scratch: scratch)
    }
}

/// The tasks of a build, as `task-store.msgpack` has them.
///
/// The file is a stream of MessagePack values. What they mean is not documented, and changes; but each command stands in it with its
/// words in order, behind the words that name the task. So the values are read in a row, and nothing else is taken from them.
struct BuildTasks {
    struct Compilation {
        var object: String
        var source: String
        var arguments: [String]
        var dependencies: String?
        var directory: String?
    }

    var drivers: [[String]] = []
    var compilations: [Compilation] = []
    /// What is linked, and the file that lists of what.
    var links: [(output: String, list: String)] = []
    var copies: [BuildResource] = []
    /// What other tasks make files of, and one of these.
    var inputs: [(input: String, output: String)] = []
    /// The programs of such tasks, and of macros.
    var tools: Set<String> = []

    private enum Token: Equatable {
        case string(String)
        case binary(String)
        case number
        case collection
        case other

        var string: String? {
            guard case .string(let string) = self else { return nil }
            return string
        }
    }

    init(reading bytes: [UInt8], path: String) throws(BuildError) {
        let tokens = try Self.tokens(bytes, path)
        func string(_ index: Int) -> String? { index < tokens.count ? tokens[index].string : nil }
        for index in tokens.indices {
            guard case .string(let word) = tokens[index] else { continue }
            switch word {
            case "builtin-SwiftDriver" where string(index + 1) == "--":
                let words = tokens[(index + 2)...].prefix { $0.string != nil }.compactMap(\.string)
                for (place, word) in words.enumerated() where word == "-load-plugin-executable" {
                    // Each word may be behind an -Xfrontend. Behind the path stand the modules.
                    guard let value = words[(place + 1)...].first(where: { $0 != "-Xfrontend" }) else { continue }
                    tools.insert(String(value.prefix { $0 != "#" }))
                }
                drivers.append(words)
            case "CustomTask":
                if let (words, _) = Self.command(tokens, from: index), let program = words.first {
                    tools.insert(program)
                }
            case "CompileC":
                guard let object = string(index + 1), let source = string(index + 2), object.hasPrefix("/"),
                    source.hasPrefix("/"), let (words, end) = Self.command(tokens, from: index)
                else { continue }
                let dependencies = words.firstIndex(of: "-MF").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
                let directory = tokens[end...].prefix(64).lazy.compactMap(\.string).first {
                    $0.hasPrefix("/") && BuildFiles.isDirectory($0)
                }
                compilations.append(
                    Compilation(
                        object: object, source: source, arguments: words, dependencies: dependencies,
                        directory: directory))
            case "Ld":
                guard let output = string(index + 1), output.hasPrefix("/"),
                    let (words, _) = Self.command(tokens, from: index),
                    let list = words.first(where: { $0.hasPrefix("@") && $0.hasSuffix(".LinkFileList") })
                else { continue }
                links.append((output, String(list.dropFirst())))
            case "CpResource":
                guard let copy = string(index + 1), let source = string(index + 2), source.hasPrefix("/") else {
                    continue
                }
                copies.append(BuildResource(source: source, copy: copy))
            case let output where output.contains("/plugins/outputs/"):
                // Behind the list of what it is made of.
                guard index > 1, tokens[index - 1] == .collection else { continue }
                for token in tokens[..<(index - 1)].reversed() {
                    guard let input = token.string, input.hasPrefix("/") else { break }
                    inputs.append((input, output))
                }
            default: break
            }
        }
    }

    /// The words of the command of a task whose name begins at `start`: byte strings, each behind the numbers that say what it is.
    private static func command(_ tokens: [Token], from start: Int) -> (words: [String], end: Int)? {
        var index = start
        while index < tokens.count, index < start + 32 {
            if case .binary = tokens[index] { break }
            index += 1
        }
        var words: [String] = []
        loop: while index < tokens.count {
            switch tokens[index] {
            case .binary(let word): words.append(word)
            case .number, .collection: break
            case .string, .other: break loop
            }
            index += 1
        }
        return words.isEmpty ? nil : (words, index)
    }

    /// The values in a row: of a collection its head, and then what is in it (MessagePack specification, Formats).
    private static func tokens(_ bytes: [UInt8], _ path: String) throws(BuildError) -> [Token] {
        var tokens: [Token] = []
        var index = 0
        func number(_ width: Int) -> Int? {
            guard bytes.count - index >= width else { return nil }
            defer { index += width }
            return bytes[index..<index + width].reduce(0) { $0 << 8 | Int($1) }
        }
        func text(_ count: Int?) -> String? {
            guard let count, count <= bytes.count - index else { return nil }
            defer { index += count }
            return String(decoding: bytes[index..<index + count], as: UTF8.self)
        }
        func skipping(_ count: Int, _ token: Token) -> Token? {
            guard count <= bytes.count - index else { return nil }
            index += count
            return token
        }
        while index < bytes.count {
            let head = bytes[index]
            index += 1
            let token: Token?
            switch head {
            case 0...0x7f, 0xe0...0xff: token = .number
            case 0x80...0x9f: token = .collection
            case 0xa0...0xbf: token = text(Int(head & 0x1f)).map(Token.string)
            case 0xc4, 0xc5, 0xc6: token = text(number(1 << Int(head - 0xc4))).map(Token.binary)
            case 0xca: token = skipping(4, .other)
            case 0xcb: token = skipping(8, .other)
            case 0xcc...0xcf: token = skipping(1 << Int(head - 0xcc), .number)
            case 0xd0...0xd3: token = skipping(1 << Int(head - 0xd0), .number)
            case 0xd9, 0xda, 0xdb: token = text(number(1 << Int(head - 0xd9))).map(Token.string)
            case 0xdc, 0xde: token = skipping(2, .collection)
            case 0xdd, 0xdf: token = skipping(4, .collection)
            case 0xc0, 0xc2, 0xc3: token = .other
            default: token = nil
            }
            guard let token else {
                throw .malformed(path: path, what: "At byte \(index - 1) is no value that is known")
            }
            tokens.append(token)
        }
        return tokens
    }
}
