import HotpatchEngine
import Glibc
import Hotpatch
import HotpatchTestSupport

/// A program that patches itself while it does what one of the victims does.
enum InsidePatcher {
    /// Microseconds between two operations.
    nonisolated(unsafe) private static var pause: UInt32 = 0

    /// `LIBRARY MICROSECONDS [ARGUMENT]`: runs `main` of a shared library with the argument, and meanwhile replaces and reverts its
    /// `price` on another thread, with such pauses.
    static func serve(_ arguments: [String]) -> Never {
        guard arguments.count >= 2, let number = UInt32(arguments[1]), case let library = arguments[0],
            let handle = dlopen(library, RTLD_NOW),
            let start = dlsym(handle, "main")
        else {
            print("cannot load \(arguments)")
            exit(64)
        }
        pause = number
        // On a busy machine, commands from outside may hold the threads for long, each of them.
        try? Patch.configure(.init(timeout: .seconds(60)))
        var thread = pthread_t()
        pthread_create(&thread, nil, { _ in InsidePatcher.patchForEver() }, nil)
        let strings = ([library] + arguments.dropFirst(2)).map { strdup($0) } + [nil]
        let main = unsafeBitCast(
            start, to: (@convention(c) (Int32, UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Int32).self)
        exit(main(Int32(strings.count - 1), strings))
    }

    private static func patchForEver() -> Never {
        while true {
            do {
                let patch = try Patch.replace(symbol: "price", with: { _ in 42 } as @convention(c) (Int32) -> Int32)
                usleep(pause)
                do throws(PatchError) { try patch.revert() } catch {
                    // By somebody from outside, who reverts whatever there is.
                    guard error.code == .notInForce else { throw error }
                }
            } catch {
                print("the patch failed: \(error)")
                exit(1)
            }
            usleep(pause)
        }
    }
}
