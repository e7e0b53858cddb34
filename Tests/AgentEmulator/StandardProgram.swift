import TestSupport

/// Twenty busy seconds: a process that trains on three threads, and a smaller one that prepares its input.
///
/// Usual in every respect that a rule evaluates, and full of what a careless reader takes for unusual:
/// one function on several threads at once, recursion, many local ports that one server answers to,
/// many clients of a port of its own.
enum StandardProgram {
    static let duration: Int64 = 20_000_000
    /// All threads are quiet here, and what they did before is known to the agent.
    static let pause: ClosedRange<Int64> = 9_990_000...10_010_000

    static let main = TracedProcess(
        pid: 4100,
        parent: 4001,
        comm: "train",
        threads: [
            TracedThread(id: 4100, name: "train"), TracedThread(id: 4101, name: "stream"),
            TracedThread(id: 4102, name: "serve"),
        ]
    )
    static let second = TracedProcess(
        pid: 5200,
        parent: 4001,
        comm: "prepare",
        threads: [TracedThread(id: 5200, name: "prepare")]
    )
    static let kernels = ["gemm_f32", "relu", "void softmax<float, 4>(float*)"]
    static let localAddress = "10.2.0.4"

    static func run(seed: UInt64) -> ProgramRun {
        func script(_ process: Int, _ thread: UInt32, start: Int64) -> ThreadScript {
            ThreadScript(process: process, thread: thread, start: start, seed: seed)
        }
        var happenings =
            train(script(0, 4100, start: 1_000)) + stream(script(0, 4101, start: 1_700))
        happenings += serve(script(0, 4102, start: 2_300)) + prepare(script(1, 5200, start: 4_100))
        // What the CPUs do is nothing of a single thread; the generator has a seed of its own.
        happenings += Processor(process: 0, thread: 4100, share: 0.46, cpus: 6).run(seed: seed ^ 1)
        happenings += Processor(process: 1, thread: 5200, share: 0.05, cpus: 3).run(seed: seed ^ 2)
        let ordered = ProgramRun(processes: [main, second], happenings: happenings)
        return ProgramRun(processes: ordered.processes, happenings: apart(ordered.happenings))
    }

    /// Moves packets of a process apart, so that sampling skips only those that are meant to be skipped.
    private static func apart(_ happenings: [Happening]) -> [Happening] {
        var last = [Int64](repeating: -1_000, count: 2)
        return happenings.map { happening in
            guard case .packet(let packet) = happening.action else { return happening }
            var moved = happening
            if !packet.isSkippable { moved.time = max(moved.time, last[moved.process] + 12) }
            last[moved.process] = max(last[moved.process], moved.time)
            return moved
        }
    }

    // MARK: Threads

    private static func train(_ script: ThreadScript) -> [Happening] {
        var script = script
        var kept: [MemoryBlock] = []
        var step = 0
        let statistics = Connection(
            transport: "UDP",
            localAddress: localAddress,
            localPort: 40_001,
            remoteAddress: "10.9.0.5",
            remotePort: 8_125
        )
        script.does(.deviceMemory(bytes: 512 << 20))
        while script.now < duration - 100_000 {
            if pauses(&script, at: 9_900_000, offset: 0, statistics) { continue }
            trainStep(&script, step, &kept)
            script.wait(200...400)
            send(&script, statistics, 90...160)
            script.wait(500...1_200)
            step += 1
        }
        for block in kept {
            script.free(block)
            script.wait(150...250)
        }
        return script.happenings
    }

    private static func trainStep(
        _ script: inout ThreadScript,
        _ step: Int,
        _ kept: inout [MemoryBlock]
    ) {
        script.call(.trainStep) { script in
            script.wait(60...140)
            script.call(.nextBatch) { nextBatch(&$0, &kept) }
            script.wait(40...90)
            copy(&script, step, kind: step % 20 == 19 ? "DEFAULT" : "H2D", 6_234)
            script.wait(60...180)
            script.call(.forward) { script in
                for _ in 0..<4 {
                    script.wait(50...150)
                    script.call(.layer) { layer(&$0) }
                }
                script.wait(60...180)
            }
            script.wait(50...150)
            traverse(&script, depth: 3)
            copy(&script, step, kind: step % 7 == 3 ? "D2D" : "D2H", step % 7 == 3 ? 48_000 : 5_870)
            if step % 50 == 0 {
                script.does(.callStack(["cudaLaunchKernel+0x1c", "Layer::apply<float>", "main"]))
            }
            script.wait(40...100)
        }
    }

