import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchTestSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct LibraryTests {
        static func load(_ agent: Agent, _ victim: Victim, _ path: String) throws -> RemoteLibrary {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw TestFailure("cannot open \(path)") }
            defer { close(descriptor) }
            return try agent.load(
                libraryDescriptor: descriptor, dlopen: victim.libc("dlopen"), dlerror: victim.libc("dlerror"),
                deadline: .after(milliseconds: 20_000))
        }

        static func descriptors(_ pid: Int32) -> Int {
            var count = 0
            guard let stream = opendir("/proc/\(pid)/fd") else { return -1 }
            defer { closedir(stream) }
            while readdir(stream) != nil { count += 1 }
            return count
        }

        static func mappings(_ pid: Int32) throws -> ProcessMap {
            try ProcessMap(pid: pid)
        }

        /// Ten libraries into a process that does nothing but allocate, print and wait.
        @Test(arguments: ["mmsen", "mmmmsserp"]) func loadsIntoABusyProcess(threads: String) throws {
            let victim = try Victim(threads, main: "m")
            let open = Self.descriptors(victim.pid)
            var stops: [UInt64] = []
            for index in 1...10 {
                let library = try Workshop.library("counted", as: "counted-\(threads)-\(index).so")
                let agent = try victim.startAgent()
                stops.append(agent.borrowedNanoseconds)
                let loaded = try Self.load(agent, victim, library)
                #expect(loaded.handle != .null)
                expect(victim.shared.loaded, equals: index)
                let symbol = try agent.scratch("replacement")
                let function = try agent.call(
                    victim.libc("dlsym"), loaded.handle.rawValue, symbol.rawValue,
                    deadline: .after(milliseconds: 20_000))
                try expect(agent.call(Address(function), deadline: .after(milliseconds: 20_000)), equals: 42)
                try agent.finish()
            }
            stops.sort()
            print("borrowed: median \(stops[5] / 1000) µs, worst \(stops[9] / 1000) µs")
            #expect(victim.makesProgress())
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
            expect(victim.shared.interrupted, equals: 0)
            expect(Self.descriptors(victim.pid), equals: open)
        }

        /// Neither memory, nor descriptors, nor the stub stay behind.
        @Test func leavesNothingBehind() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let memory = try process.memory()
            let slack = try #require(try ExecutableSlack.find(in: process, memory: memory).first)
            try victim.startAgent().finish()  // glibc keeps the first stack, and an arena
            let before = try Self.mappings(victim.pid).regions.count
            let descriptors = Self.descriptors(victim.pid)
            for _ in 0..<20 { try victim.startAgent().finish() }
            #expect(try Self.mappings(victim.pid).regions.count <= before)
            expect(Self.descriptors(victim.pid), equals: descriptors)
            let bytes = try memory.bytes(at: slack.lowerBound, count: slack.upperBound - slack.lowerBound)
            #expect(bytes.allSatisfy { $0 == 0 })
        }

        @Test func reportsWhatTheLoaderSays() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            let library = try Workshop.library("broken", as: "broken.so")
            let descriptors = Self.descriptors(victim.pid)
            let error = #expect(throws: AgentError.self) { try Self.load(agent, victim, library) }
            #expect("\(error!)".contains("nobody_has_this_function"), "\(error!)")
            expect(Self.descriptors(victim.pid), equals: descriptors)
            let text = try Workshop.directory + "/text.so"
            try StoppedProcessTests.write("no library", to: text)
            let second = #expect(throws: AgentError.self) { try Self.load(agent, victim, text) }
            #expect("\(second!)".contains("too short") || "\(second!)".contains("invalid ELF"), "\(second!)")
            try agent.finish()
            #expect(victim.makesProgress())
        }

        @Test func handsOverAFile() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            let file = try Workshop.directory + "/handed"
            try StoppedProcessTests.write("handed over", to: file)
            let descriptor = open(file, O_RDONLY | O_CLOEXEC)
            defer { close(descriptor) }
            let deadline = Deadline.after(milliseconds: 20_000)
            let there = try agent.receiveDescriptor(of: descriptor, deadline: deadline)
            try expect(ProcText.readLink("/proc/\(victim.pid)/fd/\(there)"), equals: file)
            let buffer = try agent.scratch([UInt8](repeating: 0, count: 16))
            try expect(agent.systemCall("read", 0, UInt64(there), buffer.rawValue, 16, deadline: deadline), equals: 11)
            expect(agent.string(at: buffer), equals: "handed over")
            try agent.closeReceived(deadline: deadline)
            try agent.finish()
        }
    }
}
