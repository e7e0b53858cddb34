import ClusterMessages
import IngestLog
import TraceModel

/// Decides which workers' events are set aside, and holds these workers: they are sent nothing until their case is
/// closed. A pure state machine; `DeadLetterCoordinator` processes the cases.
struct SkipCoordinator {
    /// Submits a case; returns false if there is no room for it.
    typealias Submit = (DeadLetterCase) -> Bool

    private var held: Set<WorkerName> = []
    /// The last incarnation of each worker whose claim was handled.
    private var heard: [WorkerName: UInt64] = [:]
    /// The last window that the aggregator has published, by resource; nil until the aggregator has connected.
    private var published: [Resource: UInt64]?

    /// The state of the log, as input.
    struct Place {
        let maps: SlotMapHistory
        let verdicts: Verdicts
        /// The readable range.
        let log: Range<LSN>
        /// The LSN up to which the owners of slots are known.
        let routedLSN: LSN
    }

    /// Returns whether the worker is held, and must not be sent anything.
    func holds(_ worker: WorkerName) -> Bool { held.contains(worker) }

    /// Handles a worker's claim that a record keeps ending it. Only one claim of each incarnation is accepted; if it is
    /// not valid, the worker continues as it is.
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

    /// Handles an operator's request, or answers that it is not possible. `hasCheckpoint` means that the worker has a
    /// checkpoint: one that owns no slot any more may still continue from that.
    mutating func asked(
        _ request: DeadLetterCoordinator.Skip,
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

    /// Submits a case and holds its worker; returns false if there is no room for the case.
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

    /// Releases workers whose cases are closed; a verdict has been routed before.
    mutating func closed(_ workers: [WorkerName]) { held.subtract(workers) }

    /// Notes that the aggregator has connected; it reports the published windows after that.
    mutating func aggregatorHeard() { if published == nil { published = [:] } }

    /// Notes that the aggregator has published a window.
    mutating func published(_ window: UInt64, of resource: Resource) {
        aggregatorHeard()
        let known = published?[resource] ?? 0
        published?[resource] = max(known, window)
    }

    /// Returns how the worker could start anew.
    private func renewal(of worker: WorkerName, counted: LSN?, _ place: Place) -> WorkerRenewal {
        let begin = place.log.lowerBound
        guard let published else {
            return WorkerRenewal(begin: nil, isCutOff: false, counted: counted)
        }
        let next = published[worker.resource].map { $0 + 1 } ?? 0
        // If the window's start is unknown, it is before the history, and was trimmed with the log.
        let open = place.maps.begin(of: next)
        return WorkerRenewal(
            begin: max(open ?? begin, begin, place.maps.firstOwned(by: worker) ?? 0),
            isCutOff: open.map { $0 < begin } ?? true,
            counted: counted
        )
    }
}
