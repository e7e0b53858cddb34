import SystemIO
package import TraceModel

/// An owner of a replicated log: carries out the actions of `ReplicationPlan`, and keeps the bytes that are not safe yet.
/// One thread; every method but `append` blocks.
package final class Replication {
    /// Bytes of one message that is not safe yet.
    private struct Range {
        let lsn: LSN
        let bytes: [UInt8]
    }

    private let log: any ReplicatedLog
    private var plan: ReplicationPlan
    private var ranges: [Range] = []

    /// Begins to take over a log that has `content`, of which the owner keeps what is below `end`.
    package init(
        _ log: any ReplicatedLog,
        after content: ReplicaContent,
        keeping end: LSN,
        owner: ReplicaOwner
    ) {
        self.log = log
        plan = ReplicationPlan(after: content, keeping: end, owner: owner)
    }

    /// The epoch in which this owner appends.
    package var epoch: UInt64 { plan.epoch }
    /// Everything below is stored by a quorum.
    package var safe: LSN { plan.safe }
    /// Whether the takeover is stored, and no other was found.
    package var isOwner: Bool { plan.isOwner }
    /// Bytes that are not safe yet; the memory that they take.
    package var waitingBytes: Int { plan.waitingBytes }
    /// Why nothing is stored at this time; nil while messages are.
    package var problem: String? { plan.problem }

    /// Appends bytes of the log, in as many messages as they need. They are copied.
    package func append(_ bytes: UnsafeRawBufferPointer, lsn: LSN) {
        var start = 0
        while start < bytes.count {
            let end = min(start + log.rangeBytesMax, bytes.count)
            let range = unsafe Range(lsn: lsn + LSN(start), bytes: Array(bytes[start..<end]))
            ranges.append(range)
            plan.append(lsn: range.lsn, byteCount: range.bytes.count)
            start = end
        }
    }

    /// Sends what is waiting, and returns when all of it is safe, or nothing more can be sent, or at `deadline`.
    /// Returns why the log is not this owner's, if that is known.
    package func run(until deadline: Int64) -> ReplicationPlan.Ending? {
        while true {
            let now = WallClock.monotonic()
            switch plan.next(now: now) {
            case .send(let message, let ticket): send(message, ticket)
            case .read(let position): read(position)
            case .wait(nil): return nil
            case .wait(let time?):
                guard now < deadline else { return nil }
                let nanoseconds = max(min(time, deadline) - now, 1_000_000)
                guard let answer = log.outcome(milliseconds: nanoseconds / 1_000_000) else {
                    continue
                }
                plan.report(answer.outcome, ticket: answer.ticket, now: WallClock.monotonic())
                ranges.removeAll { $0.lsn < plan.safe }
            case .end(let ending): return ending
            }
        }
    }

    /// Removes what is only needed below `lsn`, if that is enough to be worth a request.
    /// - Throws: `ReplicaError`; it is repeated at the next call that removes something.
    package func trim(below lsn: LSN) throws(ReplicaError) {
        guard let position = plan.trimmable(below: lsn) else { return }
        try log.trim(below: position)
    }

    private func send(_ message: ReplicationPlan.Message, _ ticket: UInt64) {
        let range = message.byteCount == 0 ? nil : ranges.first { $0.lsn == message.header.lsn }
        precondition(range?.bytes.count ?? 0 == message.byteCount, "the bytes are not here")
        unsafe (range?.bytes ?? []).withUnsafeBytes {
            unsafe log.append(message.header, $0, at: message.position, ticket: ticket)
        }
    }

    private func read(_ position: ReplicaPosition) {
        do throws(ReplicaError) {
            if let message = try log.read(position) {
                plan.found(message.header, now: WallClock.monotonic())
                ranges.removeAll { $0.lsn < plan.safe }
            } else {
                plan.notFound(
                    "position \(position) of the replicated log is refused, and nothing is there",
                    now: WallClock.monotonic()
                )
            }
        } catch { plan.notFound("\(error)", now: WallClock.monotonic()) }
    }
}
