import CHotpatchLinux
import HotpatchELF
import HotpatchEngine
import Glibc
import Logging
import HotpatchMemory
import HotpatchObjects
import HotpatchPlan
import HotpatchRemoteTarget
import HotpatchSymbols
import HotpatchReload

/// `apply`: load a library into a process, and let its functions replace the process's own.
///
///     1. open the library once; read it and the process; compute everything
///     2. load the very file that was read, on a thread of its own
///     3. run hotpatch_on_apply
///     4. hold all threads, check, write, release
package struct Apply: Sendable {
    package var library: String
    package var pid: Int32
    package var only: [String]
    package var map: [(old: String, new: String)]
    package var image: String?
    /// Functions that are refused are left out and listed, and the others applied.
    package var keepGoing: Bool
    package var dryRun: Bool
    /// As root: load it though others could have written it.
    package var allowUnsafeOwner: Bool
    package var options: TargetOptions

    package init(
        library: String, pid: Int32, only: [String] = [], map: [(old: String, new: String)] = [], image: String? = nil,
        keepGoing: Bool = false, dryRun: Bool = false, allowUnsafeOwner: Bool = false,
        options: TargetOptions = TargetOptions()
    ) {
        self.library = library
        self.pid = pid
        self.only = only
        self.map = map
        self.image = image
        self.keepGoing = keepGoing
        self.dryRun = dryRun
        self.allowUnsafeOwner = allowUnsafeOwner
        self.options = options
    }

    package func run() throws(CommandError) -> Report {
        let descriptor = linux_open(library, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandError("cannot open \(library): \(systemError(errno)). Check the path.")
        }
        defer { _ = linux_close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError("cannot load \(library): it is not a regular file. Name the shared library itself.")
        }
        let log = Logger(label: "swift-hotpatch")
        let session = try Session(pid: pid, options: options)
        defer { session.target.finish() }
        do {
            let patch = try PatchLibrary(
                image: ElfImage(descriptor: descriptor, path: library), path: library,
                architecture: session.target.architecture, time: session.index.time)
            try checkTrusted(status, descriptor: descriptor, session: session)
            try session.target.requireLoader()
            try checkUnwritten(patch.image, status, session: session)
            let unexported = try checkResolved(session.index.unresolvedSymbols(of: patch.image), in: session.index)
            var matches = try patch.matches(
                in: session.index,
                selection: .init(only: only, map: map, image: image, leavesOutRefused: keepGoing))
            matches.notes += bindingNotes(unexported)
            let entries = matches.entries
            log.debug("\(session.index.images.count) images read, \(entries.count) functions to replace")
            if !dryRun { try checkProc(session.index) }
            // Everything that can be refused is, before anything is loaded.
            let planned = try session.engine.plan(
                request(matches, patch: patch, session: session, bias: provisionalBias, loaded: nil),
                map: session.inspection.map, state: session.inspection.ledger)
            if dryRun {
                let report = dryReport(planned, matches, patch: patch, session: session)
                try session.index.time.check()
                return report
            }
            // Told afterwards, and computed before: nothing that can go wrong may come between a commit and its report.
            let descriptions = entries.map { describe($0, session: session) }
            try session.index.time.check()
            let bound =
                unexported.addresses.isEmpty
                ? nil : try BoundLibrary(copying: descriptor, path: library, unexported.addresses)
            let receipt = try commit(
                matches, patch: patch, descriptor: bound?.descriptor ?? descriptor, session: session, log: log)
            return report(receipt, descriptions, matches.leftOut)
        } catch { throw session.explained(error) }
    }

    private func checkProc(_ index: SymbolIndex) throws(CommandError) {
        guard !index.files.haveProc else { return }
        throw CommandError(
            "process \(pid) has no /proc in its root directory, and its loader opens the library there, as /proc/self/fd/N. "
                + "Mount one there (mount -t proc proc ROOT/proc, for a process in a chroot).")
    }

    private func checkTrusted(_ status: stat, descriptor: Int32, session: Session) throws(CommandError) {
        guard geteuid() == 0, !allowUnsafeOwner,
            let objection = LibraryTrust(owner: session.process.userID).objection(
                to: status, descriptor: descriptor, path: library)
        else { return }
        throw CommandError(
            "\(objection). What root loads into process \(pid) must be nobody else's to write: not the file, nor the folders it lies "
                + "in. Copy it to a folder of root's (chmod go-w), or say --allow-unsafe-owner.")
    }

    /// What was left out, or is known in part: no half of a patch in silence.
    private func imageNotes(in index: SymbolIndex) -> [String] {
        var notes = index.problems.map { "an image was left out, and none of its functions is replaced: \($0)" }
        for image in index.images where image.isFromMemory {
            notes.append(
                "\(image.path) cannot be read any more: only the functions that it exports are known, from the memory of process \(pid)"
            )
        }
        guard notes.count > 16 else { return notes }
        return notes.prefix(16) + ["and so for \(notes.count - 16) images more"]
    }

    /// A file that the process has loaded before must not have been written since: the loader would take the two for the same
    /// library, and give the old one's data for the new one's code. The ledger tells when it was applied; of one that was refused, and
    /// stays loaded, only the memory tells.
    private func checkUnwritten(_ image: ElfImage, _ status: stat, session: Session) throws(CommandError) {
        let remedy =
            "its loader would not load it anew. Apply a copy of it; build into a new file, not over the old one, and rename that."
        let written = UInt64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ UInt64(status.st_mtim.tv_nsec)
        for patch in session.inspection.ledger.patches.map(\.record)
        where patch.origin.fromOutside && patch.time < written {
            let isSame = patch.members.contains {
                let code = session.inspection.ledger.code(of: $0)
                return session.inspection.map.region(containing: code)?.inode == UInt64(status.st_ino)
            }
            guard isSame else { continue }
            throw CommandError(
                "\(library) was written to after it was applied as patch \(patch.id). Process \(pid) has the very file mapped, and "
                    + remedy)
        }
        // The other segments of a small file begin in its first page too, and are mapped from there.
        let starts = image.loadSegments.filter { $0.fileOffset < UInt64(session.target.pageSize) }.map {
            $0.address &- $0.fileOffset
        }
        guard !starts.isEmpty else { return }
        for region in session.inspection.map.regions
        where region.inode == UInt64(status.st_ino) && region.fileOffset == 0 && isSame(region, status) {
            let isLoaded = starts.contains {
                image.isLoaded(
                    at: LoadBias(mapped: region.range.lowerBound, linked: $0), in: session.inspection.memory)
            }
            if isLoaded { continue }
            throw CommandError(
                "\(library) was written to after process \(pid) had loaded it, at \(region.range.lowerBound): a patch that is refused "
                    + "stays loaded. The process has the very file mapped, and " + remedy)
        }
    }

    /// Whether a mapping of the same inode number is of the same file. Some file systems show another device in the map.
    private func isSame(_ region: Region, _ status: stat) -> Bool {
        // As makedev(3) puts the two together.
        let (major, minor) = (UInt64(region.deviceMajor), UInt64(region.deviceMinor))
        let device = minor & 0xFF | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32
        return device == UInt64(status.st_dev) || region.path == fullPath(library)
    }

    /// To apply the very library once more is allowed, and seldom meant.
    private func repetition(of patch: PatchLibrary, _ session: Session) -> [String] {
        guard !patch.digest.isEmpty else { return [] }
        return session.inspection.ledger.patches.map(\.record).filter {
            $0.state == .applied && $0.origin.fromOutside && $0.digest == patch.digest
        }.suffix(1).map {
            "the same library (build-id \(patch.digest)) is in force as patch \($0.id): its functions are replaced once more by the "
                + "same, and reverting either leaves the other"
        }
    }

    /// - Returns: what the process has and does not export.
    private func checkResolved(
        _ unresolved: UnresolvedSymbols, in index: SymbolIndex
    ) throws(CommandError) -> UnexportedSymbols {
        func list(_ names: [String]) -> String {
            names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", and \(names.count - 8) more" : "")
        }
        guard unresolved.libraries.isEmpty else {
            throw CommandError(
                "\(library) needs libraries that process \(pid) could not load: \(list(unresolved.libraries)). "
                    + "They are neither loaded nor found where its loader looks. Install them there, or link without them."
            )
        }
        if unresolved.symbols.isEmpty { return UnexportedSymbols() }
        let found: UnexportedSymbols
        do throws(SymbolError) { found = try index.unexportedSymbols(named: unresolved.symbols) } catch {
            throw CommandError(
                "\(library) needs a symbol that process \(pid) does not export. \(CommandError(error).description)")
        }
        guard found.missing.isEmpty else {
            throw CommandError(
                "\(library) needs symbols that process \(pid) does not have: \(list(found.missing)). "
                    + "It could not be loaded. Link the library with what defines them.")
        }
        guard found.threadLocal.isEmpty, index.bindsAbsoluteSymbols else {
            let names = found.threadLocal.isEmpty ? unresolved.symbols : found.threadLocal
            let why =
                found.threadLocal.isEmpty ? "Its glibc is older than 2.28" : "They are thread-local, without an address"
            throw CommandError(
                "\(library) needs symbols that process \(pid) has and does not export: \(list(names)). \(why), so they cannot be bound. "
                    + "Link the program with --export-dynamic, and restart it.")
        }
        return found
    }

    private func bindingNotes(_ unexported: UnexportedSymbols) -> [String] {
        let names = unexported.addresses.keys.map(displayName).sorted()
        guard !names.isEmpty else { return [] }
        let list = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", and \(names.count - 3) more" : "")
        var notes = ["what the process has and does not export was bound to where it is: \(list)"]
        if let first = unexported.staticFunctions.sorted().first {
            notes.append(
                "\(displayName(first)) is static: where the program is optimised, the compiler may have changed how its arguments are "
                    + "passed")
        }
        return notes
    }

    /// Stands for the load bias of a library that is not loaded: canonical, and nowhere near anything.
    private var provisionalBias: LoadBias { LoadBias(rawValue: 1 << 46) }

    private func commit(
        _ matches: LibraryMatches, patch: PatchLibrary, descriptor: Int32, session: Session, log: Logger
    ) throws -> Receipt {
        let loaded = try session.target.load(descriptor: descriptor)
        log.debug("loaded as \(loaded.mappedPath), bias \(Address(loaded.bias.rawValue))")
        do {
            let receipt = try session.engine.apply(
                request(matches, patch: patch, session: session, bias: loaded.bias, loaded: loaded))
            log.debug("committed: \(receipt.summary)")
            return receipt
        } catch {
            throw leavingLoaded(error, hasEnded: session.target.hasEnded)
        }
    }

    /// A library stays once it is loaded. Its constructors have run code of it, and nobody can tell what they have left behind: a
    /// thread inside it, a pointer to it in a list of handlers or in the Swift runtime.
    private func leavingLoaded(_ error: any Error, hasEnded: Bool) -> CommandError {
        var result = CommandError(error)
        if hasEnded { return result }
        result.description +=
            " \(library) stays loaded in process \(pid), for its constructors have run; nothing calls it from now on unless they saw to it. "
            + "Build another one into a new file, not over this one."
        return result
    }

    private func request(
        _ matches: LibraryMatches, patch: PatchLibrary, session: Session, bias: LoadBias, loaded: LoadedLibrary?
    ) -> PatchRequest {
        let replacements = matches.entries.map { entry in
            Replacement(
                function: entry.function, extent: session.index.extent(of: entry.function),
                address: bias.address(ofLinked: entry.replacement.value), name: entry.replacement.name,
                originalPointer: entry.originalPointer.map { bias.address(ofLinked: $0) }, context: entry.context)
        }
        let onRevert = patch.onRevert.map { bias.address(ofLinked: $0) }
        var request = PatchRequest(
            replacements: replacements, origin: .init(fromOutside: true, pid: getpid(), uid: getuid()),
            source: loaded.map { $0.mappedPath.hasPrefix("/memfd:") ? fullPath(library) : $0.mappedPath } ?? library,
            digest: patch.digest, handle: loaded?.handle ?? 0,
            onRevert: onRevert ?? .null,
            notes: patch.notes(in: session.index) + matches.notes + repetition(of: patch, session)
                + imageNotes(in: session.index))
        request.leavesOutRefused = keepGoing
        for (place, entry) in matches.entries.enumerated() { request.refusals[place] = entry.refusal }
        request.callsBefore =
            patch.onApply.map { onApply in
                // What agreed to be applied may have handed out pointers to itself: it is told where that comes to nothing.
                let undo = onRevert.map { Call.Undo.call(Call($0, name: "hotpatch_on_revert")) }
                return [
                    Call(
                        bias.address(ofLinked: onApply), name: "hotpatch_on_apply", of: library, answer: .zero,
                        undo: undo ?? .nothing)
                ]
            } ?? []
        return request
    }
}