    /// Two reads, of which the second follows so closely that it is skipped; allocations in a row.
    private static func nextBatch(_ script: inout ThreadScript, _ kept: inout [MemoryBlock]) {
        script.wait(300...500)
        for _ in 0..<2 {
            let latency = script.pick(250...600 as ClosedRange<Int64>)
            script.does(
                .disk(.init(isRead: true, bytes: 65_536, latency: latency, device: "nvme0n1"))
            )
            script.wait(5...7)
        }
        for _ in 0..<4 {
            kept.append(script.allocate(2_048...65_536))
            script.wait(8...30)
        }
        script.wait(150...300)
        while kept.count > 24 {
            script.free(kept.removeFirst())
            script.wait(15...60)
        }
    }

    private static func layer(_ script: inout ThreadScript) {
        for number in 0..<28 {
            script.wait(220...450)
            script.launch(kernels[number % 5 < 3 ? 0 : number % 5 - 2])
        }
        script.wait(30...80)
    }

    private static func copy(
        _ script: inout ThreadScript,
        _ step: Int,
        kind: String,
        _ mebibytesPerSecond: Double
    ) {
        script.call(.copyMemory) {
            $0.wait(900...1_300)
            let rate = mebibytesPerSecond + $0.pick(0.0...40.0)
            $0.does(.transfer(kind: kind, mebibytesPerSecond: rate))
            if step % 10 == 0 { $0.does(.deviceMemory(bytes: (512 + $0.pick(0...3)) << 20)) }
            $0.wait(100...300)
        }
    }

    /// Calls itself, so that calls of one function are open in one another.
    private static func traverse(_ script: inout ThreadScript, depth: Int) {
        script.call(.traverse) {
            $0.wait(80...220)
            if depth > 1 { traverse(&$0, depth: depth - 1) }
            $0.wait(80...220)
        }
    }

    private static func stream(_ script: ThreadScript) -> [Happening] {
        var script = script
        var step = 0
        while script.now < duration - 60_000 {
            let parameters = Connection(
                transport: "TCP",
                localAddress: localAddress,
                localPort: 41_000 + UInt32(script.now / 800_000),
                remoteAddress: "fd00::9:7",
                remotePort: 7_000
            )
            if pauses(&script, at: 9_930_000, offset: 1_000, parameters) { continue }
            script.call(.streamStep) { script in
                for number in 0..<33 {
                    script.wait(400...800)
                    script.launch(kernels[number % 3])
                }
                if step % 2 == 0 { traverse(&script, depth: 2) }
                let block = script.allocate(256...4_096)
                script.wait(20...500)
                script.free(block)
                script.wait(30...90)
            }
            script.wait(80...200)
            if step % 3 == 0 { send(&script, parameters, 60...90) }
            receive(&script, parameters, 900...1_448)
            script.wait(100...900)
            step += 1
        }
        return script.happenings
    }

    private static func serve(_ script: ThreadScript) -> [Happening] {
        var script = script
        var request = 0
        while script.now < duration - 30_000 {
            let client = UInt32(script.now / 650_000)
            let connection = Connection(
                transport: "TCP",
                localAddress: localAddress,
                localPort: 8_080,
                remoteAddress: "10.1.\(client % 8).\(10 + client)",
                remotePort: 50_000 + client * 17
            )
            if pauses(&script, at: 9_960_000, offset: 2_000, connection) { continue }
            script.call(.handleRequest) { script in
                script.wait(30...60)
                receive(&script, connection, 300...900)
                if request % 500 == 0 { acknowledge(&script, connection) }
                script.wait(60...120)
                let block = script.allocate(512...8_192)
                script.wait(30...200)
                script.call(.parse) { $0.wait(220...380) }
                script.wait(40...180)
                script.call(.unnamed) { $0.wait(150...250) }
                if request % 5 == 0 { traverse(&script, depth: 2) }
                if request % 4 == 0 {
                    let latency = script.pick(400...900 as ClosedRange<Int64>)
                    script.does(
                        .disk(.init(isRead: false, bytes: 4_096, latency: latency, device: "sda"))
                    )
                }
                script.wait(200...500)
                for _ in 0..<2 { send(&script, connection, 900...1_448) }
                script.free(block)
                script.wait(30...60)
            }
            script.wait(3_800...6_200)
            request += 1
        }
        return script.happenings
    }

