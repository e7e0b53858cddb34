import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

/// CPU use of one process. Samples out of order leave rows, but say nothing about the state.
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
    private var onTime = CumulativeCounter()
    private var offTime = CumulativeCounter()
    private var migrations = CumulativeCounter()
    private var numaMigrations = CumulativeCounter()
    private(set) var migrationRate = CounterRate()
    private var numaRate = CounterRate()
    private var rules = CPURules()

    init() {}

    mutating func apply(_ event: UnsafePointer<CPUEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let comm = EventText(context.cut(event.comm))
        observe(event, comm.view, &context)
        let numbers = CPUNumbers(event)
        record(event, comm, numbers, context)
        row(event, comm, numbers, context)
    }

    // MARK: State

    @inline(__always)
    private mutating func observe(
        _ event: CPUEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) {
        let isFalling =
            onTime.falls(to: event.onCPUMicroseconds)
            || offTime.falls(to: event.offCPUMicroseconds)
            || migrations.falls(to: UInt64(event.migrations))
            || numaMigrations.falls(to: UInt64(event.numaMigrations))
        let sample = identity.observe(comm, &context, hasFallingCounter: isFalling)
        if sample.isLate { return }
        context.activity.pointee.utilization(percent: event.utilizationPercent)
        if !sample.isFirst {
            context.activity.pointee.cpu(
                onTime: onTime.growth(to: event.onCPUMicroseconds, isRestart: sample.isRestart),
                offTime: offTime.growth(to: event.offCPUMicroseconds, isRestart: sample.isRestart),
                migrations: migrations.growth(
                    to: UInt64(event.migrations),
                    isRestart: sample.isRestart
                ),
                numaMigrations: numaMigrations.growth(
                    to: UInt64(event.numaMigrations),
                    isRestart: sample.isRestart
                )
            )
        }
        if sample.isRestart { restart() }
        let account = accounts.account(of: sample, comm: comm, identity)
        account.pointee.onTime.add(onTime.add(event.onCPUMicroseconds))
        account.pointee.offTime.add(offTime.add(event.offCPUMicroseconds))
        account.pointee.migrations.add(migrations.add(UInt64(event.migrations)))
        account.pointee.numaMigrations.add(numaMigrations.add(UInt64(event.numaMigrations)))
        let hasRate = migrationRate.note(migrations.last, at: context.time)
        let hasNumaRate = numaRate.note(numaMigrations.last, at: context.time)
        utilization.note(event.utilizationPercent)
        visited.insert(event.cpuID)
        let name = identity.name.view
        rules.judge(event, cpusSeen: visited.count, of: name, context)
        if hasRate {
            rules.judge(migrationsPerSecond: migrationRate.perSecond, of: name, context)
        }
        if hasNumaRate { rules.judge(numaPerSecond: numaRate.perSecond, of: name, context) }
    }

    private mutating func restart() {
        utilization = CPUUtilization()
        visited = CPUSet()
        onTime.restart()
        offTime.restart()
        migrations.restart()
        numaMigrations.restart()
        migrationRate = CounterRate()
        numaRate = CounterRate()
        rules = CPURules()
    }

    // MARK: Rows

    @inline(__always)
    private func record(
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

    @inline(__always)
    private func row(
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

    borrowing func processName() -> ByteView { identity.name.view }

    func collect(_ series: inout SeriesWriter) {
        series.add(.cpuUtilizationRatio, utilization.last / 100, if: utilization.count > 0)
        series.add(.neutracerCPUOnTimeMicroseconds, Double(onTime.last))
        series.add(.neutracerCPUOffTimeMicroseconds, Double(offTime.last))
        series.add(.neutracerCPUMigrationsTotal, Double(migrations.last))
        series.add(.neutracerNumaMigrationsTotal, Double(numaMigrations.last))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        accounts.collect(&series, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        identity.encode(into: &buffer)
        accounts.encode(into: &buffer)
        utilization.encode(into: &buffer)
        visited.encode(into: &buffer)
        onTime.encode(into: &buffer)
        offTime.encode(into: &buffer)
        migrations.encode(into: &buffer)
        numaMigrations.encode(into: &buffer)
        migrationRate.encode(into: &buffer)
        numaRate.encode(into: &buffer)
        rules.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        accounts = try ProcessAccounts<CPUAccount>(decoding: &reader)
        utilization = try CPUUtilization(decoding: &reader)
        visited = try CPUSet(decoding: &reader)
        onTime = try CumulativeCounter(decoding: &reader)
        offTime = try CumulativeCounter(decoding: &reader)
        migrations = try CumulativeCounter(decoding: &reader)
        numaMigrations = try CumulativeCounter(decoding: &reader)
        migrationRate = try CounterRate(decoding: &reader)
        numaRate = try CounterRate(decoding: &reader)
        rules = try CPURules(decoding: &reader)
    }
}
