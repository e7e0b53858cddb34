import ClusterMessages
import IngestLog
import Logging
import SystemIO
import TestSupport
import TraceFiles
import TraceModel

@testable import AggregatorRole
@testable import RouterRole
@testable import WorkerRole

/// One case: a router, workers and an aggregator of one resource on one disk. A seed chooses the steps and the
/// faults. At the end everything is started again and the published files are read back.
final class SimulatedCluster {
    struct Plan {
        /// Without workers and aggregator: only the log is written and read back.
        var isLogOnly = false
        var steps = 60
        /// Faults per 100 steps.
        var faultPercent = 12
        var bugs: Set<PlantedBug> = []
    }

    private enum Process: Hashable {
        case router
        case worker(WorkerName)
        case aggregator
    }

    private static let workersMax = 3
    private static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    private let plan: Plan
    let disk: SimulatedDisk
    /// Receives a description of each step and call.
    var tell: ((String) -> Void)? { didSet { disk.onCall = tell } }
    private var random: SeededGenerator
    private var clients = SimulatedClients(clients: 2)
    private var fabric = SimulatedFabric()
    private var router: SimulatedRouter?
    private var workers: [WorkerName: SimulatedWorker] = [:]
    private var aggregator: SimulatedAggregator?
    private var incarnations: UInt64 = 0
    /// Workers that should run: those of the slot map, and earlier ones that still have work.
    private var wanted: Set<WorkerName> = []
    private var isPowerCutArmed = false
    private let fileBytes: Int
    private let inboxBytes: Int
    private let budget: FileBudget
    private let damage: SegmentDamage
    /// LSNs at which the records of acknowledged batches end, in a log without workers.
    private var ackedEnds: [Int: LSN] = [:]
    private var trimmed: LSN = 0
    private var counts = ExpectedCounts()

    init(seed: UInt64, plan: Plan) {
        self.plan = plan
        random = SeededGenerator(seed: seed)
        disk = SimulatedDisk(seed: random.next())
        fileBytes = [8 << 10, 16 << 10, 32 << 10].randomElement(using: &random) ?? 8 << 10
        inboxBytes = [1, 2 << 10, 1 << 20].randomElement(using: &random) ?? 1
        var budget = FileBudget()
        budget.mergeBufferBytes = 4 << 10
        budget.openFilesMax = [2, 4, 16].randomElement(using: &random) ?? 4
        budget.runFlushBytes = [1 << 10, 16 << 10].randomElement(using: &random) ?? 1 << 10
        budget.mergeRunsMax = [2, 8].randomElement(using: &random) ?? 2
        self.budget = budget
        damage = SegmentDamage(seed: seed, disk: disk, budget: budget)
        if plan.bugs.contains(.lyingDataSync) { disk.lies.insert(.dataSync) }
        if plan.bugs.contains(.noDirectorySync) { disk.lies.insert(.directorySync) }
    }

    /// Runs the case.
    /// - Throws: `SimulationError` if a guarantee is violated.
    func run() throws {
        try Simulation.$driver.withValue(disk) {
            for _ in 0..<plan.steps { try step() }
            try settle()
        }
    }

    // MARK: Steps

