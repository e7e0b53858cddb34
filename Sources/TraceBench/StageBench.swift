import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
package import TraceTime
import TraceWire

/// Runs the stages of an event's way by themselves, in this process, without network or fabric: the
/// router's scan, and each resource's worker loop with its files.
package struct StageBench {
    private static let hostName = "bench"
    private static let batchEvents = 600

    private let zone: TimeZoneRules
    private let directory: String
    private let rounds: Int
    private let events: Int

    /// `directory`: where the worker loops write; what they wrote is removed. `events`: in one round.
    package init(zone: TimeZoneRules, directory: String, rounds: Int, events: Int = 200_000) {
        self.zone = zone
        self.directory = directory
        self.rounds = rounds
        self.events = events
    }

    /// Blocks for some seconds a stage.
    package func run() throws -> [StageFigure] {
        var figures = [try scan(.function), try scan(.mixed)]
        for resource in Resource.allCases { figures.append(try worker(resource)) }
        return figures
    }

    // MARK: Stages

    private func scan(_ mix: EventMix) throws -> StageFigure {
        var source = source(of: mix)
        var index = EventIndex()
        return try measure("scan \(mix.rawValue)") {
            source.nextRound()
        } body: { batch in
            try BatchScanner.scan(batch, into: &index).total
        }
    }

    private func worker(_ resource: Resource) throws -> StageFigure {
        var source = source(of: resource == .function ? .function : .mixed)
        let root = "\(directory)/trace-bench-\(resource.name)"
        try FileSystem.createDirectory(root)
        defer { Self.removeTree(root) }
        let files = try TraceFileManager(
            worker: WorkerName(resource: resource, index: 0),
            csvHeader: ProcessorRegistry.csvHeader(of: resource),
            timeZoneName: zone.name,
            root: root
        )
        let processor = ProcessorRegistry.makeProcessor(of: resource, files: files, zone: zone)
        var name = Self.hostName
        let (host, hostHash) = try name.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            return (
                try files.registerHost(ByteView(bytes), isThisMachine: true),
                Slot.hash(host: bytes)
            )
        }
        var lsn: LSN = 0
        return try measure("worker \(resource.name)") {
            try source.nextRound().map { try share(of: resource, in: $0) }
        } body: { share in
            lsn += LSN(share.count)
            let view = TraceBatchView(
                bytes: share,
                host: host,
                hostHash: hostHash,
                arrival: WallClock.now(),
                lsn: lsn
            )
            return try processor.processTraces(view, isLastBatch: false)
        }
    }

    private func source(of mix: EventMix) -> StageTraffic {
        var plan = LoadPlan()
        plan.mix = mix
        plan.batchEvents = Self.batchEvents
        plan.encodedEvents = events
        return StageTraffic(plan, zone: zone)
    }

    /// The resource's events of a batch, as the router would send them to its worker.
    private func share(of resource: Resource, in batch: [UInt8]) throws -> [UInt8] {
        var index = EventIndex()
        return try batch.withUnsafeBytes { bytes in
            _ = try BatchScanner.scan(bytes, into: &index)
            var share: [UInt8] = []
            for position in 0..<index.count where index[position].resource == resource {
                let start = Int(index[position].offset)
                share += bytes[start..<(start + Int(index[position].length))]
            }
            return share
        }
    }

    /// One round to warm up, then `rounds` that count. `body` gets one batch after the other and returns
    /// the number of its events; what `prepare` does isn't measured.
    private func measure(
        _ name: String,
        prepare: () throws -> [[UInt8]],
        body: (UnsafeRawBufferPointer) throws -> Int
    ) throws -> StageFigure {
        var costs: [Double] = []
        var total = 0
        for round in 0...rounds {
            let batches = try prepare()
            var events = 0
            let began = WallClock.monotonic()
            for batch in batches { events += try batch.withUnsafeBytes(body) }
            guard round > 0 else { continue }
            costs.append(Double(WallClock.monotonic() - began) / Double(max(1, events)))
            total += events
        }
        return StageFigure(
            name: name,
            nanosecondsPerEvent: median(costs),
            fastestNanosecondsPerEvent: costs.min() ?? 0,
            events: total
        )
    }

    /// What cannot be removed stays: it is a temporary directory.
    private static func removeTree(_ path: String) {
        for name in (try? FileSystem.list(path)) ?? [] {
            let entry = "\(path)/\(name)"
            if (try? FileSystem.remove(entry)) == nil { removeTree(entry) }
        }
        try? FileSystem.removeDirectory(path)
    }
}
