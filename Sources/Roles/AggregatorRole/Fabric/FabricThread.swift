import ClusterMessages
import HTTPServing
import Logging
import Synchronization
import SystemIO
import TraceModel
import ZeroMQ

/// Runs the fabric's thread: receives messages from workers and the router, passes them to `AggregationState`, and
/// carries out its actions. Shares the merged metrics with the pages.
final class FabricThread: Sendable {
    private let initial: AggregationState
    fileprivate let shared: SharedState
    fileprivate let merges: MergeThread
    fileprivate let uploads: UploadThread?
    fileprivate let journal: WindowJournal
    fileprivate let rebuildProgram: RebuildProgram?
    fileprivate let consoleAddress: ServingAddress?
    fileprivate let hasEdge: Bool
    fileprivate let http: HTTPTally
    fileprivate let log: Logger
    private let wakeup: Wakeup
    private let isStopping = Atomic(false)

    /// Creates the thread's object. `state` is that of a process that starts.
    init(
        _ state: AggregationState,
        shared: SharedState,
        merges: MergeThread,
        uploads: UploadThread?,
        journal: WindowJournal,
        rebuildProgram: RebuildProgram?,
        consoleAddress: ServingAddress?,
        hasEdge: Bool,
        http: HTTPTally,
        wakeup: Wakeup,
        log: Logger
    ) {
        initial = state
        self.shared = shared
        self.merges = merges
        self.uploads = uploads
        self.journal = journal
        self.rebuildProgram = rebuildProgram
        self.consoleAddress = consoleAddress
        self.hasEdge = hasEdge
        self.http = http
        self.wakeup = wakeup
        self.log = log
    }

    /// Starts the thread. `onBound` is called on it once; if its argument is an error, the socket could not be
    /// bound and the thread ends.
    func start(_ onBound: @escaping @Sendable (ZMQError?) -> Void) -> DedicatedThread {
        DedicatedThread("fabric") {
            do throws(ZMQError) {
                let socket = try ZMQSocket(ZMQContext(), .router)
                try socket.bind(ClusterPaths.aggregatorFabric)
                onBound(nil)
                self.run(socket)
            } catch { onBound(error) }
        }
    }

    /// Makes the thread end after the current message.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.signal()
    }

    private func run(_ socket: ZMQSocket) {
        let poller = ZMQPoller()
        let readable = poller.add(socket)
        _ = poller.add(descriptor: wakeup.descriptor)
        var turns = FabricTurns(self, socket, initial)
        while !isStopping.load(ordering: .acquiring) {
            poller.wait(milliseconds: 250)
            wakeup.clear()
            if poller.isReadable(readable) { turns.receive() }
            turns.settleMerges()
            turns.tick()
            Readiness.alive()
        }
    }
}

/// What the thread does in a turn of its loop.
private struct FabricTurns {
    private let thread: FabricThread
    private let socket: ZMQSocket
    private var state: AggregationState
    private var rebuilds: SegmentRebuilds

    /// Messages taken in a turn, so that ticks are not delayed.
    private static let messagesMax = 256

    init(_ thread: FabricThread, _ socket: ZMQSocket, _ state: AggregationState) {
        self.thread = thread
        self.socket = socket
        self.state = state
        rebuilds = SegmentRebuilds(thread.rebuildProgram, log: thread.log)
    }

    /// Passes the messages that have arrived to the state.
    mutating func receive() {
        for _ in 0..<Self.messagesMax {
            guard let message = socket.receive() else { return }
            let clocks = Self.readClocks()
            do throws(TraceError) {
                guard let sender = message.sender, let peer = Peer(sender), message.frameCount == 1
                else {
                    throw TraceError(
                        .invalidArgument,
                        "not a worker or the router, or not one frame"
                    )
                }
                let frame = unsafe message.frame(0)
                let content = try unsafe ClusterMessage(decoding: frame)
                decide {
                    unsafe $0.receive(content, encoded: frame, from: peer, at: clocks, &$1)
                }
            } catch {
                let sender = message.sender.map { "\($0)" }
                decide { $0.refuse(error, from: sender, &$1) }
            }
        }
    }

    /// Passes the ends of merges and rebuilds to the state.
    mutating func settleMerges() {
        let now = WallClock.monotonic()
        for outcome in thread.merges.takeOutcomes() {
            decide { $0.merged(outcome, now: now, &$1) }
        }
        for result in rebuilds.poll() {
            switch result {
            case .merge(let job): thread.merges.submit(job)
            case .failed(let job, let error): fail(job, error)
            }
        }
    }

    /// Does everything that does not follow from a message or a merge.
    mutating func tick() {
        let clocks = Self.readClocks()
        let needsFiles = state.needsFiles(now: clocks.monotonic)
        let seen = AggregationState.Surroundings(
            clocks: clocks,
            merging: thread.merges.current,
            rebuilding: rebuilds.current,
            retention: thread.merges.retentionCounts,
            uploads: thread.uploads?.state,
            http: thread.http.counts,
            files: needsFiles
                ? ProcessFiles.read(
                    of: state.peers.expected,
                    console: thread.consoleAddress,
                    hasEdge: thread.hasEdge
                )
                : nil
        )
        decide { $0.tick(seen, &$1) }
    }

    /// Passes an input to the state while the shared state is locked, and carries out the actions that follow from it.
    private mutating func decide(
        _ input: (inout AggregationState, inout SharedState.Content) -> [AggregationState.Action]
    ) {
        let actions = thread.shared.withLock { input(&state, &$0) }
        for action in actions { carryOut(action) }
    }

    private mutating func carryOut(_ action: AggregationState.Action) {
        switch action {
        case .send(let message, let peer):
            guard let bytes = try? message.encode() else { return }
            _ = socket.send(to: peer.routingID, head: bytes)
        case .merge(let job): thread.merges.submit(job)
        case .rebuild(let job, let damaged):
            do { try rebuilds.begin(job, damaged: damaged) } catch { fail(job, error) }
        case .save(let marks, let outcome):
            do { try thread.journal.save(marks) } catch { return fail(outcome.job, error) }
            decide { $0.saved(outcome, &$1) }
        case .settle(let job): thread.merges.settle(job)
        case .report(let notice): notice.log(to: thread.log)
        }
    }

    private mutating func fail(_ job: MergeJob, _ error: any Error) {
        let now = WallClock.monotonic()
        decide { $0.failed(job, error, now: now, &$1) }
    }

    private static func readClocks() -> AggregationState.Clocks {
        AggregationState.Clocks(
            monotonic: WallClock.monotonic(),
            epochSeconds: WallClock.now() / 1_000_000_000
        )
    }
}
