import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// CPU use of one process. Samples out of order give rows, but do not change the state.
struct CPUModel: ProcessModel, ~Copyable {
    typealias Event = CPUEvent

    static var csvHeader: StaticString {
        """
        Timestamp,PID,CPU Utilization(%),OnCPU Time(μs),OffCPU Time(μs),Migrations,NUMA Migrations,\
        Hotspot CPU Percentage(%),Process,PPID,CPU,Hotspot CPU,host,Timestamp(ns)
        """
    }

    private var identity = ProcessIdentity()
    private var accounts = ProcessAccounts<CPUAccount>()
    private(set) var utilization = CPUUtilization()
    private(set) var visited = CPUSet()
    private var visits = CPUVisits()
    private var normaliser = CPUNormaliser()
    /// The values as last sent, in microseconds.
    private var sentOnTime: UInt64 = 0
    private var sentOffTime: UInt64 = 0
    private(set) var migrationRate = CounterRate()
    private var numaRate = CounterRate()
    private var rules = CPURules()

    init() {}

    /// Only the process as a whole is prefetched.
    static var looks: Int { 1 }

    mutating func apply(_ event: UnsafePointer<CPUEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let comm = context.text(event.comm)
        observe(event, comm.view, &context)
        let numbers = CPUNumbers(event)
        record(event, comm, numbers, context)
        row(event, comm, numbers, context)
    }

    static var reusesMemory: Bool { true }

    mutating func takeMemory(of gone: inout CPUModel) {
        identity.takeMemory(of: &gone.identity)
        accounts.takeMemory(of: &gone.accounts)
    }

    // MARK: State

    @inline(__always) private mutating func observe(
        _ event: CPUEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) {
        let process = identity.observe(
            comm,
            &context,
            hasFallingCounter: normaliser.isFalling(event, context.semantics)
        )
        if process.isLate { return }
        if process.isRestart { restart() }
        let sample = normaliser.take(event, process, context)
        sentOnTime = event.onCPUMicroseconds
        sentOffTime = event.offCPUMicroseconds
        context.activity.pointee.utilization(percent: sample.utilizationPercent)
        context.activity.pointee.cpu(
            onTime: sample.onTime.inWindow,
            offTime: sample.offTime.inWindow,
            migrations: sample.migrations.inWindow,
            numaMigrations: sample.numaMigrations.inWindow
        )
        let account = accounts.account(of: process, comm: comm, identity)
        account.pointee.onTime.add(sample.onTime.counted)
        account.pointee.offTime.add(sample.offTime.counted)
        account.pointee.migrations.add(sample.migrations.counted)
        account.pointee.numaMigrations.add(sample.numaMigrations.counted)
        let hasRate = migrationRate.note(normaliser.migrations.total, at: context.time)
        let hasNumaRate = numaRate.note(normaliser.numaMigrations.total, at: context.time)
        utilization.note(sample.utilizationPercent)
        visited.insert(event.cpuID)
        if visits.note(event.cpuID) { context.activity.pointee.moved() }
        let name = identity.name.view
        rules.evaluate(sample, event, cpusSeen: visited.count, of: name, context)
        if hasRate {
            rules.evaluate(migrationsPerSecond: migrationRate.perSecond, of: name, context)
        }
        if hasNumaRate { rules.evaluate(numaPerSecond: numaRate.perSecond, of: name, context) }
    }

    private mutating func restart() {
        utilization = CPUUtilization()
        visited = CPUSet()
        visits.restart()
        migrationRate = CounterRate()
        numaRate = CounterRate()
        rules = CPURules()
    }

    // MARK: Rows