// MARK: Reports

extension Apply {
    private func dryReport(
        _ planned: PlannedPatch, _ matches: LibraryMatches, patch: PatchLibrary, session: Session
    ) -> Report {
        let refused = planned.refused
        let entries = applied(matches.entries, without: refused)
        var lines = [
            "\(library) would replace \(entries.count) function\(entries.count == 1 ? "" : "s") of process \(pid):"
        ]
        for entry in entries { lines += describe(entry, session: session).lines }
        lines += refused.map(line)
        for function in matches.leftOut { lines.append("  left out: \(displayName(function.name))") }
        if patch.onApply != nil { lines.append("  before: hotpatch_on_apply runs") }
        lines += planned.notes.map { "note: \($0)" }
        lines.append(planned.description)
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true), "library": .string(fullPath(library)),
                "functions": .array(entries.map { describe($0, session: session).json }),
                "refused": .array(refused.map(json)),
                "left_out": .array(matches.leftOut.map { .string($0.name) }),
                "notes": .array(planned.notes.map(JSON.string)), "plan": .string(planned.description),
            ], exitCode: refused.isEmpty ? .done : .doneInPart)
    }

    private func report(
        _ receipt: Receipt, _ described: [(lines: [String], json: JSON)], _ leftOut: [LeftOut]
    ) -> Report {
        let refused = receipt.refused
        let functions = applied(described, without: refused)
        var lines = [
            "patch \(receipt.id) applied to process \(pid): \(functions.count) function\(functions.count == 1 ? "" : "s"), "
                + (refused.isEmpty ? "" : "\(refused.count) refused, ") + pauseText(receipt.summary)
        ]
        for function in functions { lines += function.lines }
        lines += refused.map(line)
        let notes = receipt.notes + (interruptionText(receipt.summary).map { [$0] } ?? [])
        lines += notes.map { "note: \($0)" }
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "patch": .number(Int(receipt.id)), "library": .string(fullPath(library)),
                "functions": .array(functions.map(\.json)),
                "refused": .array(refused.map(json)),
                "left_out": .array(leftOut.map { .string($0.name) }),
                "pause_ns": .number(Int(clamping: receipt.summary.pauseNanoseconds)),
                "holds": .number(receipt.summary.holds),
                "held_ns": .number(Int(clamping: receipt.summary.totalNanoseconds)),
                "threads": .number(receipt.summary.heldThreads), "moved": .number(receipt.summary.movedThreads),
                "interrupted": .number(receipt.summary.interruptedCalls), "notes": .array(notes.map(JSON.string)),
            ], exitCode: refused.isEmpty ? .done : .doneInPart)
    }

    /// What is applied of what stands for the request's functions.
    private func applied<T>(_ all: [T], without refused: [RefusedReplacement]) -> [T] {
        let places = Set(refused.map(\.index))
        return all.indices.filter { !places.contains($0) }.map { all[$0] }
    }

    private func line(_ refused: RefusedReplacement) -> String {
        "  refused: \(displayName(refused.function.name)): \(refused.error.description)"
    }

    private func json(_ refused: RefusedReplacement) -> JSON {
        .object([
            "symbol": .string(refused.function.name), "name": .string(displayName(refused.function.name)),
            "image": .string(refused.function.image.path), "address": .string(refused.function.address.description),
            "reason": .string(refused.error.description),
        ])
    }

    private func describe(_ entry: LibraryEntry, session: Session) -> (lines: [String], json: JSON) {
        let copies = session.index.unreachedCopies(of: entry.function)
        var name = displayName(entry.function.name)
        var replacement = displayName(entry.replacement.name)
        // Which of several versions, where the library says so itself.
        if let version = entry.function.version, let own = entry.replacement.version {
            name += "@\(version)"
            replacement += "@\(own)"
        }
        var lines = ["  \(name) at \(entry.function.address) in \(entry.function.image.path)"]
        if replacement != name { lines.append("    → \(replacement)") }
        let same = session.index.functionsOfSameCode(as: entry.function)
        lines += same.map { "    also changes \(displayName($0.name)), which is the same code" }
        lines += copies.copies.map { "    warning: not reached: \($0)" }
        return (
            lines,
            .object([
                "symbol": .string(entry.function.name), "name": .string(name),
                "version": entry.function.version.map(JSON.string) ?? .null,
                "image": .string(entry.function.image.path), "address": .string(entry.function.address.description),
                "replacement": .string(entry.replacement.name),
                "same_code": .array(same.map { .string($0.name) }),
                "unreached": .array(copies.copies.map { .string($0.description) }),
            ])
        )
    }
}
