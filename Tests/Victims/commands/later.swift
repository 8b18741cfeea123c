// An async Swift program, and the patch libraries for it. Each line is answered with what it computes.
#if canImport(Glibc)
    import Glibc
#endif

#if PATCH
    public func work(_ item: Int) async -> Int {
        let known = item
        await Task.yield()
        return known * 10
    }
#elseif SMALL
    public func work(_ item: Int) async -> Int { 10 }
#elseif BLOCKING
    @_silgen_name("$s5later4workyS2iYaF") public func work(_ item: Int) -> Int { item * 10 }
#else
    @inline(never) func work(_ item: Int) async -> Int { item }

    @main struct Later {
        static func main() async {
            alarm(120)
            setvbuf(stdout, nil, Int32(_IOLBF), 0)
            print("ready")
            while readLine() != nil {
                var sum = 0
                for item in 0..<100 { sum += await work(item) }
                print("sum \(sum)")
            }
        }
    }
#endif
