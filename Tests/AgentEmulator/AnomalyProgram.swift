/// Twelve quiet minutes with one finding of each of several rules in them.
enum AnomalyProgram {
    private static let seconds = 720

    static let expectedRules = [
        ExpectedRule(resource: "function", rule: "duration_outlier"),
        ExpectedRule(resource: "function", rule: "slow_call"),
        ExpectedRule(resource: "gpu", rule: "transfer_drop"),
        ExpectedRule(resource: "io", rule: "latency_outlier"),
        ExpectedRule(resource: "io", rule: "slow_io"),
        ExpectedRule(resource: "memory", rule: "leak"),
        ExpectedRule(resource: "network", rule: "port_scan"),
    ]

    static func run(seed: UInt64) -> ProgramRun {
        var script = SequentialScript(seed: seed)
        for _ in 0..<32 {
            script.pause()
            _ = script.allocate(.train, 262_144)
        }
        for second in 0..<seconds {
            script.wait(until: Int64(second + 1) * 1_000_000)
            compute(&script, second)
            memory(&script, second)
            network(&script, second)
            prepare(&script)
        }
        return ProgramRun(
            processes: [StandardProgram.main, StandardProgram.second],
            happenings: script.happenings
        )
    }

    /// Calls of 1 or 2 ms, once one of 90 ms; every 15 s one of 80 to 90 ms, once 150 ms.
    private static func compute(_ script: inout SequentialScript, _ second: Int) {
        script.pause()
        script.schedule(
            .train,
            percent: 40,
            cpu: UInt32(second / 30 % 6),
            isMigration: second % 30 == 0
        )
        for call in 0..<3 {
            script.pause()
            script.enter(.train, .parse)
            script.wait(milliseconds: second == 400 && call == 1 ? 90 : script.pick(1...2))
            script.leave(.train)
        }
        script.pause()
        script.does(.train, .launch(kernel: StandardProgram.kernels[second % 3]))
        script.pause()
        let rate: Int64 = second == 600 ? 1_000 : script.pick(6_200...6_260)
        script.does(.train, .transfer(kind: "H2D", mebibytesPerSecond: Double(rate)))
        if second % 15 == 7 {
            script.pause()
            script.does(.train, .deviceMemory(bytes: 512 << 20))
            script.pause()
            script.enter(.train, .checkpoint)
            script.wait(milliseconds: second == 502 ? 150 : script.pick(80...90))
            script.leave(.train)
        }
    }

    /// One block a second is never freed.
    private static func memory(_ script: inout SequentialScript, _ second: Int) {
        script.pause()
        _ = script.allocate(.train, 65_536)
        script.pause()
        let block = script.allocate(.serve, script.pick(1_000...9_000))
        // The leak is found in what is at least half a second old; this is not.
        script.pause()
        script.free(.serve, block)
        script.pause()
        let latency: Int64 = second == 300 ? 150_000 : script.pick(2_000...3_000)
        script.disk(.serve, isRead: second % 2 == 0, 4_096, latency: latency)
    }

    /// Requests of one client; for 25 seconds a new port of one host every second.
    private static func network(_ script: inout SequentialScript, _ second: Int) {
        let client = Connection(
            transport: "TCP",
            localAddress: StandardProgram.localAddress,
            localPort: 8_080,
            remoteAddress: "10.1.0.10",
            remotePort: 50_000
        )
        script.pause()
        script.receive(.serve, script.pick(300...900), client)
        script.pause()
        script.send(.serve, script.pick(900...1_448), client)
        guard (350..<375).contains(second) else { return }
        let probe = Connection(
            transport: "TCP",
            localAddress: StandardProgram.localAddress,
            localPort: 43_000 + UInt32(second),
            remoteAddress: "10.7.0.3",
            remotePort: 1_000 + UInt32(second)
        )
        script.pause()
        script.send(.stream, 60, probe)
    }

    private static func prepare(_ script: inout SequentialScript) {
        script.pause()
        script.schedule(.prepare, percent: 20, cpu: 4, isMigration: false)
        script.pause()
        script.enter(.prepare, .loadFile)
        script.pause()
        script.disk(.prepare, isRead: true, 16_384, latency: script.pick(2_000...3_000))
        script.pause()
        script.leave(.prepare)
    }
}
