import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension ObjectTests {
    /// Processes that nobody may trace, and that let themselves be changed (`ReloaderLoop`).
    @Suite struct ReloaderTests {
        /// Runs what follows without the right to trace every process: as any user, one that is not dumpable it cannot trace.
        static let untracing = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]

        private func command(_ arguments: [String]) throws -> RunResult {
            try run(Self.untracing + [products + "/swift-hotpatch"] + arguments)
        }

        /// Swift: what the command says, and what the program hears, is the same as when it is traced.
        @Test func objectsAreAppliedByTheProcess() throws {
            let victim = try SelfLinked()
            try victim.expect(["loop": "listening", "listen": "listening"])
            let id = "\(victim.program.pid)"
            func apply(_ paths: [String]) throws -> RunResult {
                try command(["apply", paths[0], "--base", paths[1], "--pid", id, "--timeout", "60"])
            }
            let base = try victim.edit(["Desk": []])[0]
            let nothing = try apply([base, base])
            #expect(nothing.status == 0 && nothing.output.hasPrefix("nothing to apply to process \(id)"), "\(nothing)")
            let edit = try victim.edit(["Desk": [("helper v1", "helper v2")]])
            let planned = try command([
                "apply", edit[0], "--base", edit[1], "--pid", id, "--timeout", "60", "--dry-run",
            ])
            #expect(planned.status == 0 && planned.output.hasPrefix("would be linked into process \(id)"), "\(planned)")
            try victim.expect(["page": "page v1 helper v1 7"])
            let applied = try apply(edit)
            expect(applied.status, equals: 0, "\(applied)")
            #expect(applied.output.hasPrefix("patch 1 applied to process \(id): 1 function, "), "\(applied)")
            try victim.expect(["page": "page v1 helper v2 7"])
            var told = ""
            for _ in 0..<1000 where !told.hasPrefix("1: Desk.(helper in ") {
                told = try victim.program.ask("told")
                usleep(10_000)
            }
            #expect(told.hasPrefix("1: Desk.(helper in "), "\(told)")
            let grown = try victim.edit(["Desk": [("var level = 1", "var level = 1\n    var unit = \"m\"")]])
            let refused = try apply(grown)
            expect(refused.status, equals: 2, "\(refused)")
            #expect(refused.errors.contains("stored property 'unit: String' added: restart needed"), "\(refused)")
            let missing = try apply(["/nowhere.o", grown[1]])
            #expect(missing.status == 2 && missing.errors.contains("cannot read /nowhere.o"), "\(missing)")
            try victim.expect(["page": "page v1 helper v2 7"])
            expect(victim.program.finish(), equals: 0)
        }

        /// Under `watch`, from the save to the new code. What neither may be traced nor listens is told what it could do.
        @Test func isWatched() throws {
            let directory = try TemporaryDirectory("looped")
            let folder = directory.path
            let source = try String(readingFile: Client.victims + "/commands/looped.c")
            try Client.write(source, to: folder + "/looped.c")
            try Client.write(
                """
                import Glibc
                import Hotpatch

                @_cdecl("start_loop")
                public func startLoop() {
                    do {
                        // A busy machine gives a build for debugging little to link with.
                        try Patch.configure(Patch.Options(timeout: .seconds(60)))
                        try ReloaderLoop.start()
                    } catch {
                        print(error)
                        exit(1)
                    }
                }

                """, to: folder + "/start.swift")
            try Client.compile(["-parse-as-library", "start.swift"], module: "Start", in: folder, [])
            try Client.write(
                """
                [{"directory": "\(folder)", "file": "looped.c", "output": "looped.o",
                  "arguments": ["gcc", "-g", "-O0", "-c", "looped.c", "-o", "looped.o"]}]

                """, to: folder + "/compile_commands.json")
            try runTool("sh", "-c", "cd \"$0\" && gcc -g -O0 -c looped.c -o looped.o", folder)
            let linked = try run(
                ["swiftc", "-o", folder + "/looped", folder + "/looped.o", folder + "/start.o"] + Client.library()
                    + ["-lcapstone"])
            guard linked.status == 0 else { throw TestFailure("cannot link: \(linked)") }

            var text = source
            func save(_ edits: (String, String)...) throws {
                for (old, new) in edits {
                    let parts = text.components(of: old)
                    guard parts.count == 2 else { throw TestFailure("\(old) is there \(parts.count - 1) times") }
                    text = parts[0] + new + parts[1]
                }
                try Client.write(text, to: folder + "/looped.c~")
                guard rename(folder + "/looped.c~", folder + "/looped.c") == 0 else { throw TestFailure("rename") }
            }
            let watched = try watch("./looped", in: folder)
            _ = try event("ready", of: watched)
            try expect(ask("hello", watched), equals: "= hello")
            try expect(ask("count", watched), equals: "= 1")
            try save(("\"hello\"", "\"good day\""), ("return ++count", "return count += 10"))
            let applied = try event("applied", of: watched)
            #expect(applied.contains("\"hello\"") && applied.contains("\"next\""), "\(applied)")
            try expect(ask("hello", watched), equals: "= good day")
            try expect(ask("count", watched), equals: "= 11")
            try save(("int amount;", "int amount, tax;"))
            let refused = try event("refused", of: watched)
            #expect(refused.contains("price"), "\(refused)")
            try save(("int amount, tax;", "int amount;"), ("\"good day\"", "\"hello\""), ("count += 10", "++count"))
            _ = try event("restored", of: watched)
            try expect(ask("hello", watched), equals: "= hello")
            try expect(ask("count", watched), equals: "= 12")
            kill(watched.pid, SIGTERM)
            expect(watched.finish(seconds: 20), equals: -SIGTERM)

            let quiet = try watch("./looped", "quiet", in: folder)
            _ = try event("ready", of: quiet)
            try expect(ask("hello", quiet), equals: "= hello")
            try save(("\"hello\"", "\"good day\""))
            let advised = try event("notice", of: quiet)
            #expect(advised.contains("ReloaderLoop.start()"), "\(advised)")
            _ = try event("refused", of: quiet)
            try expect(ask("hello", quiet), equals: "= hello")
            kill(quiet.pid, SIGTERM)
            expect(quiet.finish(seconds: 20), equals: -SIGTERM)
        }

        private func watch(_ command: String..., in folder: String) throws -> Conversation {
            let watch = Self.untracing + [products + "/swift-hotpatch", "watch", "--json", "--keep", "--"] + command
            return try Conversation(["sh", "-c", "cd \"$0\" && exec \"$@\"", folder] + watch, greeting: nil)
        }

        /// The next line that tells of such an event.
        private func event(_ name: String, of watched: Conversation) throws -> String {
            var seen: [String] = []
            let deadline = time(nil) + 120
            while time(nil) < deadline {
                do { seen.append(try watched.readLine(seconds: 120)) } catch {
                    throw TestFailure("\(error), after \(seen.joined(separator: "\n"))")
                }
                if seen.last!.contains("\"event\":\"\(name)\"") { return seen.last! }
            }
            throw TestFailure("no event \(name), after \(seen.joined(separator: "\n"))")
        }

        private func ask(_ question: String, _ watched: Conversation) throws -> String {
            try watched.say(question)
            while true {
                let line = try watched.readLine(seconds: 60)
                if line.hasPrefix("= ") { return line }
            }
        }
    }
}
