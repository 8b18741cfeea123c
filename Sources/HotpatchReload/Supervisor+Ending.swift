import CHotpatchLinux
import Glibc

extension Supervisor {
    /// Starts the command again, after it was stopped where it runs.
    package func restart(
        graceMilliseconds: Int = 5_000, signals: SupervisorSignals? = nil
    ) throws(SupervisorError) {
        try stop(graceMilliseconds: graceMilliseconds, signals: signals)
        try launch()
    }

    /// Ends the command: SIGTERM to its processes, and SIGKILL to those that are left after a while. Waits for it, at most that long
    /// and two seconds. Processes that have begun a session of their own, as daemons do, are left alone.
    /// - Parameter signals: one that comes while it waits cuts the waiting to a second. It is not taken.
    /// - Returns: how the process that was launched has ended; nil where that was known before.
    @discardableResult
    package func stop(
        graceMilliseconds: Int = 5_000, signals: SupervisorSignals? = nil
    ) throws(SupervisorError) -> ChildEnd? {
        try finish(SIGTERM, isSent: false, graceMilliseconds, signals)
    }

    /// Ends the command as if it had got a signal that this process has got: it does get it, unless the terminal has sent it to both.
    /// Then as ``stop(graceMilliseconds:signals:)``.
    @discardableResult
    package func end(
        by signal: SupervisorSignals.Signal, signals: SupervisorSignals? = nil, graceMilliseconds: Int = 10_000
    ) throws(SupervisorError) -> ChildEnd? {
        // A terminal that closes tells the leader of the session first, and no other.
        let hasReached = signal.isFromTerminal && !hasOwnGroup && signal.number != SIGHUP
        return try finish(signal.number, isSent: hasReached, graceMilliseconds, signals)
    }

    private func finish(
        _ signal: Int32, isSent: Bool, _ graceMilliseconds: Int, _ signals: SupervisorSignals?
    ) throws(SupervisorError) -> ChildEnd? {
        defer { terminal.restore() }
        var end = rootEnd
        var reached: [Int32: String] = [:]
        for victim in victims() { reached[victim.pid] = executable(of: victim.pid) }
        if !isSent {
            send(signal)
            // A process that is stopped takes no other signal.
            send(SIGCONT)
        }
        let start = linux_monotonic_time()
        var deadline = start + UInt64(max(0, graceMilliseconds)) * 1_000_000
        var isKilled = false
        var isHurried = false
        var isTold = false
        while true {
            if let root, let known = root.end() ?? (root.hasEnded && isForeign(root) ? .unknown : nil) {
                end = known
                linux_epoll_remove(descriptor, root.descriptor)
                self.root = nil
            }
            let rest = victims()
            if rest.isEmpty && root == nil { break }
            // What a process executes after it has got the signal has not got it: `swift run` loses one that comes while it reads the package.
            for victim in rest {
                guard let old = reached[victim.pid], let new = executable(of: victim.pid), new != old else { continue }
                reached[victim.pid] = new
                ChildHandle(pid: victim.pid, startTime: victim.startTime)?.send(signal)
            }
            let now = linux_monotonic_time()
            if !isTold, !isHurried, !rest.isEmpty, now >= start + 1_000_000_000, now + 1_000_000_000 < deadline {
                isTold = true
                isSlow?(rest.map(\.pid), Int((deadline - now + 500_000_000) / 1_000_000_000))
            }
            if now >= deadline {
                if isKilled { throw .notEnded(pids: rest.map(\.pid)) }
                isKilled = true
                deadline = now + 2_000_000_000
            }
            // What is forked meanwhile is killed in the next round.
            if isKilled { send(SIGKILL) }
            var waiting = [
                pollfd(fd: root?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isHurried ? -1 : signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            poll(&waiting, 2, root == nil ? 5 : 20)
            if waiting[1].revents != 0 {
                isHurried = true
                deadline = min(deadline, linux_monotonic_time() + 1_000_000_000)
            }
        }
        forget()
        return end
    }

    /// The processes that stopping ends.
    private func victims() -> [ChildTable.Entry] {
        let session = getsid(0)
        return family().filter { $0.pid == root?.pid || $0.pid == program?.pid || getsid($0.pid) == session }
    }

    private func send(_ signal: Int32) {
        let victims = victims()
        // The group's number is kept by the process that leads it, until somebody has waited for that.
        let hasGroup = hasOwnGroup && root != nil
        for victim in victims where !hasGroup || getpgid(victim.pid) != rootPID {
            ChildHandle(pid: victim.pid, startTime: victim.startTime)?.send(signal)
        }
        if hasGroup { kill(-rootPID, signal) }
    }
}
