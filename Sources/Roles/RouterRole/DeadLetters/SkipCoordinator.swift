import ClusterMessages
import TraceModel

/// Decides whose events are set aside, and holds these workers meanwhile: they are sent nothing before their case is closed. A pure
/// state machine; `DeadLetterDesk` closes cases.
struct SkipCoordinator {
    /// Hands a case to be closed; false where there is no room for another one.
    typealias Submit = (DeadLetterCase) -> Bool

    private var held: Set<WorkerName> = []
    /// The incarnation whose claim has been looked into.
    private var heard: [WorkerName: UInt64] = [:]
    /// The last window that the aggregator has published, by resource; nil before it has been heard.
    private var published: [Resource: UInt64]?

    /// What holds for the log.
    struct Place {
        let maps: SlotMapHistory
        let verdicts: Verdicts
        /// What can be read.
        let log: Range<LSN>
        /// Behind it the owners of slots are not known yet.
        let routedLSN: LSN
    }

    func holds(_ worker: WorkerName) -> Bool { held.contains(worker) }

    /// Takes up what a worker says that it dies of. Each incarnation is heard once: where its claim does not hold, it goes on as
    /// it can.
    mutating func claimed(_ hello: WorkerHello, at place: Place, _ submit: Submit) {
        let worker = hello.worker
        guard !held.contains(worker), let claim = hello.claim, heard[worker] != hello.incarnation,
            claim.lsn >= max(hello.resumeLSN, place.log.lowerBound),
            claim.lsn < place.log.upperBound,
            !place.verdicts.covers(worker, claim.lsn)
        else { return }
        heard[worker] = hello.incarnation
        hold(worker, .crash(claim.lsn, reason: claim.reason), place, submit) { _ in }
    }

    /// Takes up what an operator asks for, or answers that it can't be done. `hasCheckpoint`: the worker has saved something; one
    /// that owns nothing any more may come back to that.
    mutating func asked(
        _ request: DeadLetterDesk.Skip,
        hasCheckpoint: Bool,
        at place: Place,
        _ submit: Submit
    ) {
        let worker = request.worker
        guard hasCheckpoint || place.maps.current.allWorkers.contains(worker) else {
            return request.answer(.failure(TraceError(.notFound, "There is no worker \(worker)")))
        }
        let ground = DeadLetterCase.Ground.skip(
            to: min(request.to, place.routedLSN),
            renewal: renewal(of: worker, counted: request.counted, place)
        )
        guard !held.contains(worker), hold(worker, ground, place, submit, request.answer) else {
            return request.answer(
                .failure(
                    TraceError(
                        .exhausted,
                        "Events of \(worker) are being set aside already",
                        remedy: "Try again in a moment"
                    )
                )
            )
        }
    }

    @discardableResult private mutating func hold(
        _ worker: WorkerName,
        _ ground: DeadLetterCase.Ground,
        _ place: Place,
        _ submit: Submit,
        _ answer: @escaping @Sendable (Result<DeadLetterCase.Outcome, TraceError>) -> Void
    ) -> Bool {
        let isTaken = submit(
            DeadLetterCase(
                worker: worker,
                ground: ground,
                maps: place.maps,
                verdicts: place.verdicts,
                answer: answer
            )
        )
        if isTaken { held.insert(worker) }
        return isTaken
    }

    /// The cases of these workers are closed; a verdict has been routed before.
    mutating func closed(_ workers: [WorkerName]) { held.subtract(workers) }

    /// The aggregator says hello first, and then what is published.
    mutating func aggregatorHeard() { if published == nil { published = [:] } }

    /// The aggregator has published a window.
    mutating func published(_ window: UInt64, of resource: Resource) {
        aggregatorHeard()
        let known = published?[resource] ?? 0
        published?[resource] = max(known, window)
    }

    private func renewal(of worker: WorkerName, counted: LSN?, _ place: Place) -> WorkerRenewal {
        let begin = place.log.lowerBound
        guard let published else {
            return WorkerRenewal(begin: nil, isCutOff: false, counted: counted)
        }
        let next = published[worker.resource].map { $0 + 1 } ?? 0
        // What lies before the history has been trimmed with the log.
        let open = place.maps.begin(of: next)
        return WorkerRenewal(
            begin: max(open ?? begin, begin, place.maps.firstOwned(by: worker) ?? 0),
            isCutOff: open.map { $0 < begin } ?? true,
            counted: counted
        )
    }
}