    private func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    private func step() throws {
        if chance(plan.faultPercent) { try plantFault() }
        if chance(30) || router == nil { try startSomething() }
        router?.isCongested = chance(10)
        if chance(30) { try writeLetters() }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<20: try submit()
        case 20..<40: try commit()
        case 40..<50: try route()
        case 50..<55: try attempt(.router) { try router?.readForWorkersBehind() }
        case 55..<79: for _ in 0..<Int.random(in: 1...8, using: &random) { try deliver() }
        case 79..<87: try report()
        case 87..<90: try checkpoint()
        case 90..<94: try merge()
        case 94..<96: try trim()
        case 96..<98: try skip()
        default: try stopSomething()
        }
    }

    private func plantFault() throws {
        let delay = Int.random(in: 0...25, using: &random)
        switch Int.random(in: 0..<22, using: &random) {
        case 20...: disk.damageCopy()
        case 0..<6: disk.callsUntilKill = delay
        case 6..<13:
            disk.callsUntilKill = delay
            isPowerCutArmed = true
        case 13..<15: disk.syncsUntilFailure = Int.random(in: 0...4, using: &random)
        case 15..<17:
            disk.isFull = true
            disk.showsFull = chance(30)
        default: cutPower()
        }
    }

    private func cutPower() {
        isPowerCutArmed = false
        router = nil
        workers = [:]
        aggregator = nil
        fabric.powerCut()
        clients.unansweredAll()
        disk.cutPower()
    }

    /// Runs a step of one process, and removes the process if the step ended it.
    private func attempt(_ process: Process, _ body: () throws -> Void) throws {
        do { try body() } catch {
            tell?("\(process): \(error)")
            if !disk.isKilled, let broken = Self.promiseBroken(by: error) { throw broken }
            return bury(process)
        }
        if disk.isKilled { bury(process) }
    }

    /// Returns the violated guarantee if a process must not end with this error.
    private static func promiseBroken(by error: any Error) -> SimulationError? {
        switch error {
        case is SystemError: nil
        case let error as TraceError where error.code == .system || error.code == .configuration:
            nil
        default: SimulationError("\(error)")
        }
    }

    private func bury(_ process: Process) {
        tell?("\(process) ends")
        if isPowerCutArmed, disk.isKilled { return cutPower() }
        switch process {
        case .router:
            router = nil
            clients.unansweredAll()
            fabric.processEnded(.router, using: &random)
        case .worker(let name):
            if let gone = workers.removeValue(forKey: name) {
                let endpoint = Endpoint.worker(name, incarnation: gone.incarnation)
                fabric.processEnded(endpoint, using: &random)
            }
        case .aggregator:
            aggregator = nil
            fabric.processEnded(.aggregator, using: &random)
        }
        disk.processEnded()
        isPowerCutArmed = false
    }

    // MARK: Processes

    private func startSomething() throws {
        if router == nil { try startRouter() }
        guard !plan.isLogOnly else { return }
        for name in wanted.sorted(by: { $0.index < $1.index }) where workers[name] == nil {
            // A retired worker may stay away for long.
            let isRetired = name.index >= router?.state.slotMap.workerCount(of: .io) ?? 0
            if chance(isRetired ? 5 : 60) { try startWorker(name) }
        }
        if aggregator == nil { try startAggregator() }
    }

    private func startRouter() throws {
        try attempt(.router) {
            router = try SimulatedRouter(
                fileBytes: fileBytes,
                inboxBytes: inboxBytes,
                bugs: plan.bugs,
                logger: Self.logger
            ) { [unowned self] message, endpoint in
                fabric.send(message, from: .router, to: endpoint)
            }
        }
        guard let router else { return }
        try counts.recovered(router.totals)
        want(router.state.slotMap)
    }

    private func want(_ map: SlotMap) {
        for index in 0..<map.workerCount(of: .io) {
            wanted.insert(WorkerName(resource: .io, index: index))
        }
    }

    private func startWorker(_ name: WorkerName) throws {
        incarnations += 1
        let disk = disk
        let incarnation = incarnations
        try attempt(.worker(name)) {
            let endpoint = Endpoint.worker(name, incarnation: incarnation)
            let worker = try SimulatedWorker(
                name,
                incarnation: incarnation,
                budget: budget,
                checkpointCost: chance(50) ? 0 : 2_000_000_000,
                bugs: plan.bugs,
                awaitSpace: { disk.isFull = false },
                send: { [unowned self] message in send(message, from: endpoint) }
            )
            workers[name] = worker
            send(worker.hello, from: worker)
        }
    }

    private func startAggregator() throws {
        try attempt(.aggregator) {
            aggregator = try SimulatedAggregator(
                budget: budget,
                damage: damage,
                bugs: plan.bugs
            ) { [unowned self] message, endpoint in
                guard isRunning(endpoint) else { return }
                fabric.send(message, from: .aggregator, to: endpoint)
            }
        }
        guard aggregator != nil else { return }
        for worker in sortedWorkers { announce(worker) }
    }

    private func isRunning(_ endpoint: Endpoint) -> Bool {
        guard case .worker(let name, let incarnation) = endpoint else { return false }
        return workers[name]?.incarnation == incarnation
    }

    private var sortedWorkers: [SimulatedWorker] {
        workers.values.sorted { $0.name.index < $1.name.index }
    }

    private func stopSomething() throws {
        if chance(50), router != nil {
            while try commitStep() {}
            try attempt(.router) { try router?.close(committed) }
            bury(.router)
        } else if let worker = sortedWorkers.randomElement(using: &random) {
            try attempt(.worker(worker.name)) { try worker.save() }
            bury(.worker(worker.name))
        }
    }

    // MARK: Clients and the log

    private func submit() throws {
        guard let router else { return }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let again = chance(20) ? clients.again(using: &random) : nil
            let bytesMin = chance(5) ? SimulatedRouter.largeBatchBytes : 0
            let batch = again ?? clients.make(bytesMin: bytesMin, using: &random)
            clients.sent(batch)
            router.submit(clients.batches[batch].bytes, batch: batch)
        }
        if chance(50) { try attempt(.router) { try router.takeLarge() } }
    }

    private func commit() throws {
        guard let router else { return }
        if chance(33) { disk.pass(seconds: 1) }
        if chance(50) { try attempt(.router) { try router.takeLarge() } }
        if !plan.isLogOnly, chance(12) { router.request(.command) }
        if !plan.isLogOnly, chance(5) {
            let count = Int.random(in: 1...Self.workersMax, using: &random)
            let map = router.state.slotMap.rescaled(.io, to: count)
            want(map)
            router.request(.scale, map: map)
        }
        try commitStep()
    }

    /// Commits one step; returns whether there may be more to commit at once.
    @discardableResult private func commitStep() throws -> Bool {
        guard let router else { return false }
        var isMore = false
        try attempt(.router) { isMore = try router.commit(committed) }
        for _ in 0..<Int.random(in: 0...6, using: &random) where router.isCommitting {
            guard self.router != nil else { return false }
            // The calls wait for some time.
            disk.pass(seconds: Int64.random(in: 0...3, using: &random))
            if chance(15) { disk.isFull = false }
            try attempt(.router) { isMore = try router.commit(committed) }
        }
        return isMore && self.router != nil && !router.isCommitting
    }

    /// Updates the expectations with what a commit does.
    private func committed(_ event: SimulatedRouter.CommitEvent) throws {
        guard !disk.isKilled, let router else { return }
        switch event {
        case .writing(let answers, let deadLettered):
            counts.begin(answers, deadLettered: deadLettered)
        case .written: try counts.committed(router.totals)
        case .notWritten: counts.notWritten()
        case .refused(let answers):
            counts.refused(answers)
            clients.refused(answers)
        case .answered(let answers):
            for answer in answers {
                try clients.answered(answer)
                guard case .accepted = answer.outcome else { continue }
                ackedEnds[answer.batch] = router.logEnd
            }
        case .unlogged(let answers): counts.answered(answers)
        }
    }

    private func trim() throws {
        guard let router else { return }
        try attempt(.router) {
            guard plan.isLogOnly else { return try router.trim() }
            trimmed = max(trimmed, LSN.random(in: 0...router.durableLSN, using: &random))
            try router.trim(below: trimmed)
        }
    }

    /// Skips events of a stuck worker, as an operator does; its process is killed before its letter is written.
    private func skip() throws {
        guard !plan.isLogOnly, let router else { return }
        let index = Int.random(in: 0..<router.state.slotMap.workerCount(of: .io), using: &random)
        let name = WorkerName(resource: .io, index: index)
        let limit = LSN.random(in: 0...router.routedLSN, using: &random)
        try attempt(.router) { try router.skip(name, to: limit) }
    }

    private func writeLetters() throws {
        for events in router?.cases ?? [] where workers[events.worker] != nil {
            bury(.worker(events.worker))
        }
        let isAny = router?.cases.isEmpty == false
        try attempt(.router) { try router?.writeLetters() }
        // Between a letter and its verdict.
        if isAny, chance(30) { disk.isFull = true }
    }

    // MARK: Messages

    private func send(_ message: Message, from worker: SimulatedWorker) {
        send(message, from: .worker(worker.name, incarnation: worker.incarnation))
    }

    private func send(_ message: Message, from worker: Endpoint) {
        switch message {
        case .segmentsClosed: fabric.send(message, from: worker, to: .aggregator)
        default: fabric.send(message, from: worker, to: .router)
        }
    }

    private func announce(_ worker: SimulatedWorker) {
        for message in worker.announced { send(message, from: worker) }
    }

    private func route() throws { try attempt(.router) { try router?.route() } }

    private func report() throws {
        guard let worker = sortedWorkers.randomElement(using: &random) else { return }
        try attempt(.worker(worker.name)) { try worker.idle() }
        guard workers[worker.name] != nil else { return }
        send(worker.isInSession ? worker.progress : worker.hello, from: worker)
        announce(worker)
    }

    private func checkpoint() throws {
        guard let worker = sortedWorkers.randomElement(using: &random) else { return }
        try attempt(.worker(worker.name)) { try worker.save() }
    }

    private func merge() throws { try attempt(.aggregator) { try aggregator?.tick() } }

    @discardableResult private func deliver() throws -> Bool {
        var ready: Set<Endpoint> = []
        if router != nil { ready.insert(.router) }
        if aggregator != nil { ready.insert(.aggregator) }
        for worker in workers.values {
            ready.insert(.worker(worker.name, incarnation: worker.incarnation))
        }
        guard let (from, to, message) = fabric.deliver(to: ready, using: &random) else {
            return false
        }
        switch to {
        case .router:
            tell?("to router: \("\(message)".prefix(300))")
            try attempt(.router) { try router?.receive(message, from: from) }
        case .aggregator:
            try attempt(.aggregator) { try aggregator?.receive(message, from: from) }
        case .worker(let name, _):
            tell?("to \(name): \("\(message)".prefix(300))")
            guard let worker = workers[name] else { return true }
            try attempt(.worker(name)) {
                try worker.receive(message)
                switch message {
                case .share, .welcome: send(worker.progress, from: worker)
                case .heartbeat: send(worker.hello, from: worker)
                default: break
                }
            }
        }
        return true
    }

    // MARK: The end

    /// Completes all work without further faults, then reads the published files.
    private func settle() throws {
        disk.callsUntilKill = nil
        disk.syncsUntilFailure = nil
        disk.isFull = false
        isPowerCutArmed = false
        // State in memory must not matter.
        if chance(50) { cutPower() }
        try startRouter()
        guard let router else { throw SimulationError("the router does not start") }
        for batch in clients.unanswered where chance(70) {
            clients.sent(batch)
            router.submit(clients.batches[batch].bytes, batch: batch)
        }
        try router.takeLarge()
        if !plan.isLogOnly { router.request(.stop) }
        while try commitStep() {}
        if plan.isLogOnly { return try settleLog() }
        try pump()
        let setAside = try SetAsideEvents.numbers()
        try clients.check(PublishedRows.events(.csv) + setAside, in: "the published table")
        try clients.check(PublishedRows.events(.json) + setAside, in: "the published trace")
        let written = try PublishedRows.events(.csv).count
        guard router.totals.deadLettered == UInt64(setAside.count),
            router.totals.acceptedTotal == UInt64(written + setAside.count)
        else {
            throw SimulationError(
                "\(router.totals.acceptedTotal) events accepted, \(written) written,"
                    + " \(router.totals.deadLettered) dead-lettered, \(setAside.count) in letters"
            )
        }
        let counted = sortedWorkers.reduce(0) { $0 + $1.events }
        guard counted == UInt64(written) else {
            throw SimulationError("\(written) events written, \(counted) in the workers' state")
        }
    }

    private func pump() throws {
        guard let router else { return }
        for _ in 0..<400 {
            disk.pass(seconds: 1)
            try startSomething()
            try router.route()
            try router.readForWorkersBehind()
            while try deliver() {}
            try merge()
            for worker in sortedWorkers {
                try worker.idle()
                send(worker.isInSession ? worker.progress : worker.hello, from: worker)
                announce(worker)
            }
            let isApplied = wanted.allSatisfy { workers[$0]?.appliedLSN == router.durableLSN }
            if isApplied, aggregator?.merged == router.state.window { return }
        }
        throw SimulationError(
            "windows \(aggregator?.merged ?? 0)..<\(router.state.window) are never merged: "
                + "\(aggregator?.obstacle ?? "no aggregator"), "
                + "workers at \(sortedWorkers.map { "\($0.name) \($0.appliedLSN)" }), "
                + "the log ends at \(router.durableLSN)"
        )
    }

    private func settleLog() throws {
        guard let router else { throw SimulationError("the router ended without a fault") }
        var known: [[UInt8]: Int] = [:]
        for (number, batch) in clients.batches.enumerated() { known[batch.bytes] = number }
        var found: [Int] = []
        var counts = LogCounts()
        let log = LogDirectory(path: ClusterPaths.log)
        let recovery = try LogRecovery.run(log, salt: try DataDirectory.read().salt) { record in
            counts = record.counts
            guard record.type == .batch else { return }
            found.append(known[Array(record.body)] ?? -1)
        }
        guard recovery.damaged.isEmpty, recovery.end == router.durableLSN else {
            throw SimulationError("the log ends at \(recovery.end), not \(router.durableLSN)")
        }
        for (number, batch) in clients.batches.enumerated() where batch.isAcked {
            let times = found.count { $0 == number }
            // If the acknowledgement was lost, the batch's position is unknown.
            let isTrimmed = ackedEnds[number].map { $0 <= trimmed } ?? (trimmed > 0)
            guard times == 1 || (times == 0 && isTrimmed) else {
                throw SimulationError("batch \(number) was acked and is in the log \(times) times")
            }
        }
        guard Set(found).count == found.count, !found.contains(-1) else {
            throw SimulationError("the log holds a batch twice, or one that nobody sent")
        }
        guard counts.acceptedTotal == router.totals.acceptedTotal else {
            throw SimulationError("the log's counts are not the router's")
        }
    }
}
