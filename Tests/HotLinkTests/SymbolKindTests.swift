@testable import HotpatchHotLink
import HotpatchExpectations
import Testing

/// What names say, by their bytes.
@Suite struct SymbolKindTests {
    @Test func kinds() {
        func text(_ name: String) -> String {
            let kind = SymbolKind(name)
            let words = [
                kind.isAnonymous ? "anonymous" : nil, kind.isUnstable ? "unstable" : nil, kind.isPart ? "part" : nil,
            ]
            return words.compactMap(\.self).joined(separator: " ")
        }
        let table = [
            "": "anonymous", ".L.str.3.abc": "anonymous", "symbolic _____ 4Shop4CartV": "anonymous",
            "got.swift_once": "anonymous", "$s4Shop4pageyyF": "", "main": "", "_ZN4Shop4pageEv": "",
            "__swift_memcpy16_8": "unstable", "GCC_except_table3": "anonymous", "$s4Shop4pageyyFU_": "",
            "$s4Shop4pageyyFU_TA": "unstable", "$s4Shop4pageyyFU_TA.5": "unstable", "$s4Shop4pageyyFU_TATu": "unstable",
            "$s4Shop4pageyyFU_TA.5Tu": "unstable", "$s4Shop4name_WZ": "unstable", "$s4Shop4name_Wz": "",
            "$s4Shop4CartVWOh": "unstable", "$s4Shop4CartVWO": "", "$s4Shop4CartVwst": "unstable", "wst": "",
            "$s4Shop4pageyyYaFTY0_": "part", "$s4Shop4pageyyYaFTQ12_": "part", "$s4Shop4pageyyYaFTY_": "",
            "$s4Shop4pageyyYaFTQx_": "", "$s4Shop4pageyyFU_TA.5TQ1_": "unstable part", "$s4Shop1xSivM.resume.0": "part",
            ".resume.0": "part", "cnt.3": "", "$s4Shop4pageyyF.7": "unstable", "_": "", "1_": "", "TY": "", ".5": "",
        ]
        for (name, kind) in table { expect(text(name), equals: kind, "\(name)") }
        #expect(SymbolKind("get_witness_table SlRzlSaySSGSlHPyHC").isAnonymous)
        #expect(SymbolKind("keypath.3").isAnonymous)
        // In C they are names as others are.
        for name in ["get_price", "got.0", "keypath", "associated"] {
            #expect(!SymbolKind(name, inSwift: false).isAnonymous, "\(name)")
        }
        #expect(SymbolKind(".L.str", inSwift: false).isAnonymous)
    }

    @Test func numbersAndOwners() {
        let numbers = [
            "cnt.3": "cnt", "cnt.": "cnt.", "cnt.3a": "cnt.3a", ".3": ".3", "a.b.12": "a.b",
            "$s4ShopyyFTA.5Tu": "$s4ShopyyFTATu",
            "$s4ShopyyFTA.5TQ1_": "$s4ShopyyFTATQ1_", "$s4ShopyyFTA.5TQx_": "$s4ShopyyFTA.5TQx_",
            "$s4Shop1xSivM.resume.0": "$s4Shop1xSivM.resume.0", "": "", "é.7": "é",
        ]
        for (name, base) in numbers {
            expect(SymbolKind.withoutNumber(name), equals: base, "\(name)")
            expect(SymbolKind.hasNumber(name), equals: (name != base), "\(name)")
        }
        let owners = [
            "$s4Shop4pageyyYaFTY0_": "$s4Shop4pageyyYaF", "$s4Shop4pageyyYaFTQ12_": "$s4Shop4pageyyYaF",
            "$s4Shop1xSivM.resume.0": "$s4Shop1xSivM", "a.resume.0.resume.1": "a.resume.0", "TY0_": "", "Y0_": nil,
            "0_": nil,
            "$s4Shop4pageyyF": nil,
        ]
        for (name, owner) in owners { expect(SymbolKind.owner(of: name), equals: owner, "\(name)") }
    }

    /// Only what is mangled by Swift has closures, and an index that ends alike is none.
    @Test func closures() {
        let ends: [String: [Int]] = [
            "$s1m1fyyFyycfU_": [15], "$s1m1fyyFyycfU_yycfU12_TA": [15, 23], "$s1m1fyyFyycfu3_": [16], "main": [],
            "$": [],
            "$s": [], "$s_": [], "$sU_": [], "$sfU_": [5], "fU_": [],
        ]
        for (name, expected) in ends { expect(ClosureMatch.closureEnds(in: name), equals: expected, "\(name)") }
    }
}
