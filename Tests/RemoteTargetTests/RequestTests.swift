import Glibc
import HotpatchEngine
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchSymbols
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    /// What the engine has a target do, from the beginning to the end of a session.
    @Suite struct RequestTests {
        /// One target serves a session of any length: each operation has its own time, and an agent that has left is started again. In
        /// each, one request of everything that a plan can say, and its revert.
        @Test func aSessionOfRequests() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let index = try SymbolIndex(
                map: ProcessMap(pid: victim.pid), memory: process.memory(), root: "/proc/\(victim.pid)/root")
            let target = try RemoteTarget(
                process: process, symbols: index, options: TargetOptions(timeout: .seconds(30)),
                deadline: .after(milliseconds: 30_000))
            target.agentIdle = 50_000_000
            let engine = PatchEngine(target: target, program: process.executable)
            let function = try index.function(named: "getppid", in: "libc.so.6")
            func answer() throws -> UInt64 { try target.call(Call(function.address, name: "getppid")) }
            try expect(answer(), equals: UInt64(getpid()))
            let data = Address(0x20_0000_0000)
            try target.map(data..<data + target.pageSize, .data)
            let constant = try readOnlyZeros(24, target)
            var request = PatchRequest(
                replacements: [], origin: .init(fromOutside: true, pid: getpid(), uid: getuid()))
            request.segments = [(MemoryKind.text, 64), (.constant, 5000), (.data, 16)].map {
                SegmentRequest(kind: $0.0, size: $0.1, near: function.address)
            }
            let (extent, rand) = (index.extent(of: function), try victim.libc("rand"))
            request.link = { segments in
                var linked = PatchRequest.Linked()
                // mov eax, 42; ret
                linked.contents = [[0xB8, 0x2A, 0, 0, 0, 0xC3], [UInt8](repeating: 7, count: 5000)]
                linked.replacements = [
                    Replacement(function: function, extent: extent, address: segments[0].lowerBound, name: "linked")
                ]
                linked.callsBefore = [Call(rand, name: "rand", answer: .stored(at: segments[2].lowerBound + 8))]
                return linked
            }
            request.stores = [data, constant].map { address in
                DataStore(
                    address: address, expected: [UInt8](repeating: 0, count: 24), bytes: [UInt8](1...24),
                    name: "a table")
            }
            func isStored() throws -> [Bool] {
                try request.stores.map { try target.memory.bytes(at: $0.address, count: 24) == $0.bytes }
            }
            func permissions(_ address: Address) throws -> Region.Permissions? {
                try target.processMap().region(containing: address)?.permissions
            }
            for round in 0..<3 {
                let receipt = try engine.apply(request)
                #expect(try victim.makesProgress() && answer() == 42, "round \(round)")
                try expect(isStored(), equals: [true, true])
                let segments = receipt.segments.map(\.lowerBound)
                try expect(segments.map(permissions), equals: [[.read, .execute], .read, [.read, .write]])
                try expect(target.memory.bytes(at: segments[1] + 4999, count: 2), equals: [7, 0])
                try expect(target.memory.value(UInt64.self, at: segments[2] + 8), equals: AgentTests.random[round])
                try expect(permissions(constant), equals: .read)

                // The time of the operation before is over, and the agent gone.
                if round == 0 {
                    target.deadline = .after(milliseconds: 0)
                    #expect(throws: PatchError.self) { try target.call(Call(rand, name: "rand")) }
                    target.endOperation()
                }
                usleep(200_000)
                _ = try engine.revert([receipt.id])
                #expect(try victim.makesProgress() && answer() == UInt64(getpid()), "round \(round)")
                try expect(isStored(), equals: [false, false])
                for store in request.stores {
                    try expect(target.memory.bytes(at: store.address, count: 24), equals: store.expected)
                }
                try expect(permissions(constant), equals: .read)
                usleep(200_000)
            }
            target.finish()
            #expect(victim.makesProgress())
        }

        /// Bytes that nobody uses, in what the loader has made read-only behind itself (RELRO).
        private func readOnlyZeros(_ count: Int, _ target: RemoteTarget) throws -> Address {
            let regions = try target.processMap().regions.filter { $0.path.contains("/libc.so.6") }
            let data = try #require(regions.firstIndex { $0.permissions.contains(.write) })
            let region = try #require(data > 0 ? regions[data - 1] : nil)
            #expect(region.permissions == .read && region.range.upperBound == regions[data].range.lowerBound)
            let bytes = try target.memory.bytes(at: region.range.lowerBound, count: region.count)
            let start = stride(from: bytes.count - count, through: 0, by: -8).first { start in
                bytes[start..<start + count].allSatisfy { $0 == 0 } && start % 4096 + count <= 4096
            }
            return region.range.lowerBound + (try #require(start))
        }
    }
}