    @inline(__always) private func record(
        _ event: CPUEvent,
        _ comm: EventText,
        _ numbers: borrowing CPUNumbers,
        _ context: EventContext
    ) {
        var text = context.beginEvent(.instant, "cpu", name: comm.isEmpty ? EventText("cpu") : comm)
        text.argument("comm", comm, context)
        text.argument("ppid", event.parentPID)
        text.argument("cpu_id", event.cpuID)
        text.argument("utilization", numbers.utilization)
        text.argument("oncpu_time_us", numbers.onCPU)
        text.argument("offcpu_time_us", numbers.offCPU)
        text.argument("migrations", event.migrations)
        text.argument("numa_migrations", event.numaMigrations)
        text.argument("hotspot_cpu", event.hotspotCPU)
        text.argument("hotspot_percentage", numbers.hotspot)
        context.endInstant(text)
        guard event.utilizationPercent.isFinite else { return }
        context.counter("cpu") { $0.argument("utilization", numbers.utilization) }
    }

    @inline(__always) private func row(
        _ event: CPUEvent,
        _ comm: EventText,
        _ numbers: borrowing CPUNumbers,
        _ context: EventContext
    ) {
        var text = context.beginRow()
        text.column(numbers.utilization)
        text.column(numbers.onCPU)
        text.column(numbers.offCPU)
        text.column(UInt64(event.migrations))
        text.column(UInt64(event.numaMigrations))
        text.column(numbers.hotspot)
        text.column(comm, context)
        text.column(UInt64(event.parentPID))
        text.column(UInt64(event.cpuID))
        text.column(UInt64(event.hotspotCPU))
        context.endRow(text)
    }

    // MARK: Statistics and state

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        var place = UInt32.max
        withUnsafePointer(to: QuantileSketch()) { none in
            visits.takeWindow { number, counts, samples in
                var values = SummaryValues()
                values[0] = counts.samples
                values[1] = counts.moves
                values[2] = samples
                // Four digits at most, of which `NumberText` writes eight.
                withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { text in
                    guard let start = text.baseAddress else { return }
                    var end = NumberText(UInt64(number)).write(at: start)
                    if number == CPUSet.numberMax {
                        end.storeBytes(of: UInt8(ascii: "+"), as: UInt8.self)
                        end += 1
                    }
                    let name = ByteView(start: start, count: end - start)
                    visit(SummaryPart(item: name, values: values, sketch: none), 1, &place)
                }
            }
        }
    }

    /// Only the process as a whole can be evicted.
    @inline(__always) var stateBytes: Int {
        accounts.stateBytes &+ visited.count &* CPUVisits.bytesPerCPU &+ 2 &* visited.memoryBytes
    }

    borrowing func processName() -> ByteView { identity.name.view }

    static var seriesMax: Int { 5 }

    func collect(_ series: inout SeriesWriter) {
        series.add(.cpuUtilizationRatio, utilization.last / 100, if: utilization.count > 0)
        series.add(.neutracerCPUOnTimeMicroseconds, Double(sentOnTime))
        series.add(.neutracerCPUOffTimeMicroseconds, Double(sentOffTime))
        series.add(.neutracerCPUMigrationsTotal, Double(normaliser.migrations.last))
        series.add(.neutracerNumaMigrationsTotal, Double(normaliser.numaMigrations.last))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        accounts.collect(&series, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        identity.encode(into: &buffer)
        accounts.encode(into: &buffer)
        utilization.encode(into: &buffer)
        visited.encode(into: &buffer)
        normaliser.encode(into: &buffer)
        buffer.append(integer: sentOnTime)
        buffer.append(integer: sentOffTime)
        migrationRate.encode(into: &buffer)
        numaRate.encode(into: &buffer)
        rules.encode(into: &buffer)
        visits.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        accounts = try ProcessAccounts<CPUAccount>(decoding: &reader)
        utilization = try CPUUtilization(decoding: &reader)
        visited = try CPUSet(decoding: &reader)
        normaliser = try CPUNormaliser(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            sentOnTime = try reader.integer(UInt64.self)
            sentOffTime = try reader.integer(UInt64.self)
        } else {
            sentOnTime = normaliser.onTime.last
            sentOffTime = normaliser.offTime.last
        }
        migrationRate = try CounterRate(decoding: &reader)
        numaRate = try CounterRate(decoding: &reader)
        rules = try CPURules(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            visits = try CPUVisits(decoding: &reader)
        }
    }
}
