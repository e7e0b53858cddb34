import GRPCServices
import GRPCTransport
import IngestLog
import Logging
import Synchronization
import TraceModel

/// Serves the operator's methods, which are available only on the Unix socket in the data directory.
final class AdminHandler: GRPCServerHandler {
    private let queue: IngestQueue
    private let context: RouterContext
    private let slotMap: CurrentSlotMap
    private let coordinator: DeadLetterCoordinator
    private let logger: Logger

    init(
        queue: IngestQueue,
        context: RouterContext,
        slotMap: CurrentSlotMap,
        coordinator: DeadLetterCoordinator,
        logger: Logger
    ) {
        self.queue = queue
        self.context = context
        self.slotMap = slotMap
        self.coordinator = coordinator
        self.logger = logger
    }

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        guard call.isLocalSocket else {
            return call.fail(
                .permissionDenied,
                "The admin service answers on \(ClusterPaths.adminSocket) only"
            )
        }
        switch AdminService.Method(rawValue: method) {
        case .finalize: finalize(call, reason: .command)
        case .drain:
            context.isDraining = true
            queue.close()
            finalize(call, reason: .stop)
        case .scale: scale(call, message)
        case .skip: skip(call, message)
        case .slots: call.reply(SlotsResponse(holdings: context.slotHoldings).encoded())
        case nil: preconditionFailure("no such admin method")
        }
    }

    func streamOpened(_ stream: GRPCStream, method: Int) {}
    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {}
    func streamHalfClosed(_ stream: GRPCStream, method: Int) {}
    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}
    func refused(method: Int, reason: GRPCRefusal) {}

    /// Ends the window and answers when its final files exist.
    private func finalize(_ call: GRPCUnaryCall, reason: BarrierPayload.Reason) {
        let waiters = context.waiters
        queue.request(
            IngestQueue.BarrierRequest(reason: reason, slotMap: nil) { barrier in
                waiters.wait(for: barrier.window) { outcome in
                    switch outcome {
                    case .success(let files):
                        let response = FinalizeResponse(window: barrier.window, files: files)
                        call.reply(response.encoded())
                    case .failure(let error): call.fail(error.status, error.description)
                    }
                }
            }
        )
    }

    private func scale(_ call: GRPCUnaryCall, _ message: borrowing ReceivedMessage) {
        do throws(TraceError) {
            let request = try ScaleRequest(decoding: message.bytes())
            guard let before = slotMap.beginChange() else {
                throw TraceError(.exhausted, "Another scale is under way", remedy: "Try again")
            }
            let after: SlotMap
            do throws(TraceError) { after = try rescaled(before, request) } catch {
                slotMap.cancelChange()
                throw error
            }
            let moved = Resource.allCases.reduce(0) { total, resource in
                total
                    + zip(before.owners(of: resource), after.owners(of: resource)).count {
                        $0 != $1
                    }
            }
            let response = ScaleResponse(counts: request.counts, movedSlots: moved)
            let waiters = context.waiters
            let slotMap = slotMap
            queue.request(
                IngestQueue.BarrierRequest(reason: .scale, slotMap: after) { barrier in
                    slotMap.endChange(barrier.slotMap)
                    // A retired worker may end only after its last segments are merged.
                    waiters.wait(for: barrier.window) { outcome in
                        if case .failure(let error) = outcome {
                            return call.fail(error.status, error.description)
                        }
                        waiters.waitForHandover(behind: barrier.window) {
                            call.reply(response.encoded())
                        }
                    }
                }
            )
        } catch { call.fail(error.status, error.description) }
    }

    /// Answers once the worker's events are set aside.
    private func skip(_ call: GRPCUnaryCall, _ message: borrowing ReceivedMessage) {
        do throws(TraceError) {
            let request = try SkipRequest(decoding: message.bytes())
            guard let worker = WorkerName(request.worker) else {
                throw TraceError(.invalidArgument, "worker: no worker “\(request.worker)”")
            }
            let counted = request.counted == .max ? nil : request.counted
            let skip = DeadLetterCoordinator.Skip(worker: worker, to: request.to, counted: counted)
            {
                switch $0 {
                case .success(let outcome):
                    let response = SkipResponse(
                        from: outcome.verdict?.range.lowerBound ?? outcome.end,
                        to: outcome.end,
                        events: outcome.verdict?.events ?? 0,
                        letter: outcome.verdict.map { "\(DeadLetterName($0))" } ?? "",
                        note: outcome.note
                    )
                    call.reply(response.encoded())
                case .failure(let error): call.fail(error.status, error.description)
                }
            }
            coordinator.request(skip)
        } catch { call.fail(error.status, error.description) }
    }

    private func rescaled(_ map: SlotMap, _ request: ScaleRequest) throws(TraceError) -> SlotMap {
        guard !request.counts.isEmpty else {
            throw TraceError(.invalidArgument, "counts: name at least one resource")
        }
        var map = map
        for count in request.counts {
            guard let resource = Resource(name: count.resource) else {
                throw TraceError(
                    .invalidArgument,
                    "counts.resource: no resource “\(count.resource)”"
                )
            }
            guard (1...Limits.workersPerResourceMax).contains(count.workers) else {
                throw TraceError(
                    .invalidArgument,
                    "counts.workers: \(count.workers), allowed 1 to \(Limits.workersPerResourceMax)"
                )
            }
            map = map.rescaled(resource, to: count.workers)
        }
        return map
    }
}

/// Holds the slot map of the last barrier, for threads that plan the next one. Thread-safe.
final class CurrentSlotMap: Sendable {
    /// The map, and whether a change of it is under way.
    private struct State {
        var map: SlotMap
        var isChanging = false
    }

    private let state: Mutex<State>

    init(_ map: SlotMap) { state = Mutex(State(map: map)) }

    /// Claims the next change and returns the map to change. Returns nil while another change's barrier is not in the
    /// log.
    func beginChange() -> SlotMap? {
        state.withLock { state in
            guard !state.isChanging else { return nil }
            state.isChanging = true
            return state.map
        }
    }

    /// Releases the claim without a change.
    func cancelChange() { state.withLock { $0.isChanging = false } }

    /// Ends the change: its barrier, which contains this map, is in the log.
    func endChange(_ map: SlotMap) { state.withLock { $0 = State(map: map) } }
}
