import ActivityMonitoring
import ClusterMessages
import HTTPServing
import Logging
import Synchronization
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Receives messages from workers and the router, and sends them the merged windows. Owns the ledger and the peers;
/// shares the merged metrics with the pages.
final class FabricThread: Sendable {
    private let shared: SharedState
    private let merges: MergeThread
    private let journal: WindowJournal
    private let incarnation: UInt64
    private let ledger: WindowLedger
    private let rebuildProgram: RebuildProgram?
    private let http: HTTPTally
    private let wakeup: Wakeup
    private let isStopping = Atomic(false)
    private let log: Logger

    init(
        shared: SharedState,
        merges: MergeThread,
        journal: WindowJournal,
        ledger: WindowLedger,
        rebuildProgram: RebuildProgram?,
        http: HTTPTally,
        incarnation: UInt64,
        wakeup: Wakeup,
        log: Logger
    ) {
        self.shared = shared
        self.merges = merges
        self.journal = journal
        self.ledger = ledger
        self.rebuildProgram = rebuildProgram
        self.http = http
        self.incarnation = incarnation
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
        var coordinator = FabricCoordinator(
            socket: socket,
            shared: shared,
            merges: merges,
            journal: journal,
            ledger: ledger,
            rebuilds: SegmentRebuilds(rebuildProgram, log: log),
            http: http,
            incarnation: incarnation,
            log: log
        )
        while !isStopping.load(ordering: .acquiring) {
            poller.wait(milliseconds: 250)
            wakeup.clear()
            if poller.isReadable(readable) { coordinator.receive() }
            coordinator.tick(now: WallClock.monotonic())
            Readiness.alive()
        }
    }
}
