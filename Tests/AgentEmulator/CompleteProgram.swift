/// A small run that both dialects describe alike: nothing is skipped, no two events share a millisecond,
/// no function runs on two threads at once, and a process uses the same share of a CPU all the time.
enum CompleteProgram {
    private static let rounds = 150
    private static let roundLength: Int64 = 200_000

    /// One call and one operation are slow, so that there is a finding to compare.
    static let expectedRules = [
        ExpectedRule(resource: "function", rule: "slow_call"),
        ExpectedRule(resource: "io", rule: "latency_outlier"),
        ExpectedRule(resource: "io", rule: "slow_io"),
    ]

    static func run(seed: UInt64) -> ProgramRun {
        var script = SequentialScript(seed: seed)
        for round in 0..<rounds {
            script.wait(until: Int64(round) * roundLength)
            train(&script, round)
            serve(&script, round)
            prepare(&script, round)
            if round == 120 {
                script.pause()
                script.enter(.train, .checkpoint)
                script.wait(milliseconds: 150)
                script.leave(.train)
            }
        }
        return ProgramRun(
            processes: [StandardProgram.main, StandardProgram.second],
            happenings: script.happenings
        )
    }

    /// Two threads take turns, each inside calls of its own.
    private static func train(_ script: inout SequentialScript, _ round: Int) {
        script.pause()
        script.schedule(
            .train,
            percent: 50,
            cpu: UInt32(round / 10 % 3),
            isMigration: round % 10 == 0
        )
        script.pause()
        script.enter(.train, .trainStep)
        script.pause()
        script.enter(.stream, .streamStep)
        script.pause()
        let block = script.allocate(.train, script.pick(1_000...9_000))
        script.pause()
        script.enter(.train, .launchKernel)
        script.pause()
        script.does(.train, .launch(kernel: StandardProgram.kernels[round % 3]))
        script.pause()
        script.leave(.train)
        script.pause()
        script.enter(.stream, .copyMemory)
        script.pause()
        let rate = Double(6_200 + script.pick(0...60))
        script.does(.stream, .transfer(kind: "H2D", mebibytesPerSecond: rate))
        script.pause()
        script.leave(.stream)
        script.pause()
        script.free(.train, block)
        script.pause()
        script.leave(.stream)
        script.pause()
        let latency: Int64 = round == 100 ? 150_000 : script.pick(2_000...3_000)
        script.disk(.train, isRead: round % 3 != 0, 4_096, latency: latency)
        script.pause()
        script.leave(.train)
        if round % 25 == 0 {
            script.pause()
            script.does(.train, .callStack(["Layer::apply<float>", "main"]))
            script.pause()
            script.does(.train, .deviceMemory(bytes: 512 << 20))
        }
    }

    private static func serve(_ script: inout SequentialScript, _ round: Int) {
        let connection = Connection(
            transport: "TCP",
            localAddress: StandardProgram.localAddress,
            localPort: 8_080,
            remoteAddress: "10.1.0.\(10 + round / 30)",
            remotePort: 50_000
        )
        script.pause()
        script.enter(.serve, .handleRequest)
        script.pause()
        script.receive(.serve, script.pick(300...900), connection)
        script.pause()
        script.enter(.serve, .unnamed)
        script.pause()
        script.leave(.serve)
        script.pause()
        script.send(.serve, script.pick(900...1_448), connection)
        script.pause()
        script.leave(.serve)
        let statistics = Connection(
            transport: "UDP",
            localAddress: StandardProgram.localAddress,
            localPort: 40_001,
            remoteAddress: "10.9.0.5",
            remotePort: 8_125
        )
        script.pause()
        script.send(.train, script.pick(90...160), statistics)
    }

    private static func prepare(_ script: inout SequentialScript, _ round: Int) {
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
