import Synchronization
#if canImport(Glibc)
    import Glibc
#endif

let ticks = Mutex(0)
let wrong = Mutex(0)

print("ready")
fflush(nil)
Task.detached {
    run { step in
        ticks.withLock { $0 += 1 }
        if step != 3 { wrong.withLock { $0 += 1 } }
    }
}
while readLine() != nil {
    let before = ticks.withLock { $0 }
    while ticks.withLock({ $0 }) < before + 3 { usleep(1000) }
    print(await report(), label(), weigh(), wrong.withLock { $0 })
    fflush(nil)
}
