import Glibc
package import OperatorTools
import SystemIO
import TraceModel
package import TraceTime

/// The standard loads, which compare one version with another.
package enum StandardSet {
    /// Returns the loads; the first four run at full speed.
    package static func plans(seconds: Double, runs: Int) -> [LoadPlan] {
        func plan(_ name: String, _ change: (inout LoadPlan) -> Void) -> LoadPlan {
            var plan = LoadPlan()
            plan.name = name
            plan.seconds = seconds
            plan.runs = runs
            change(&plan)
            return plan
        }
        return [
            plan("function-100") { _ in },
            plan("function-5000") { plan in
                plan.batchEvents = 5_000
                plan.pace = .closed(inFlight: 8)
            },
            plan("function-stream") { plan in
                plan.batchEvents = 500
                plan.streams = 2
                plan.pace = .closed(inFlight: 32)
            }, plan("mixed-100") { $0.mix = .mixed },
        ]
    }

    /// Returns the load that measures ack latency at half the rate that `full` reached.
    package static func latencyPlan(after full: LoadReport, seconds: Double, runs: Int) -> LoadPlan
    {
        var plan = full.plan
        plan.name = "\(full.plan.name)-half"
        plan.pace = .open(eventsPerSecond: full.server.eventsPerSecond / 2)
        plan.seconds = seconds
        plan.runs = runs
        return plan
    }
}

/// Runs loads against a server and, alternately, against the floor server.
package final class Bench {
    /// Receives progress messages, line by line.
    package var onProgress: (String) -> Void = { _ in }

    private let server: ServerConnection
    private let meter: ClusterMeter?
    private let probeDirectory: String
    private let floor: FloorProcess
    private let zone: TimeZoneRules

    /// Starts the floor server. `close` must always be called.
    /// - Parameters:
    /// - server: Where batches are sent.
    /// - dataDirectory: The absolute path of the cluster's data directory; without it the cluster's processes are not
    ///   measured.
    /// - program: A path to `trace-bench`.
    /// - zone: The time zone of the timestamps.
    package init(
        server: ServerConnection,
        dataDirectory: String?,
        program: String,
        zone: TimeZoneRules
    ) throws {
        self.server = server
        self.zone = zone
        meter = try dataDirectory.map { path throws(TraceError) in
            try ClusterMeter(dataDirectory: path)
        }
        probeDirectory = dataDirectory ?? "."
        floor = try FloorProcess(program: program)
    }

    /// Ends the floor server.
    package func close() { floor.close() }

    /// Warms up, then runs the load `plan.runs` times. Blocks for minutes.
    package func measure(_ plan: LoadPlan) throws -> LoadReport {
        onProgress("\(plan.name): encoding")
        let traffic = Traffic(plan, zone: zone)
        let cluster = LoadGenerator(plan, server: server, traffic: traffic)
        defer { cluster.close() }
        let idle = LoadGenerator(
            plan,
            server: try ServerConnection(to: floor.address, files: ServerConnection.Files()),
            traffic: traffic
        )
        defer { idle.close() }
        if plan.warmUpSeconds > 0 {
            onProgress("\(plan.name): warming up")
            _ = try runFloor(idle, seconds: plan.warmUpSeconds / 2)
            _ = try runServer(cluster, seconds: plan.warmUpSeconds)
        }
        var serverRuns: [RunFigures] = []
        var floorRuns: [RunFigures] = []
        for run in 1...plan.runs {
            onProgress("\(plan.name): run \(run) of \(plan.runs)")
            floorRuns.append(try runFloor(idle, seconds: plan.seconds / 2))
            serverRuns.append(try runServer(cluster, seconds: plan.seconds))
        }
        onProgress("\(plan.name): the disk by itself")
        let group = traffic.batchBytes * min(plan.inFlightMax, 64)
        return LoadReport(
            plan: plan,
            server: ServerFigures(medianOf: serverRuns),
            floor: ServerFigures(medianOf: floorRuns),
            disk: try DiskProbe(directory: probeDirectory, groupBytes: group),
            serverRuns: serverRuns,
            floorRuns: floorRuns
        )
    }

    /// Measures one run. Its CPU time covers all work that its events cause, until they are written and merged.
    private func runServer(_ load: LoadGenerator, seconds: Double) throws -> RunFigures {
        guard let meter else { return RunFigures(try load.load(seconds: seconds)) }
        let received = meter.receivedEvents()
        let before = try meter.usage()
        let began = WallClock.monotonic()
        let watch = DiskWatch(directory: probeDirectory)
        let sent = Result { () throws(TraceError) in try load.load(seconds: seconds) }
        let silence = watch?.stop()
        let outcome = try sent.get()
        let applied = try meter.waitUntilWritten(received + outcome.events)
        try meter.finalize()
        return RunFigures(
            outcome,
            processedSeconds: Double(applied - began) / 1e9,
            diskSilenceMilliseconds: silence,
            members: meter.members.map(\.name),
            before: before,
            after: try meter.usage()
        )
    }

    private func runFloor(_ load: LoadGenerator, seconds: Double) throws -> RunFigures {
        let before = ProcessUsage(pid: floor.pid)
        let outcome = try load.load(seconds: seconds)
        guard let before, let after = ProcessUsage(pid: floor.pid) else {
            throw TraceError(.notFound, "the do-nothing server has ended")
        }
        return RunFigures(outcome, members: ["floor"], before: [before], after: [after])
    }
}
