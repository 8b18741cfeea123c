import HotpatchCalls
import HotpatchSwiftCall

private let method = CallShape(self: .borrowed)

typealias ClosuresLater = ((Int) async throws -> String, (Int) -> Int) async throws -> String
typealias WordsLater = (String, String, String, Int8, String, Bool, Token, Int16) async throws -> String
typealias SmallsLater =
    (
        Float, SIMD4<Float>, Double, Float, Double, Float, Double, Float, SIMD4<Float>, Float, Double,
        (Int) async -> Int,
        inout Item, Any
    ) async -> (Float, Double)
typealias DeeperLater = (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) async -> Int
typealias MakeLater = (Token) async -> @Sendable (Item) async throws -> Token

public let asyncChecks: [AsyncCallCheck] = [
    check(
        "HotpatchCalls.plusLater", callPlusLater, as: ((Int) async -> Int).self, { "\(await $0(4))" },
        replacement: {
            await Task.yield()
            return $0 * 100
        }),
    check(
        "HotpatchCalls.atOnce", callAtOnce, as: ((Int8, Bool) async -> Bool).self,
        { "\(await $0(1, true)) \(await $0(1, false))" }, replacement: { $1 != ($0 > 0) }),
    check(
        "HotpatchCalls.describeLater", callDescribeLater,
        as: ((String, Double, Bool) async throws -> (String, Int)).self,
        { f in
            await attempt { try await f("long enough for the heap, surely", 2.5, true) }
                + attempt { try await f("", -4, false) }
        },
        replacement: { a, b, c in
            await Task.yield()
            if c { throw Failure(a.count) }
            return ("\(b)", 8)
        }),
    check(
        "HotpatchCalls.largeLater", callLargeLater, as: ((Large, inout Int) async -> Large).self,
        { f in
            var n = 5
            let large = await f(Large(9), &n)
            return "\(large) \(n)"
        },
        replacement: { a, b in
            await Task.yield()
            b = 1000
            return Large(a.a * 2)
        }),
    check(
        "HotpatchCalls.anyLater", callAnyLater, as: ((Any, Item) async throws -> Any).self,
        { f in await attempt { try await f(Token(1), Item(2, 3)) } + attempt { try await f(1, Item(2, 0)) } },
        replacement: { a, b in
            await Task.yield()
            if a is Token { throw Failure(b.price) }
            return (b, a)
        }),
    check(
        "HotpatchCalls.numbersLater", callNumbersLater, as: ((Float, Point, SIMD4<Float>) async -> (Point, Float)).self,
        { "\(await $0(1, Point(2, 3), [4, 5, 6, 7]))" },
        replacement: { a, b, c in
            await Task.yield()
            return (Point(Double(c.y), b.x), a + c.z)
        }),
    check(
        "HotpatchCalls.closuresLater", callClosuresLater, as: ClosuresLater.self,
        { f in
            let token = Token(6)
            return await attempt {
                try await f(
                    { n in
                        await Task.yield()
                        return "\(n) \(token)"
                    }, { $0 * token.id })
            } + attempt { try await f({ throw Failure($0) }, { $0 }) }
        },
        replacement: { f, g in
            await Task.yield()
            return try await f(g(1000)) + f(g(1))
        }),
    check(
        "HotpatchCalls.makeLater", callMakeLater, as: MakeLater.self,
        { make in
            let f = await make(Token(1))
            return await attempt { try await f(Item(2, 3)) } + attempt { try await f(Item(2, -3)) }
                + attempt { try await f(Item(2, 0)) }
        },
        replacement: { token in
            await Task.yield()
            return { item in
                await Task.yield()
                if item.price > 0 { throw Failure(token.id * 100) }
                return Token(item.token.id + 100)
            }
        }),
    check(
        "HotpatchCalls.wordsLater", callWordsLater, as: WordsLater.self,
        { f in
            await attempt { try await f("long enough for the heap, surely", "b", "c", 4, "e", true, Token(7), 8) }
                + attempt { try await f("", "", "", -1, "also long enough for the heap", false, Token(2), -3) }
        },
        replacement: { a, b, c, d, e, f, g, h in
            await Task.yield()
            if f { throw Failure(g.id * Int(h)) }
            return "\(h) \(g) \(f) \(e) \(d) \(c) \(b) \(a)"
        }),
    check(
        "HotpatchCalls.smallsLater", callSmallsLater, as: SmallsLater.self,
        { f in
            var item = Item(1, 2)
            let token = Token(5)
            let result = await f(
                1, [2, 3, 4, 5], 3, 4, 5, 6, 7, 8, [9, 10, 11, 12], 13, 14,
                { n in
                    await Task.yield()
                    return n + token.id
                }, &item, token)
            return "\(result) \(item)"
        },
        replacement: { a, b, c, d, e, f, g, h, i, j, n, k, l, m in
            let last = await k(Int(i.z) * 10)
            l = Item(last, l.price * 3)
            return (a - b.y - d - f * h - i.x - j, (m as? Token).map { Double($0.id) } ?? c - e * g + n)
        }),
    check(
        "HotpatchCalls.deeperLater", callDeeperLater, as: DeeperLater.self,
        { _ in await callDeeperLater() }, isTheSame: true,
        replacement: { a, b, c, d, e, f, g, h, i, j, k, l in
            guard a > 0 else { return b + c + d + e + f + g + h + i + j + k + l }
            let sum = await shallowerLater(a - 1, l, k, j, i, h, g, f, e)
            return await plusLater(sum &* 3 &+ b &- d)
        }),
    check(
        "HotpatchCalls.cancelledLater", callCancelledLater, as: (@Sendable (Token) async -> String).self,
        { f in await cancelled { await f(Token(3)) } },
        replacement: { token in
            while !Task.isCancelled { try? await Task.sleep(nanoseconds: 10_000_000) }
            return "replaced \(Task.isCancelled) \(token)"
        }),
    check(
        "HotpatchCalls.Bank.deposit", method, callBank, as: ((Bank, Item) async -> String).self,
        { await $0(Bank(), Item(1, 2)) },
        replacement: { bank, item in
            await Task.yield()
            return "replaced \(item)"
        }),
    check(
        "HotpatchCalls.Counter.incrementLater", CallShape(self: .inout), callIncrementLater,
        as: ((inout Counter, Int) async -> Counter).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            let old = await f(&counter, 3)
            return "\(old) \(counter)"
        },
        replacement: { counter, step in
            await Task.yield()
            counter = Counter(Token(step), from: counter.value * step)
            return counter
        }),
    check(
        "HotpatchCalls.Counter.distanceLater", method, callDistanceLater, as: ((Counter, Int) async throws -> Int).self,
        { f in await attempt { try await f(Counter(Token(1), from: 2), 10) } },
        replacement: { counter, value in
            await Task.yield()
            throw Failure(counter.token.id * value)
        }),
    check(
        "HotpatchCalls.anyLater", callCrowd, as: ((Any, Item) async throws -> Any).self, { _ in await callCrowd() },
        isTheSame: true,
        replacement: { a, b in
            await Task.yield()
            if b.price == 0 { throw Failure(b.token.id) }
            await Task.yield()
            return [a, b] as [Any]
        }),
]
