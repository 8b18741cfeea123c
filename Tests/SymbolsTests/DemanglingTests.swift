import HotpatchDemangle
import HotpatchELF
import HotpatchExpectations
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@Suite struct DemanglingTests {
    /// Each makes the runtime abort() (Swift 6.3.1): a mark of a pack or a value that is in no generic signature, or not first in it.
    @Test(arguments: [
        "$sRv_", "$sRvz", "$sSaRVz", "$sSaSiRVz", "_$sSay15HotpatchTesting12RecordsdCallVyq_q_Qp_txGGRv_",
        "$s8CommandnRv_ds4ListV",
        "$s7Testing8TyRzlg8TyTyRv_", "$s7Testing12__ExpressionV22capturingRuntimeValuesyACq_Sg_xSgxQptRvz",
        "$s7Testing8ExitTestV7__store__4into8asTypeAt08withHintH0Sbs6IInt64V_A3It_yxxQpYaYbKcSvS2VSgtRvzSeRzSE",
        "$sSa7TestingAA8ExitTestV13CapturedValueVRszlEySayAEGqd__qd__QpcRvd__SeRd__RvzSERd__s8SendableRd__lufC",
        "$ss5Int32V5WordsVSlsMARvz", "$sSDys11AnyHashableVypGSgMfRv_", "$s3Zoo4CartV8computedSivMRv_",
        "$s4Zoo28useLocalyS2iF0C0L_V2mkADyFZTf4d_nRv_",
        "$s15HotpatchTesting11CallOutcomeOyxGRv_rlWOfRvz",
    ])
    func namesThatWouldEndTheProcessStayMangled(_ name: String) {
        expect(Demangling.demangle(name), equals: nil)
        expect(SwiftDemangler.demangle(name), equals: nil)
    }

    @Test(arguments: [
        ("$s4Shop4GridV4fillySiqd__qd__QpRvd__lF", "Shop.Grid.fill<A>(repeat A1) -> Swift.Int"),
        (
            "$s4Shop4wideySi_SitAA4GridVyxSiG_ADyq_SiGS2itSiRVzSiRV_r0_lF",
            "Shop.wide<let A, B>(Shop.Grid<A, Swift.Int>, Shop.Grid<B, Swift.Int>, Swift.Int, Swift.Int) "
                + "-> (Swift.Int, Swift.Int)"
        ),
        (
            "$s4Shop5pairsyyx_q_txQpRvzRv_SHRzs8SendableRzq_Rhzr0_lF",
            "Shop.pairs<each A, B where A: Swift.Hashable, A: Swift.Sendable, A.shape == B.shape>(repeat (A, B)) -> ()"
        ),
        (
            "$s15HotpatchTesting12RecordedCallVyq_q_Qp_txGRv_r0_lWOh",
            "outlined destroy of HotpatchTesting.RecordedCall<(repeat B), A>"
        ),
        ("$s4Shop8isRvalueSbyF", "Shop.isRvalue() -> Swift.Bool"),
    ])
    func namesWithPacksAndValuesAreRead(_ name: String, _ text: String) {
        expect(Demangling.demangle(name), equals: text)
    }

    /// None of the compiler's own names is mistaken for one that would end the process.
    @Test func everyNameWithAMarkIsRead() throws {
        var count = 0
        for image in try ownIndex().images {
            guard let elf = try? ElfImage(path: image.path) else { continue }
            for symbol in elf.symbols + elf.dynamicSymbols
            where symbol.name.hasPrefix("$s") && (symbol.name.contains("Rv") || symbol.name.contains("RV")) {
                count += 1
                #expect(Demangling.demangle(symbol.name) != nil, "\(symbol.name)")
            }
        }
        #expect(count > 10)
    }
}