    private static func prepare(_ script: ThreadScript) -> [Happening] {
        var script = script
        let store = Connection(
            transport: "TCP",
            localAddress: localAddress,
            localPort: 42_000,
            remoteAddress: "10.9.0.8",
            remotePort: 2_049
        )
        while script.now < duration - 60_000 {
            if pauses(&script, at: 9_920_000, offset: 0, store) { continue }
            let block = script.allocate(16_384...32_768)
            script.wait(20...250)
            script.call(.loadFile) { script in
                send(&script, store, 80...120)
                script.wait(2_000...3_000)
                receive(&script, store, 1_000...1_448)
                let latency = script.pick(300...700 as ClosedRange<Int64>)
                script.does(
                    .disk(.init(isRead: true, bytes: 16_384, latency: latency, device: "nvme0n1"))
                )
                script.call(.decode) { $0.wait(4_000...6_000) }
                script.wait(100...200)
            }
            script.free(block)
            script.wait(300...500)
            script.launch("decode_jpeg")
            script.wait(25_000...35_000)
        }
        return script.happenings
    }

    // MARK: Pieces

    private static func send(
        _ script: inout ThreadScript,
        _ connection: Connection,
        _ sizes: ClosedRange<UInt64>
    ) {
        let bytes = script.pick(sizes)
        script.does(.packet(.init(isSend: true, bytes: bytes, connection: connection)))
        script.wait(60...90)
    }

    /// Two small packets, of which the second follows so closely that it is skipped.
    private static func acknowledge(_ script: inout ThreadScript, _ connection: Connection) {
        for isSecond in [false, true] {
            let packet = Packet(
                isSend: true,
                bytes: 8,
                connection: connection,
                isSkippable: isSecond
            )
            script.does(.packet(packet))
            script.wait(isSecond ? 60...90 : 4...4)
        }
    }

    private static func receive(
        _ script: inout ThreadScript,
        _ connection: Connection,
        _ sizes: ClosedRange<UInt64>
    ) {
        let bytes = script.pick(sizes)
        script.does(.packet(.init(isSend: false, bytes: bytes, connection: connection)))
        script.wait(60...90)
    }

    /// From `time` on the thread rests until after the pause; whether it does. Before and after it does
    /// something small of each kind, alone, so that the agent has nothing untold when it resets its counters.
    private static func pauses(
        _ script: inout ThreadScript,
        at time: Int64,
        offset: Int64,
        _ connection: Connection
    ) -> Bool {
        guard script.now >= time, script.now < pause.lowerBound else { return false }
        let gap = pause.lowerBound - 500
        script.wait(until: gap - 8_000 + offset)
        small(&script, connection)
        script.wait(until: pause.upperBound + 500 + offset)
        small(&script, connection)
        script.wait(until: pause.upperBound + 6_000 + offset)
        return true
    }

    private static func small(_ script: inout ThreadScript, _ connection: Connection) {
        let block = script.allocate(64...64)
        script.wait(200...220)
        script.free(block)
        script.does(.disk(.init(isRead: false, bytes: 64, latency: 500, device: "sda")))
        send(&script, connection, 40...40)
        receive(&script, connection, 40...40)
    }
}

/// Generates what a process does on its CPUs.
private struct Processor {
    let process: Int
    let thread: UInt32
    /// Of one CPU, 0–1.
    let share: Double
    let cpus: UInt32

    func run(seed: UInt64) -> [Happening] {
        var random = SeededGenerator(seed: seed)
        var happenings: [Happening] = []
        var now: Int64 = 0
        var cpu: UInt32 = 0
        while now < StandardProgram.duration - 20_000 {
            let elapsed = Int64.random(in: 3_000...7_000, using: &random)
            now += elapsed
            let isMigration = Int.random(in: 0..<40, using: &random) == 0
            // Most of the time goes to CPU 0, but not so much that it is a hot spot.
            if isMigration { cpu = cpu == 0 ? UInt32.random(in: 1..<cpus, using: &random) : 0 }
            let on = Double(elapsed) * share * Double.random(in: 0.8...1.2, using: &random)
            let slice = CPUSlice(
                cpu: cpu,
                onTime: Int64(on),
                isMigration: isMigration,
                isNUMAMigration: isMigration && cpu == cpus - 1
            )
            happenings.append(
                Happening(time: now, process: process, thread: thread, action: .scheduled(slice))
            )
        }
        return happenings
    }
}
