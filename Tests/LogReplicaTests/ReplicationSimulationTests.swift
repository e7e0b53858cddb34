import LogReplica
import TestSupport
import Testing
import TraceModel

/// What a simulated case finds.
struct ReplicationFailure: Error, CustomStringConvertible {
    let description: String
}

/// A data directory with its router: takes over the replicated log, appends to it, and dies at any moment.
private final class SimulatedOwner {
    private enum State {
        case down
        /// Reads the log up to its end, and takes over then.
        case starting(ReplicationPlan?)
        case running(ReplicationPlan)
    }

    private let stream: SimulatedStream
    private let truth: Truth
    private let directory: UInt64
    private let faults: ReplicationFaults
    private var replica: SimulatedReplica
    private var state = State.down
    private var starts: UInt64 = 0
    /// The log on the disk, and the epoch of the replica with which it agreed last.
    private var log: [UInt8] = []
    private var epoch: UInt64?
    /// What was read of the replica.
    private var content = ReplicaContent()
    private var copy: [UInt8] = []
    /// Until then nothing happens here, though it may elsewhere.
    var frozenUntil: Int64 = 0

    init(_ stream: SimulatedStream, _ truth: Truth, directory: UInt64, faults: ReplicationFaults) {
        self.stream = stream
        self.truth = truth
        self.directory = directory
        self.faults = faults
        replica = SimulatedReplica(stream)
    }

    var isRunning: Bool {
        if case .running = state { true } else { false }
    }

    /// Whether everything appended is safe.
    var isQuiet: Bool {
        if case .running(let plan) = state { plan.waitingBytes == 0 } else { false }
    }

    func start() {
        starts += 1
        replica = SimulatedReplica(stream)
        content = ReplicaContent(from: stream.first)
        copy = []
        state = .starting(nil)
    }

    /// Removes what is acknowledged from the replica.
    func trim() {
        guard case .running(var plan) = state else { return }
        if let position = plan.trimmable(below: LSN(truth.safe)) { stream.trim(below: position) }
        state = .running(plan)
    }

    /// The process dies. What was not synced may be lost from the disk.
    func kill() {
        state = .down
        let kept = max(truth.safe, 0)
        if log.count > kept, stream.happens(50) {
            log.removeLast(Int.random(in: 0...(log.count - kept), using: &stream.random))
        }
    }

    func append() {
        guard case .running(var plan) = state else { return }
        let lsn = log.count
        let group = stream.random.bytes(0...39)
        log += [UInt8(group.count + 1)] + group
        publish(from: lsn, &plan)
        state = .running(plan)
    }

    private func publish(from lsn: Int, _ plan: inout ReplicationPlan) {
        for start in stride(from: lsn, to: log.count, by: replica.rangeBytesMax) {
            let count = min(replica.rangeBytesMax, log.count - start)
            plan.append(lsn: LSN(start), byteCount: count)
        }
    }

    func step() throws {
        guard stream.now >= frozenUntil else { return }
        switch state {
        case .down: break
        case .starting(nil): try read()
        case .starting(var plan?):
            let ending = try carryOut(&plan)
            if plan.isOwner {
                try begin(&plan)
                state = .running(plan)
            } else {
                // What stands there was not read yet.
                state = .starting(ending == nil ? plan : nil)
            }
        case .running(var plan):
            let ending = try carryOut(&plan)
            state = .running(plan)
            switch ending {
            case nil: try truth.isSafe(log, to: plan.safe)
            case .fenced: kill()
            case .overtaken, .inconsistent:
                throw ReplicationFailure(
                    description: "an owner ends as \(String(describing: ending))"
                )
            }
        }
    }

    /// Reads the replica as far as it answers, makes the disk agree with it, and begins a takeover.
    private func read() throws {
        guard content.next >= stream.first else { return start() }
        while let message = try? replica.read(content.next) {
            try truth.apply(message, to: &copy, &content)
        }
        let reconciliation = ReplicaReconciliation(
            local: 0..<LSN(log.count),
            epoch: epoch,
            directory: directory,
            content: content
        )
        var end = copy.count
        switch reconciliation {
        case .same, .publish: break
        case .download(let lsn):
            log += copy[Int(lsn)...]
            epoch = content.epoch
        case .restore:
            log = copy
            epoch = content.epoch
        case .refuse:
            // It has read only a part.
            return
        }
        guard log.starts(with: copy) else {
            throw ReplicationFailure(description: "disk and replica differ after \(reconciliation)")
        }
        // Half a group at the end is cut off.
        log.removeLast(log.count - log.groupEnd(below: log.count))
        end = min(end, log.count)
        state = .starting(
            ReplicationPlan(
                after: content,
                keeping: LSN(end),
                owner: ReplicaOwner(directory: directory, start: starts),
                markBytes: 200,
                faults: faults
            )
        )
    }

    /// Appends what only the disk has.
    private func begin(_ plan: inout ReplicationPlan) throws {
        // Another one may have taken over before this one learned of its own takeover.
        let last = stream.messages.last { $0.header.owner != nil }
        guard log.count >= truth.safe || last?.position != plan.takeover else {
            throw ReplicationFailure(
                description:
                    "\(truth.safe) bytes are acknowledged, and the new owner has \(log.count)"
            )
        }
        epoch = plan.epoch
        publish(from: Int(plan.safe), &plan)
        try truth.isSafe(log, to: plan.safe)
    }

