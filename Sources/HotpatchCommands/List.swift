import HotpatchEngine
import HotpatchMemory
import HotpatchSymbols
import HotpatchReload

/// `list`: what is patched in a process, by whomever.
package struct List: Sendable {
    package var pid: Int32
    /// What was reverted too, as far as the process's ledger still has it.
    package var all: Bool

    package init(pid: Int32, all: Bool = false) {
        self.pid = pid
        self.all = all
    }

    package func run() throws(CommandError) -> Report {
        let inspection = try Inspection(pid: pid)
        let patches = inspection.ledger.patches.map(\.record)
        let code = CodeFates(inspection)
        var found: [UInt32: Inspection.Found?] = [:]
        var entries: [(text: String, json: JSON)] = []
        for patch in patches where all || patch.state != .reverted {
            entries.append(describe(patch, inspection, code, &found))
        }
        let reverted = patches.count { $0.state == .reverted }
        var lines = entries.isEmpty ? [nothing(besides: reverted)] : entries.map(\.text)
        let (forgotten, unknown) = (inspection.ledger.forgotten, inspection.ledger.unknownRecords)
        if all, forgotten > 0 {
            lines.append(
                "\(forgotten) more \(forgotten == 1 ? "was" : "were") reverted, and \(forgotten == 1 ? "is" : "are") forgotten"
            )
        }
        let earlier = code.earlier(in: inspection.ledger)
        if let text = earlier.text { lines.append(text) }
        if unknown > 0 {
            lines.append(
                "note: a newer swift-hotpatch has recorded more than this one knows, \(unknown) record\(unknown == 1 ? "" : "s")"
            )
        }
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "patches": .array(entries.map(\.json)), "reverted": .number(reverted),
                "forgotten": .number(forgotten), "unknown_records": .number(unknown), "earlier": earlier.json,
            ])
    }

    private func nothing(besides reverted: Int) -> String {
        guard reverted > 0 else { return "process \(pid) has no patches" }
        return "process \(pid) has no patches in force (list --all shows \(reverted) that "
            + (reverted == 1 ? "was reverted)" : "were reverted)")
    }

    /// - Parameter known: what was found at the sites so far.
    private func describe(
        _ patch: PatchRecord, _ inspection: Inspection, _ code: CodeFates,
        _ known: inout [UInt32: Inspection.Found?]
    ) -> (text: String, json: JSON) {
        var text = "patch \(patch.id)  \(patch.stateText)  \(timestamp(patch.time))  \(patch.originText)"
        if patch.objects.isEmpty, !patch.source.isEmpty { text += "\n  library \(patch.source)" }
        for object in patch.objects { text += "\n  object \(object)" }
        if !patch.digest.isEmpty { text += "\n  build-id \(patch.digest)" }
        var details = ""
        var (functionsInForce, valuesInForce) = (0, 0)
        var functions: [JSON] = []
        for member in patch.members {
            let site = inspection.ledger.site(member.site)
            let found = known[site.id] ?? inspection.found(at: site)
            known.updateValue(found, forKey: site.id)
            let status = inspection.status(of: site, found, patch: patch, member: member)
            let name = displayName(site.name)
            if status == .inForce { functionsInForce += 1 }
            details += "\n  \(name) at \(site.entry) in \(site.imagePath)"
            let code = inspection.ledger.code(of: member)
            let through = code == member.replacement ? "" : " through \(member.replacement)"
            details += "\n    → \(displayName(member.replacementName)) at \(code)\(through)  \(status.text)"
            functions.append(
                .object([
                    "symbol": .string(site.name), "name": .string(name), "image": .string(site.imagePath),
                    "address": .string(site.entry.description), "replacement": .string(member.replacementName),
                    "replacement_address": .string(code.description),
                    "thunk": code == member.replacement ? .null : .string(member.replacement.description),
                    "original_address": .string(site.originalAddress.description), "status": .string(status.text),
                ]))
        }
        var data: [JSON] = []
        for store in patch.stores {
            let location = inspection.ledger.data(store.location)
            let status = inspection.status(of: location, patch: patch, store: store)
            if location.kind == .value {
                if status == .inForce { valuesInForce += 1 }
                details += "\n  \(displayName(location.name)), \(store.bytes.count) bytes at \(location.address)"
                details += (location.imagePath.isEmpty ? "" : " in \(location.imagePath)") + "  \(status.text)"
            }
            data.append(
                .object([
                    "kind": .string(location.kind == .value ? "value" : "original-pointer"),
                    "symbol": .string(location.name), "image": .string(location.imagePath),
                    "address": .string(location.address.description), "size": .number(store.bytes.count),
                    "status": .string(status.text),
                ]))
        }
        let memory = LinkedMemory(inspection.ledger, of: patch.id)
        let fate = code.fate(of: patch.id)
        let isSuperseded =
            patch.state == .applied && functionsInForce + valuesInForce == 0
            && !(functions.isEmpty && data.isEmpty)
        if !patch.objects.isEmpty {
            text += "\n  takes \(memory)"
            if patch.state == .applied {
                text +=
                    "; \(functionsInForce) of \(functions.count) function\(functions.count == 1 ? "" : "s") in force"
                text += isSuperseded ? ": superseded" : ""
            }
            if let told = fate.text { text += "\n  \(told)" }
        }
        return (
            text + details,
            .object([
                "id": .number(Int(patch.id)), "state": .string(patch.stateText), "time": .string(timestamp(patch.time)),
                "origin": .string(patch.origin.fromOutside ? "outside" : "code"),
                "by_pid": .number(Int(patch.origin.pid)),
                "by_uid": .number(Int(patch.origin.uid)), "library": .string(patch.objects.isEmpty ? patch.source : ""),
                "objects": .array(patch.objects.map(JSON.string)),
                "build_id": .string(patch.digest), "functions": .array(functions),
                "data": .array(data), "functions_in_force": .number(functionsInForce),
                "superseded": .bool(isSuperseded), "memory": memory.json,
                "segments": memory.segmentsJSON, "code": fate.json,
            ])
        )
    }
}

extension PatchRecord {
    /// A state that a command can only see in the ledger once the patcher that set it is dead is told as that.
    var stateText: String {
        switch state {
        case .applying: "interrupted while applying"
        case .applied: "applied"
        case .reverting: "interrupted while reverting"
        case .reverted: "reverted"
        }
    }

    var originText: String {
        origin.fromOutside ? "by swift-hotpatch (pid \(origin.pid), uid \(origin.uid))" : "from code"
    }
}

/// A demangled name, or the name itself.
func displayName(_ mangled: String) -> String { Demangling.demangle(mangled) ?? mangled }
