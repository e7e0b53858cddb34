import Foundation
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What the rules of one resource find in events.
enum RuleBench {
    /// The rule and process of each finding, sorted; the files, the trace and the metrics have to agree.
    static func findings(
        _ resource: Resource,
        ticks: [Int] = [],
        _ fill: (inout BatchEncoder) -> Void
    ) throws -> [Finding] {
        let bench = try ProcessorBench(resource)
        try bench.send(fill)
        for seconds in ticks {
            let arrival = ProcessorBench.start + Int64(seconds) * 1_000_000_000
            try bench.processor.tick(arrival: arrival)
        }
        return try findings(of: bench)
    }

    static func findings(of bench: ProcessorBench) throws -> [Finding] {
        let samples = bench.samples()
        let output = try bench.output()
        let filed = output.anomalies.compactMap(Finding.init).sorted()
        let shown = output.events.filter { $0["cat"] as? String == "anomaly" }
        #expect(shown.allSatisfy { $0["ph"] as? String == "i" && $0["tid"] is Int })
        let names = shown.compactMap { $0["name"] as? String }
        #expect(names.sorted() == filed.map(\.rule).sorted())
        for (rule, findings) in Dictionary(grouping: filed, by: \.rule) {
            let resource = bench.processor.resource.name
            let counted = samples.value(.anomaliesTotal, resource, rule)
            #expect(counted == Double(findings.count), "\(rule)")
        }
        for line in output.anomalies {
            let severity = line["severity"] as? Double ?? -1
            #expect((0...1).contains(severity) && line["message"] as? String != "")
        }
        return filed
    }

    static func time(_ seconds: Double) -> String {
        ProcessorBench.timestamp(Int((seconds * 1_000).rounded()))
    }

    struct Finding: Hashable, Comparable {
        let rule: String
        let pid: Int

        init(_ rule: String, _ pid: Int) {
            self.rule = rule
            self.pid = pid
        }

        init?(_ line: [String: Any]) {
            guard let rule = line["rule"] as? String, let pid = line["pid"] as? Int else {
                return nil
            }
            self.init(rule, pid)
        }

        static func < (left: Finding, right: Finding) -> Bool {
            (left.rule, left.pid) < (right.rule, right.pid)
        }
    }
}

extension BatchEncoder {
    /// A call of process 7 by its entry and, where it ends, its exit.
    mutating func call(_ name: String, at seconds: Double, milliseconds: Double?, pid: UInt32 = 7) {
        var event = Function()
        event.functionName = name
        event.pid = pid
        event.tgid = pid
        event.cookie = Int64(seconds * 1_000)
        event.timestamp = RuleBench.time(seconds)
        append(event)
        guard let milliseconds else { return }
        exit(name, entered: seconds, at: seconds + milliseconds / 1_000, pid: pid)
    }

    /// The end of a call that `call` has begun.
    mutating func exit(_ name: String, entered: Double, at seconds: Double, pid: UInt32 = 7) {
        var event = Function()
        event.eventType = 1
        event.functionName = name
        event.pid = pid
        event.tgid = pid
        event.cookie = Int64(entered * 1_000)
        event.timestamp = RuleBench.time(seconds)
        append(event)
    }

    mutating func cpu(
        at seconds: Double,
        percent: Double = 20,
        migrations: Double = 0,
        numa: Double = 0,
        hotspot: Double = 10,
        cpu: UInt32 = 0,
        pid: UInt32 = 7
    ) {
        var event = CPU()
        event.timestamp = RuleBench.time(seconds)
        event.pid = pid
        event.comm = "work-\(pid)"
        event.utilizationPercent = percent
        event.migrations = UInt32(migrations)
        event.numaMigrations = UInt32(numa)
        event.hotspotPercent = hotspot
        event.cpuID = cpu
        append(event)
    }

    mutating func memory(
        at seconds: Double,
        _ operation: String,
        address: UInt64 = 0,
        size: UInt64 = 0,
        operations: Double = 0,
        score: UInt32 = 0,
        current: Double = 0,
        stack: UInt64 = 0,
        anomalies: [Anomaly] = [],
        pid: UInt32 = 7
    ) {
        var event = Memory()
        event.stackID = stack
        event.timestamp = RuleBench.time(seconds)
        event.pid = pid
        event.tgid = pid
        event.comm = "work-\(pid)"
        event.operation = operation
        event.address = address
        event.size = size
        event.totalAllocs = UInt64(operations / 2)
        event.totalFrees = UInt64(operations / 2)
        event.fragmentationScore = score
        event.currentMemory = UInt64(current)
        event.anomalies = anomalies
        append(event)
    }

    mutating func network(
        at seconds: Double,
        bytes: Double = 0,
        packets: Double = 0,
        retransmits: Double = 0,
        errors: UInt32 = 0,
        from: UInt32 = 40_000,
        to: (host: String, port: UInt32) = ("192.0.2.1", 443),
        pid: UInt32 = 7
    ) {
        var event = Network()
        event.timestamp = RuleBench.time(seconds)
        event.pid = pid
        event.tgid = pid
        event.comm = "work-\(pid)"
        event.isSend = true
        event.transport = "TCP"
        event.sourceAddress = "192.0.2.200"
        event.destinationAddress = to.host
        event.sourcePort = from
        event.destinationPort = to.port
        event.txBytes = UInt64(bytes)
        event.txPackets = UInt64(packets)
        event.retransmits = UInt32(retransmits)
        event.errors = errors
        append(event)
    }

    mutating func io(
        at seconds: Double,
        milliseconds: Double = 1,
        operation: String = "READ",
        bytes: Double = 0,
        pid: UInt32 = 7
    ) {
        var event = IO()
        event.timestamp = RuleBench.time(seconds)
        event.pid = pid
        event.comm = "work-\(pid)"
        event.operation = operation
        event.device = "sda"
        event.latencyMilliseconds = milliseconds
        event.readBytes = UInt64(bytes)
        append(event)
    }

    mutating func gpu(at seconds: Double, _ payload: GPU.Payload) {
        var event = GPU()
        event.timestamp = RuleBench.time(seconds)
        event.payload = payload
        append(event)
    }
}
