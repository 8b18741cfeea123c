import HotpatchEngine
import Foundation
import Glibc
import Hotpatch
import HotpatchLocalTarget
import HotpatchMemory
import HotpatchProcFS
import Subjects
import HotpatchSymbols

/// What the measurements work on.
public enum Workload {
    /// Functions in one transaction.
    public static let batch = 2000

    /// Look-ups in one measurement of the harness.
    public static let lookUps = 1000

    /// Loads what makes this process large. Foundation and its ICU come with this module.
    public static func loadLibraries() {
        precondition(subject_at(0) != nil)
        _ = Locale(identifier: "de_DE").identifier
        for library in [
            "libstdc++.so.6", "libcrypto.so.3", "libssl.so.3", "libpython3.11.so.1.0", "libFoundationNetworking.so",
            "libFoundationXML.so",
            "libswift_RegexParser.so",
            "lib_FoundationICU.so", "lib_FoundationInternationalization.so", "libcapstone.so.4", "libdw.so.1",
            "libxml2.so.2", "libsqlite3.so.0",
        ] { _ = dlopen(library, RTLD_NOW | RTLD_LOCAL) }
    }

    public static func index() throws -> SymbolIndex {
        try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory())
    }

    /// Entries of the symbol tables of all images, and the functions among them that are defined, aliases apart.
    public static func size(of index: SymbolIndex) -> (entries: Int, functions: Int, images: Int) {
        let entries = index.images.reduce(0) { $0 + $1.elf.symbols.count + $1.elf.dynamicSymbols.count }
        return (entries, index.functions(matching: "*").count, index.images.count)
    }

    /// `subject_00000` and so on.
    public static func name(_ number: Int) -> String {
        precondition(subject_at(number) != nil, "there are \(SUBJECT_COUNT) subjects")
        let digits = String(number)
        return "subject_" + String(repeating: "0", count: 5 - digits.count) + digits
    }

    /// Functions `first` and the following, each replaced by one that is equal in shape.
    public static func replacements(from first: Int, in index: SymbolIndex) throws -> [Replacement] {
        let other = try index.function(named: "subject_replacement")
        return try (first..<first + batch).map {
            let function = try index.function(named: name($0))
            return Replacement(
                function: function, extent: index.extent(of: function), address: other.address, name: other.name)
        }
    }

    public static func request(_ replacements: [Replacement]) -> PatchRequest {
        PatchRequest(replacements: replacements, origin: .init(fromOutside: false, pid: getpid(), uid: getuid()))
    }

    /// An engine for this process. It shares the ledger, not the index, with `Patch`.
    public static func engine(_ index: SymbolIndex) -> PatchEngine {
        PatchEngine(target: LocalTarget(), program: index.images.first { $0.isMainProgram }?.path ?? "")
    }

    /// One transaction through the public interface: two look-ups a function, by name and by address.
    @discardableResult
    public static func install(from first: Int) throws -> [Patch] {
        try Patch.transaction { transaction in
            for number in first..<first + batch {
                try transaction.replace(
                    symbol: name(number), with: subject_replacement as @convention(c) (Int32, Int32) -> Int32)
            }
        }
    }

    /// Names that are asked for: in the program, in libc, in the Swift runtime and in Foundation.
    public static let mangledNames = [
        "subject_00042", "getpid", "swift_retain", "$s20FoundationEssentials4DataV5countSivg",
    ]

    /// Starts threads that sleep: the commit must hold them.
    public static func startThreads(_ count: Int) {
        for _ in 0..<count {
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { _ in
                    while true { pause() }
                }, nil)
        }
    }
}
