import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchRemoteTarget
import HotpatchSymbols

/// A process to be changed: examined, its symbols read, nothing touched yet.
struct Session {
    let inspection: Inspection
    let process: RemoteProcess
    let index: SymbolIndex
    let target: RemoteTarget
    let engine: PatchEngine

    init(pid: Int32, options: TargetOptions) throws(CommandError) {
        // Reading a large process, on a busy machine, takes its time too.
        let deadline = Deadline.after(milliseconds: options.timeout)
        let time = ReadingTime(milliseconds: options.timeout)
        do {
            process = try RemoteProcess.examine(pid: pid, allowSeccomp: options.allowSeccomp, deadline: deadline)
            inspection = try Inspection(pid: pid)
            let index = try inspection.symbols(within: time)
            self.index = index
            target = try RemoteTarget(process: process, symbols: index, options: options, deadline: deadline)
            let own = OwnCode(index: index)
            engine = PatchEngine(target: target, program: process.executable) { own.contains($0) }
            try time.check()
        } catch { throw CommandError(error) }
    }

    /// An error, or why it came to that: what was not read to its end is not there for whoever looks for it.
    func explained(_ error: any Error) -> CommandError {
        let error = CommandError(error)
        guard error.exitCode == .refused, let failure = index.time.failure else { return error }
        return CommandError(failure)
    }
}
