import Glibc
import Hotpatch

// What ager.c does with itself where it is linked with the library: it links objects into itself, or lets others do that.
private nonisolated(unsafe) var patches: [UInt32: ObjectPatch] = [:]

@_silgen_name("prctl") @discardableResult
private func hide(_ option: Int32, _: UInt, _: UInt, _: UInt, _: UInt) -> Int32

/// The answer to a line that asks for it; nil for another line. The text is the caller's.
@_cdecl("edit")
public func edit(_ line: UnsafePointer<CChar>) -> UnsafeMutablePointer<CChar>? {
    let words = String(cString: line).split { " \n".contains($0) }.map(String.init)
    do {
        switch words.first {
        case "apply":
            // A busy machine gives a build for debugging little to link with.
            try Patch.configure(Patch.Options(timeout: .seconds(60)))
            guard let patch = try Patch.apply(object: words[1], base: words[2]) else { return strdup("nothing") }
            patches[patch.id] = patch
            return strdup("\(patch.id)")
        case "revert":
            try patches[UInt32(words[1])!]!.revert()
            return strdup("reverted")
        case "revert-all":
            try Patch.revertAll()
            return strdup("reverted")
        case "revert-function":
            try Patch.revert(symbol: words[1])
            return strdup("reverted")
        case "objects":
            return strdup(
                try Patch.objects.map { "\($0.id) \($0.isInForce) \($0.codeSize) \($0.code)" }.joined(separator: "; "))
        case "hide":
            hide(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0)
            return strdup("hidden")
        case "loop":
            // Not to be traced by whoever lacks the right to trace everybody.
            hide(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0)
            try Patch.configure(Patch.Options(timeout: .seconds(60)))
            try ReloaderLoop.start()
            return strdup("listening")
        default: return nil
        }
    } catch let error as PatchError { return strdup("\(error.code): \(error.message)") } catch {
        return strdup("\(error)")
    }
}
