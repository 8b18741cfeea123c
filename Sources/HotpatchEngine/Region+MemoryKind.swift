import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

extension Region {
    /// What its protection says that it holds.
    var memoryKind: MemoryKind {
        permissions.contains(.execute) ? .text : permissions.contains(.write) ? .data : .constant
    }
}