    /// Carries out the plan's actions until it waits.
    private func carryOut(_ plan: inout ReplicationPlan) throws -> ReplicationPlan.Ending? {
        while true {
            while let answer = replica.outcome(milliseconds: 0) {
                plan.report(answer.outcome, ticket: answer.ticket, now: stream.now)
            }
            switch plan.next(now: stream.now) {
            case .send(let message, let ticket):
                let start = Int(message.header.lsn)
                let bytes = message.byteCount == 0 ? [] : log[start..<start + message.byteCount]
                Array(bytes).withUnsafeBytes {
                    replica.append(message.header, $0, at: message.position, ticket: ticket)
                }
            case .read(let position):
                if let message = try? replica.read(position) {
                    plan.found(message.header, now: stream.now)
                } else {
                    plan.notFound("", now: stream.now)
                }
            case .wait: return nil
            case .end(let ending): return ending
            }
        }
    }
}

/// A log of groups, which each begin with their size in one byte.
extension [UInt8] {
    /// Returns the end of the last group that ends at this position or before.
    fileprivate func groupEnd(below end: Int) -> Int {
        var position = 0
        while position < count, position + Int(self[position]) <= Swift.min(end, count) {
            position += Int(self[position])
        }
        return position
    }
}

/// What was acknowledged: whole groups.
private final class Truth {
    private var acknowledged: [UInt8] = []

    var safe: Int { acknowledged.count }

    /// Notes that an owner counts its log up to here as safe.
    func isSafe(_ log: [UInt8], to end: LSN) throws {
        let end = log.groupEnd(below: Int(end))
        guard end > acknowledged.count else { return }
        guard log.starts(with: acknowledged) else {
            throw ReplicationFailure(description: "two owners acknowledge different bytes")
        }
        acknowledged += log[acknowledged.count..<end]
    }

    /// Applies a message to a copy of the log. What was removed before the first one is in checkpoints.
    func apply(
        _ message: ReplicaMessage,
        to copy: inout [UInt8],
        _ content: inout ReplicaContent
    ) throws {
        let lsn = Int(message.header.lsn)
        let isFirst = content.epoch == 0
        let change = content.apply(message.header, byteCount: message.bytes.count)
        guard change != .ignored else { return }
        if isFirst { copy = Array(acknowledged.prefix(lsn)) }
        guard lsn == copy.count || change == .takeover && lsn < copy.count else {
            throw ReplicationFailure(description: "\(message.header) follows \(copy.count) bytes")
        }
        copy.removeLast(copy.count - lsn)
        copy += message.bytes
    }

    /// Checks that all that was acknowledged is there.
    func contains(_ copy: [UInt8]) throws {
        guard copy.starts(with: acknowledged) else {
            throw ReplicationFailure(
                description:
                    "of \(acknowledged.count) acknowledged bytes not all are in \(copy.count)"
            )
        }
    }
}

/// One case: three data directories that compete for a log.
private struct ReplicationCase {
    let seed: UInt64
    var faults: ReplicationFaults = []

    func run() throws {
        let stream = SimulatedStream(seed: seed)
        let truth = Truth()
        let owners = (1...3).map {
            SimulatedOwner(stream, truth, directory: $0, faults: faults)
        }
        stream.faultPercent = [0, 5, 20, 50].randomElement(using: &stream.random) ?? 0
        for _ in 0..<400 {
            try disturb(owners, stream)
            stream.advance(Int64.random(in: 0...100, using: &stream.random))
            for owner in owners { try owner.step() }
        }
        try heal(owners, stream)
        try check(stream, truth)
    }

    private func disturb(_ owners: [SimulatedOwner], _ stream: SimulatedStream) throws {
        let owner = owners[Int.random(in: owners.indices, using: &stream.random)]
        switch Int.random(in: 0..<100, using: &stream.random) {
        case 0..<2: owner.start()
        case 2: owner.kill()
        case 3..<5:
            let time = Int64.random(in: 0...10_000, using: &stream.random)
            owner.frozenUntil = stream.now + time * SimulatedStream.millisecond
        case 5: owner.trim()
        default: if stream.happens(60) { for owner in owners { owner.append() } }
        }
    }

    /// Nothing goes wrong any more: the last owner has to come to its end.
    private func heal(_ owners: [SimulatedOwner], _ stream: SimulatedStream) throws {
        stream.faultPercent = 0
        for owner in owners { owner.frozenUntil = 0 }
        owners[0].start()
        for round in 0..<2_000 {
            stream.advance(200)
            for owner in owners { try owner.step() }
            guard round > 350 else { continue }
            if owners[0].isQuiet { return }
            if round % 100 == 0, !owners[0].isRunning { owners[0].start() }
        }
        throw ReplicationFailure(description: "nothing goes on")
    }

    private func check(_ stream: SimulatedStream, _ truth: Truth) throws {
        var content = ReplicaContent(from: stream.first)
        var copy: [UInt8] = []
        for message in stream.messages { try truth.apply(message, to: &copy, &content) }
        try truth.contains(copy)
    }
}

/// Tests that no acknowledged byte is lost and that no two owners acknowledge different ones, whatever becomes of messages
/// and owners.
@Suite struct ReplicationSimulationTests {
    @Test func theReplicaKeepsWhatWasAcknowledged() {
        for seed in 1...2_000 as ClosedRange<UInt64> {
            #expect(throws: Never.self, "seed \(seed)") { try ReplicationCase(seed: seed).run() }
        }
    }

    /// A simulation that finds no mistakes proves something only if it finds planted ones.
    @Test(arguments: [ReplicationFaults.pipelinedAtOnce, .safeInAnyOrder])
    func aPlantedMistakeIsFound(_ faults: ReplicationFaults) {
        #expect(throws: ReplicationFailure.self) {
            for seed in 1...1_000 as ClosedRange<UInt64> {
                try ReplicationCase(seed: seed, faults: faults).run()
            }
        }
    }
}
