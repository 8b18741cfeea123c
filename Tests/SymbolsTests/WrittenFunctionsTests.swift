import Testing

@testable import HotpatchSymbols

/// Which of a program's functions are shown to whoever wants to patch it.
@Suite struct WrittenFunctionsTests {
    private let functions = WrittenFunctions(tables: [], soname: nil)

    @Test(arguments: [
        "main", "price", "main.price", "price.llvm.123", "price.coldest", "_Z5pricei", "_ZN4Cart5priceEi",
        "_Z5twiceIiET_S0_",
        "_ZN4shop5price17h0123456789abcdefE", "$s3app4freeyS2iF", "$sSS3appE5priceSiyF", "$s3app4CartC4makeACyFZ",
    ])
    func written(name: String) { #expect(functions.contains(name), "\(Demangling.demangle(name) ?? name)") }

    @Test(arguments: [
        "_start", "_init", "frame_dummy", "price.cold", "price.cold.1", "price.constprop.0", "price.isra.0.cold",
        "price.part.2", "_ZThn16_N4Cart5priceEv", "_GLOBAL__sub_I_price", "__swift_memcpy16_8", "objectdestroy.5Tm",
        "$s3app4CartCMa", "$s3app4freeyS2iFTf4n_n", "$s3app4MainV5$mainyyFZ",
        "$ss5print_9separator10terminatoryypd_S2StF",
    ])
    func made(name: String) { #expect(!functions.contains(name), "\(Demangling.demangle(name) ?? name)") }

    @Test func theStandardLibrarysOwn() {
        let print = "$ss5print_9separator10terminatoryypd_S2StF"
        #expect(WrittenFunctions(tables: [], soname: "libswiftCore.so").contains(print))
    }
}
