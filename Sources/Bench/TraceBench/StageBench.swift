import OperatorTools
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
package import TraceTime
import TraceWire

/// The cost of one stage of processing an event, in CPU time of one thread.
package struct StageFigure: Sendable, Codable {
    package let name: String
    /// The median of several rounds.
    package let nanosecondsPerEvent: Double
    /// The fastest round, which is the least disturbed one.
    package let fastestNanosecondsPerEvent: Double
    package let events: Int
    /// The throughput in bytes, for stages where it matters.
    package var megabytesPerSecond: Double?
}

/// Formats stages for people.
package struct StageTable {
    private static let nameWidth = 24

    private let figures: [StageFigure]

    package init(_ figures: [StageFigure]) { self.figures = figures }

    package var text: String {
        let lines = figures.map { figure in
            row(
                figure.name,
                String(Int(figure.nanosecondsPerEvent.rounded())),
                String(Int(figure.fastestNanosecondsPerEvent.rounded())),
                Report.grouped(figure.events),
                figure.megabytesPerSecond.map { String(Int($0.rounded())) } ?? ""
            )
        }
        let head = row("STAGE", "NS/EVENT", "FASTEST", "EVENTS", "MB/S")
        return ([head] + lines).joined(separator: "\n")
    }

    private func row(_ name: String, _ values: String...) -> String {
        let start = name + String(repeating: " ", count: max(0, Self.nameWidth - name.count))
        return values.reduce(start) { line, value in
            line + String(repeating: " ", count: max(1, 14 - value.count)) + value
        }
    }
}

/// Batches for stages: a round contains every template once, and time advances from round to round.
struct StageTraffic {
    private static let batchNanoseconds: Int64 = 1_000_000

    private var traffic: Traffic
    private var time = WallClock.now()
    private let batches: Int

    init(_ plan: LoadPlan, zone: TimeZoneRules) {
        traffic = Traffic(plan, zone: zone)
        batches = max(1, plan.encodedEvents / plan.batchEvents)
    }

    mutating func nextRound() -> [[UInt8]] {
        (0..<batches).map { _ in
            time += Self.batchNanoseconds
            return traffic.next(at: time).bytes
        }
    }
}

