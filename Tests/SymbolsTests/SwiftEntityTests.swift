import HotpatchExpectations
import Testing

@testable import HotpatchSymbols

/// Which names are those of functions that a source has, and which of what the compiler makes.
@Suite struct SwiftEntityTests {
    @Test(arguments: [
        "$s3app4freeyS2iF", "$s3app3genyxxlF", "$s3app4CartC4makeACyFZ", "$s3app3ActC2goSiyYaF",
        "$s3app6PricedPAAE5twiceyS2iF", "$s3app4CartC2eeoiySbAC_ACtFZ", "$s3app4CartC1nACSi_tcfC",
        "$s3app4CartC1nACSi_tcfc",
        "$s3app5MoneyV11descriptionSSvg", "$s3app4CartC2lzSivs", "$s3app4CartC2lzSivM", "$s3app5MoneyV3obsSivW",
        "$s3app4CartCyS2icig", "$s3app4CartCyS2icis",
    ])
    func written(name: String) { #expect(SwiftEntity.isWritten(name), "\(Demangling.demangle(name) ?? name)") }

    @Test(arguments: [
        "$s3app4CartCMa", "$s3app4CartCfD", "$s3app4CartCfd", "$s3app6globalSivau", "$s3app4CartC4nameSSvpfi",
        "$s3app4CartCAA6PricedA2aDP5price2ofS2i_tFTW", "$s3app4CartC4dfltyS2i_SiyctFfA_",
        "$s3app4CartC4dfltyS2i_SiyctFS2iXEfU_",
        "$s3app3ActC2goSiyYaFTY0_", "$s3app3ActC2goSiyYaFTu", "$s3app5MoneyVWOh", "$s3app5MoneyVwca", "$s3app1EOSQAAWl",
        "$s3app6PricedP5price2ofS2i_tFTj", "$s3app4freeyS2iFTm", "$s3app4freeyS2iFTf4n_n",
        "$s3app4freeyS2iF5innerL_yyF",
        "$s3app4CartC2lzSivM.resume.0",
    ])
    func made(name: String) { #expect(!SwiftEntity.isWritten(name), "\(Demangling.demangle(name) ?? name)") }

    @Test func storage() {
        expect(
            SwiftEntity.storage(ofAccessor: "$s3app6globalSivg"), equals: ["$s3app6globalSivp", "$s3app6globalSivau"])
        expect(
            SwiftEntity.storage(ofAccessor: "$s3app4CartC6sharedACvgZ"),
            equals: ["$s3app4CartC6sharedACvpZ", "$s3app4CartC6sharedACvau"])
        expect(SwiftEntity.storage(ofAccessor: "$s3app4CartCyS2icig"), equals: [])
    }
}
