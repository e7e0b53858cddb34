import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

/// Block device operations of one process: latencies by operation and device, and the agent's counters.
struct IOModel: ProcessModel, ~Copyable {
    typealias Event = IOEvent

    static var csvHeader: StaticString {
        """
        Timestamp,PID,Read Bytes,Write Bytes,READ Latency (ms),WRITE Latency (ms),Read Ops,Write Ops,\
        Process,Operation,Device,Bytes,Latency (ms),Major,Minor,host,Timestamp(ns)
        """
    }

    private var identity = ProcessIdentity()
    private var accounts = NamedTable<IOAccount>()
    /// The account of the process's current name; nil before its first event.
    private var current: NamedTable<IOAccount>.Place?
    private var counters = IOCounters()
    private var rules = IORules()
    /// The bytes that the slot's budget is charged with for the accounts' devices.
    private var deviceBytes = 0

    init() {}

    /// Only the process as a whole is prefetched.
    static var looks: Int { 1 }

    mutating func apply(_ event: UnsafePointer<IOEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let row = IORow(
            comm: context.text(event.comm),
            operation: context.text(event.operation),
            device: context.text(event.device)
        )
        let operation = IOOperation(row.operation.view)
        let account = observe(event, operation, row.comm.view, &context)
        let known = account.pointee.deviceBytes
        account.pointee.record(
            operation,
            device: row.device.view,
            bytes: event.byteCount,
            milliseconds: event.latencyMilliseconds
        )
        deviceBytes &+= account.pointee.deviceBytes &- known
        context.activity.pointee.operated(
            operation,
            device: row.device.view,
            bytes: event.byteCount,
            milliseconds: event.latencyMilliseconds
        )
        row.write(event, bytes: counters.traffic, context)
        rules.evaluate(event, operation: row.operation.view, of: identity.name.view, context)
    }

    /// Applies the agent's counters, unless the event is out of order, and returns the event's account.
    @inline(__always) private mutating func observe(
        _ event: IOEvent,
        _ operation: IOOperation,
        _ comm: ByteView,
        _ context: inout EventContext
    ) -> NamedTable<IOAccount>.Place {
        let process = identity.observe(
            comm,
            &context,
            hasFallingCounter: counters.normaliser.isFalling(event, context.semantics)
        )
        if process.isRestart {
            counters.restart()
            rules.restart()
        }
        if process.isRenamed {
            counters.normaliser.beginSeries()
            current = nil
        }
        let sample = counters.normaliser.take(event, operation: operation, process, context)
        context.activity.pointee.io(
            readBytes: sample.readBytes.inWindow,
            writeBytes: sample.writeBytes.inWindow,
            readOperations: sample.readOperations.inWindow,
            writeOperations: sample.writeOperations.inWindow
        )
        guard !process.isLate else {
            counters.add(sample)
            return accounts.find(comm) ?? account()
        }
        counters.take(event, sample, at: context.time)
        rules.evaluateTraffic(event, total: counters.traffic, of: identity.name.view, context)
        return account()
    }

    @inline(__always) private mutating func account() -> NamedTable<IOAccount>.Place {
        if let current { return current }
        let name = identity.name.view
        let account = accounts.entry(of: name, countMax: Limits.namesPerProcessMax).place
        current = account
        return account
    }

    /// Only the process as a whole can be evicted.
    @inline(__always) var stateBytes: Int { accounts.stateBytes &+ deviceBytes }

    borrowing func processName() -> ByteView { identity.name.view }

    static var seriesMax: Int { 12 }

    func collect(_ series: inout SeriesWriter) { counters.collect(&series) }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        for account in accounts.entries where all || account.pointee.isDirty {
            account.pointee.isDirty = false
            series.use(processName: account.pointee.name)
            account.pointee.collect(&series)
        }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        identity.encode(into: &buffer)
        counters.encode(into: &buffer)
        accounts.encode(into: &buffer)
        rules.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        counters = try IOCounters(decoding: &reader)
        accounts = try NamedTable<IOAccount>(decoding: &reader)
        rules = try IORules(decoding: &reader)
        for account in accounts.entries { deviceBytes += account.pointee.deviceBytes }
    }
}