/// Runs the stages of processing separately, in this process, without network or fabric: the router's (scan, log, split
/// by worker), parts of a worker's loop and each resource's whole loop with its files, the merge of two workers'
/// segments, also into several files, and a scrape's page.
package struct StageBench {
    private static let batchEvents = 600

    let zone: TimeZoneRules
    let directory: String
    private let rounds: Int
    let events: Int

    /// - Parameters:
    /// - directory: Where worker loops write; their files are removed afterwards.
    /// - events: The number of events in one round.
    package init(zone: TimeZoneRules, directory: String, rounds: Int, events: Int = 200_000) {
        self.zone = zone
        self.directory = directory
        self.rounds = rounds
        self.events = events
    }

    /// Runs the named stages, or all if none is named. Blocks for some seconds a stage.
    /// - Throws: `TraceError(.configuration)` where there is no such stage.
    package func run(only chosen: [String] = []) throws -> [StageFigure] {
        if let unknown = chosen.first(where: { name in !stages.contains { $0.name == name } }) {
            throw TraceError(
                .configuration,
                "there is no stage \(unknown)",
                remedy: "Name one of: \(stages.map(\.name).joined(separator: ", "))."
            )
        }
        return try stages.filter { chosen.isEmpty || chosen.contains($0.name) }.map { try $0.run() }
    }

    private var stages: [(name: String, run: () throws -> StageFigure)] {
        EventMix.allCases.map { mix in ("scan \(mix.rawValue)", { try scan(mix) }) } + [
            ("log append", logAppend), ("split function", split), ("decode function", decode),
            ("timestamp", timestamp),
            ("sort", sort), ("statistics", statistics), ("anomaly rules", anomalyRules),
            ("JSON function", { try rows(.json) }), ("CSV function", { try rows(.csv) }),
        ]
            + Resource.allCases.map { resource in
                ("worker \(resource.name)", { try worker(resource) })
            } + [
                ("merge function", { try merge("merge function", FileBudget()) }),
                ("cut function", cut),
            ] + [("page of 50,000 series", { try PageStage(rounds: rounds).run() })]
    }

    // MARK: Stages

    private func scan(_ mix: EventMix) throws -> StageFigure {
        var source = source(of: mix)
        var index = EventIndex()
        return try unsafe measure("scan \(mix.rawValue)") {
            source.nextRound()
        } body: { batch in
            try unsafe BatchScanner.scan(batch, into: &index).total
        }
    }

    private func decode() throws -> StageFigure {
        var source = source(of: .function)
        return try unsafe measure("decode function") {
            source.nextRound()
        } body: { batch in
            var payloads = unsafe EventPayloads(of: .function, in: batch)
            var events = 0
            // Using the event keeps the compiler from removing its decoding.
            while let payload = payloads.next() {
                let event = unsafe FunctionEvent(decoding: payload, readableUntil: payloads.limit)
                if event.processID > 0 { events += 1 }
            }
            return events
        }
    }

    /// Parses timestamps only, in the order in which batches contain them.
    private func timestamp() throws -> StageFigure {
        var clock = StampClock(zone: zone)
        var parser = TimestampParser(zone: zone)
        let stampBytes = StampClock.byteCount
        var time = WallClock.now()
        return try unsafe measure("timestamp") {
            var stamps = [UInt8](repeating: 0, count: events * stampBytes)
            unsafe stamps.withUnsafeMutableBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                for index in 0..<events {
                    time += 2_000
                    unsafe clock.write(time, to: base + index * stampBytes)
                }
            }
            return [stamps]
        } body: { stamps in
            var valid = 0
            for start in stride(from: 0, to: stamps.count, by: stampBytes) {
                let text = unsafe UnsafeRawBufferPointer(
                    rebasing: stamps[start..<(start + stampBytes)]
                )
                if unsafe parser.parse(ByteView(text), arrival: 0).nanoseconds > 0 { valid += 1 }
            }
            return valid
        }
    }

    private func worker(_ resource: Resource) throws -> StageFigure {
        var source = source(of: resource == .function ? .function : .mixed)
        let root = "\(directory)/trace-bench-\(resource.name)"
        try FileSystem.createDirectory(root)
        defer { try? FileSystem.removeTree(root) }
        let worker = try StageWorker(
            WorkerName(resource: resource, index: 0),
            zone: zone,
            root: root
        )
        return try unsafe measure("worker \(resource.name)") {
            try source.nextRound().map { try StageWorker.share(of: resource, in: $0) }
        } body: { share in
            try unsafe worker.apply(share)
        }
    }

    /// Merges a window that is too large for one file.
    private func cut() throws -> StageFigure {
        var budget = FileBudget()
        budget.finalFileBytesMax = 16_000_000
        return try merge("cut function", budget)
    }

    /// Merges a window's segments of two workers, each of which had every other process.
    private func merge(_ name: String, _ budget: FileBudget) throws -> StageFigure {
        var source = source(of: .function)
        let root = "\(directory)/trace-bench-merge"
        try FileSystem.createDirectory(root)
        defer { try? FileSystem.removeTree(root) }
        let workers = try (0..<2).map { index in
            try StageWorker(WorkerName(resource: .function, index: index), zone: zone, root: root)
        }
        let merger = WindowMerger(
            localHostName: "bench",
            timeZoneName: zone.name,
            root: root,
            budget: budget
        )
        var closed: [ClosedFile] = []
        var window: UInt64 = 0
        var figure = try unsafe measure(name) {
            for batch in source.nextRound() {
                for worker in workers {
                    let share = try StageWorker.share(of: .function, in: batch) {
                        Int($0) % workers.count == worker.index
                    }
                    _ = try unsafe share.withUnsafeBytes { try unsafe worker.apply($0) }
                }
            }
            closed = try workers.flatMap { try $0.closeWindow(window) }
            window += 1
            return [[]]
        } body: { _ in
            _ = try merger.merge(
                resource: .function,
                window: window - 1,
                stem: "bench\(window - 1)",
                files: closed
            )
            return closed.filter { $0.kind == .json }.reduce(0) { $0 + Int($1.rows) }
        }
        let rows = closed.filter { $0.kind == .json }.reduce(0) { $0 + $1.rows }
        let bytes = closed.reduce(0) { $0 + $1.bytes }
        figure.megabytesPerSecond =
            Double(bytes) / Double(max(1, rows)) / figure.nanosecondsPerEvent * 1_000
        return figure
    }

    func source(of mix: EventMix) -> StageTraffic {
        var plan = LoadPlan()
        plan.mix = mix
        plan.batchEvents = Self.batchEvents
        plan.encodedEvents = events
        return StageTraffic(plan, zone: zone)
    }

    /// Runs one warm-up round and `rounds` measured ones. `body` gets one batch after the other and returns its number
    /// of events; `prepare` is not measured.
    func measure(
        _ name: String,
        prepare: () throws -> [[UInt8]],
        body: (UnsafeRawBufferPointer) throws -> Int
    ) throws -> StageFigure {
        var costs: [Double] = []
        var total = 0
        for round in 0...rounds {
            let batches = try prepare()
            let began = WallClock.threadTime()
            let events = try unsafe measured(batches, body)
            guard round > 0 else { continue }
            costs.append(Double(WallClock.threadTime() - began) / Double(max(1, events)))
            total += events
        }
        return StageFigure(
            name: name,
            nanosecondsPerEvent: median(costs),
            fastestNanosecondsPerEvent: costs.min() ?? 0,
            events: total
        )
    }

    /// The measured code and nothing else: scripts/bench --instructions finds it by its name.
    @inline(never) private func measured(
        _ batches: [[UInt8]],
        _ body: (UnsafeRawBufferPointer) throws -> Int
    ) rethrows -> Int {
        var events = 0
        for batch in batches { unsafe events += try batch.withUnsafeBytes(body) }
        return events
    }
}
