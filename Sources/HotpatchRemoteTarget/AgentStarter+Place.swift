import CPatchAgent
import Glibc
import HotpatchMemory
import HotpatchProcFS

// Where the stub goes.
extension AgentStarter {
    mutating func findPlaces(in map: ProcessMap) throws {
        let count = AgentStub.count
        let files = TargetFiles(pid: process.pid, root: process.livingDirectory + "/root")
        for slack in symbols.slack ?? ExecutableSlack.find(in: map, of: process, memory: memory) {
            let start = slack.lowerBound.roundedUp(to: 64)
            guard start < slack.upperBound, slack.upperBound - start >= count else { continue }
            // One write inside one page is whole or absent.
            guard start.roundedDown(to: MemoryPage.size) == (start + (count - 1)).roundedDown(to: MemoryPage.size),
                let bytes = try? memory.bytes(at: start, count: count)
            else { continue }
            // The linker may have let the rest of the page be the file's next bytes; nobody refers to them there.
            var place = StubPlace(range: start..<start + count, vacant: [UInt8](repeating: 0, count: count))
            if bytes != place.vacant {
                if let region = map.region(containing: start),
                    let file = files.bytes(mapped: region, at: start, count: count)
                {
                    place.vacant = file
                }
                let magic = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
                if magic == AgentStub.magic {
                    try evictPredecessor(from: place)
                } else if bytes != place.vacant {
                    continue
                }
            }
            places.append(place)
        }
        if places.isEmpty { throw RemoteRefusal.noRoomForStub(pid: process.pid, needed: count) }
    }

    /// A stub stands there: its patcher is at work, has died, or could not tell that the stub was free. Its agent is waited for, and
    /// then all threads are stopped to see that none is inside.
    private mutating func evictPredecessor(from place: StubPlace) throws {
        let stub = place.range
        let header = try memory.value(hp_agent_stub.self, at: stub.lowerBound)
        let old = Address(header.area)
        var backoff = Backoff(first: 1000, longest: 20_000)
        // One that has just been put there has no agent yet.
        let start = Deadline.after(milliseconds: 50)
        while livingAgent(area: old) || !start.hasPassed {
            if deadline.hasPassed { throw RemoteRefusal.anotherPatcher(pid: process.pid) }
            backoff.sleep()
            guard try memory.value(UInt64.self, at: stub.lowerBound) == AgentStub.magic else { return }
        }
        let isStillThere: Bool
        do {
            isStillThere = try holds.hold(process, deadline: deadline) { stopped in
                guard try memory.value(hp_agent_stub.self, at: stub.lowerBound).area == header.area else {
                    return false
                }
                if let thread = try stopped.firstThread(in: stub) {
                    throw CommitError.busy(thread: thread, address: stub.lowerBound, foundAt: nil)
                }
                try memory.write(place.vacant, at: stub.lowerBound)
                return true
            }
        } catch CommitError.busy(let thread, _, _) {
            throw RemoteRefusal.stubInUse(pid: process.pid, thread: thread)
        }
        // Another patcher was faster.
        guard isStillThere else { throw RemoteRefusal.anotherPatcher(pid: process.pid) }
        // No thread is in the stub, so none uses the area: but only an area that says what it is is unmapped.
        if (try? memory.value(UInt64.self, at: old + Int(HP_AREA_MAGIC))) == AgentStub.magic,
            let size = try? memory.value(UInt64.self, at: old + Int(HP_AREA_SIZE)), size == header.area_size,
            size <= 1 << 24
        {
            abandonedAreas.append((old.rawValue, size))
        }
    }

    private func livingAgent(area: Address) -> Bool {
        guard (try? memory.value(UInt64.self, at: area + Int(HP_AREA_MAGIC))) == AgentStub.magic,
            let told = try? memory.value(Int32.self, at: area + Int(HP_AREA_AGENT_TID)), told > 0,
            let task = KnownTask(pid: process.pid, callingItself: told)
        else { return false }
        return task.name == AgentStub.threadName
    }
}
