import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS

extension RemoteProcess {
    /// What it has mapped, as a thread of it shows it that lives.
    package func map() throws(RemoteRefusal) -> ProcessMap {
        do { return try ProcessMap(pid: pid, directory: livingDirectory) } catch {
            switch error {
            case .noProcess: throw .vanished(pid: pid)
            case .unreadable(let path, let code): throw .procUnreadable(pid: pid, path: path, code: code)
            default: throw .procUnreadable(pid: pid, path: livingDirectory + "/maps", code: EINVAL)
            }
        }
    }
}

extension ProcessMap {
    /// An address for `count` bytes in the middle of the widest gap: terabytes from the heap, the stacks and where mmap goes
    /// on, so that none of them will ever meet it.
    func freeAddress(count: Int) -> Address? {
        var best: Range<UInt64>?
        var previous: UInt64 = 0x1_0000_0000
        // What the kernel shows in its own half of the addresses (vsyscall) ends no gap.
        for region in regions where region.range.lowerBound.rawValue < 1 << 63 {
            let start = region.range.lowerBound.rawValue
            if start > previous, start - previous > (best.map { $0.upperBound - $0.lowerBound } ?? 0) {
                best = previous..<start
            }
            previous = max(previous, region.range.upperBound.rawValue)
        }
        guard let best, best.upperBound - best.lowerBound > UInt64(count) + (4 << 30) else { return nil }
        let middle = best.lowerBound + (best.upperBound - best.lowerBound) / 2
        let jitter = UInt64.random(in: 0..<(1 << 30))
        return Address(middle + jitter).roundedDown(to: 1 << 16)
    }
}
