import AnomalyRules
import SystemIO
import TraceMetrics
import TraceModel

/// What is counted for a slot as a whole.
struct SlotTotals: BitwiseCopyable {
    var events: UInt64 = 0
    var timestampsInvalid: UInt64 = 0
    /// By rule.
    var findings = InlineArray<25, UInt64>(repeating: 0)
    var namesCut: UInt64 = 0
    var utf8Replaced: UInt64 = 0
    var framesCut: UInt64 = 0
    var processesEvicted: UInt64 = 0
    var openCallsEvicted: UInt64 = 0
    var functionsEvicted: UInt64 = 0
    var allocationsEvicted: UInt64 = 0
    var connectionsEvicted: UInt64 = 0
    var processes: UInt32 = 0
    /// Whether anything changed since the last collection.
    var isDirty = false

    func encode(into buffer: inout RawBuffer) {
        for count in [
            events, timestampsInvalid, namesCut, utf8Replaced, framesCut, processesEvicted,
            openCallsEvicted, functionsEvicted, allocationsEvicted, connectionsEvicted,
        ] {
            buffer.append(integer: count)
        }
        for index in findings.indices { buffer.append(integer: findings[index]) }
    }

    init() {}

    init(decoding reader: inout StateReader) throws(TraceError) {
        events = try reader.integer(UInt64.self)
        timestampsInvalid = try reader.integer(UInt64.self)
        namesCut = try reader.integer(UInt64.self)
        utf8Replaced = try reader.integer(UInt64.self)
        framesCut = try reader.integer(UInt64.self)
        processesEvicted = try reader.integer(UInt64.self)
        openCallsEvicted = try reader.integer(UInt64.self)
        functionsEvicted = try reader.integer(UInt64.self)
        allocationsEvicted = try reader.integer(UInt64.self)
        connectionsEvicted = try reader.integer(UInt64.self)
        for index in findings.indices { findings[index] = try reader.integer(UInt64.self) }
        isDirty = events > 0
    }

    func samples(of resource: Resource) -> [MetricSample] {
        var samples = [
            MetricSample(
                family: .eventsTotal,
                labels: [resource.name],
                value: .counter(Double(events))
            )
        ]
        func add(_ family: MetricFamily, _ labels: [String], _ count: UInt64) {
            guard count > 0 else { return }
            samples.append(
                MetricSample(family: family, labels: labels, value: .counter(Double(count)))
            )
        }
        add(.timestampsInvalidTotal, [], timestampsInvalid)
        for rule in RuleID.allCases {
            add(
                .anomaliesTotal,
                [resource.name, "\(rule.name)"],
                findings[Int(rule.rawValue)]
            )
        }
        add(.errorsTotal, [LossKind.nameCut.rawValue], namesCut)
        add(.errorsTotal, [LossKind.invalidUTF8Replaced.rawValue], utf8Replaced)
        add(.errorsTotal, [LossKind.stackFramesCut.rawValue], framesCut)
        add(.errorsTotal, [LossKind.processEvicted.rawValue], processesEvicted)
        add(.errorsTotal, [LossKind.openCallEvicted.rawValue], openCallsEvicted)
        add(.errorsTotal, [LossKind.functionEvicted.rawValue], functionsEvicted)
        add(.errorsTotal, [LossKind.allocationEvicted.rawValue], allocationsEvicted)
        add(.errorsTotal, [LossKind.connectionEvicted.rawValue], connectionsEvicted)
        return samples
    }
}
