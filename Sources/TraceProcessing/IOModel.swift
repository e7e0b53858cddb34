import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

/// Block device operations of one process: latencies by operation and device, and what its agent counts.
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
    /// The account of the name that the process has now; nil before its first event.
    private var current: NamedTable<IOAccount>.Place?
    private var counters = IOCounters()
    private var rules = IORules()

    init() {}

    mutating func apply(_ event: UnsafePointer<IOEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let row = IORow(
            comm: EventText(context.cut(event.comm)),
            operation: EventText(context.cut(event.operation)),
            device: EventText(context.cut(event.device))
        )
        let account = observe(event, row.comm.view, &context)
        account.pointee.record(
            row.operation.view,
            device: row.device.view,
            bytes: event.byteCount,
            milliseconds: event.latencyMilliseconds
        )
        context.activity.pointee.operated(
            IOOperation(row.operation.view),
            device: row.device.view,
            bytes: event.byteCount,
            milliseconds: event.latencyMilliseconds
        )
        row.write(event, context)
        rules.judge(event, operation: row.operation.view, of: identity.name.view, context)
    }

    /// The account that the event belongs to, after what the agent counts is taken in. An event out of
    /// order says nothing about that.
    @inline(__always)
    private mutating func observe(
        _ event: IOEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) -> NamedTable<IOAccount>.Place {
        let sample = identity.observe(
            comm,
            &context,
            hasFallingCounter: counters.fall(to: event)
        )
        guard !sample.isLate else { return accounts.find(comm) ?? account() }
        if !sample.isFirst {
            counters.note(event, isRestart: sample.isRestart, in: context.activity)
        }
        if sample.isRestart {
            counters.restart()
            rules.restart()
        }
        if sample.isRenamed {
            counters.beginSeries()
            current = nil
        }
        counters.take(event, at: context.time)
        rules.judgeTraffic(event, total: counters.bytes, of: identity.name.view, context)
        return account()
    }

    @inline(__always)
    private mutating func account() -> NamedTable<IOAccount>.Place {
        if let current { return current }
        let name = identity.name.view
        let account = accounts.entry(of: name, countMax: Limits.namesPerProcessMax).place
        current = account
        return account
    }

    borrowing func processName() -> ByteView { identity.name.view }

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
    }
}
