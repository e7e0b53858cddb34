import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

/// What one process does on GPUs: its memory there, launches by kernel, transfer rates by kind. Call
/// stacks are written, not kept.
struct GPUModel: ProcessModel, ~Copyable {
    typealias Event = GPUEvent

    static var csvHeader: StaticString {
        "Timestamp,PID,Event,Kernel,Calls,Memory Size,Transfer Rate,Kind,Frames,host,Timestamp(ns)"
    }

    private static var growth: GrowthRules.Names {
        GrowthRules.Names(
            rule: .memoryGrowth,
            percentPerHour: .gpuGrowthPercentPerHour,
            spanSeconds: .gpuGrowthSpanSeconds,
            risingPercent: .gpuGrowthRisingPercent
        )
    }

    /// Bytes as last sent; meaningless before `memoryTime` is set.
    private var memory: UInt64 = 0
    private var memoryTime = EpochNanoseconds.min
    private var growth = GrowthRules()
    private var kernels = NamedTable<GPUSeries>()
    private var kinds = NamedTable<GPUSeries>()

    init() {}

    mutating func apply(_ event: GPUEvent, _ context: inout EventContext) {
        switch event.kind {
        case .callstack: callStack(event, context)
        case .memory: memory(event, context)
        case .launch: launch(event, context)
        case .transfer: transfer(event, context)
        case .none: unknown(event, context)
        }
    }

    // MARK: Kinds of events

    private mutating func memory(_ event: GPUEvent, _ context: EventContext) {
        let isLatest = context.time >= memoryTime
        context.activity.pointee.gpuMemory(bytes: event.value, isLatest: isLatest)
        if isLatest {
            let used = memory
            growth.judge(Self.growth, of: .empty, context) { _ in Double(used) }
            memory = event.value
            memoryTime = context.time
        }
        let json = context.json
        context.beginEvent(&json.text, "i", name: ByteView("memory"))
        json.text.argument("event_type", Int64(event.eventType))
        json.text.argument("mem_size", event.value)
        context.endInstant()
        context.counter("GPU memory") { $0.argument("bytes", event.value) }
        beginRow("memory", context)
        context.csv.text.append(",,,")
        context.csv.text.appendDecimal(event.value)
        context.csv.text.append(",,,")
        endRow(context)
    }

    private mutating func launch(_ event: GPUEvent, _ context: EventContext) {
        let (kernel, isOther) = kernels.entry(
            of: event.text.cut(at: Limits.nameBytesMax),
            countMax: Limits.kernelsPerProcessMax
        )
        if isOther { context.totals.pointee.functionsEvicted += 1 }
        kernel.pointee.record(event.value, at: context.time)
        context.activity.pointee.launched(event.value, kernel: kernel.pointee.name)
        let json = context.json
        let name = event.text.isEmpty ? ByteView("launch") : event.text
        context.beginEvent(&json.text, "i", name: name)
        json.text.argument("event_type", Int64(event.eventType))
        json.text.argument("kernel_name", event.text, context)
        json.text.argument("num_calls", event.value)
        context.endInstant()
        track("GPU launches", kernel, value: kernel.pointee.total.value, context)
        beginRow("launch", context)
        context.csv.text.column(event.text, context)
        context.csv.text.column(event.value)
        context.csv.text.append(",,,,")
        endRow(context)
    }

    private mutating func transfer(_ event: GPUEvent, _ context: EventContext) {
        let kind = kinds.entry(
            of: event.text.cut(at: Limits.nameBytesMax),
            countMax: Limits.transferKindsMax
        ).place
        if kind.pointee.record(event.value, at: context.time) {
            kind.pointee.rules.judge(event.value, kind: kind.pointee.name, context)
        }
        context.activity.pointee.transferred(
            bytesPerSecond: event.value,
            kind: kind.pointee.name
        )
        let json = context.json
        context.beginEvent(&json.text, "i", name: ByteView("transfer"))
        json.text.argument("event_type", Int64(event.eventType))
        json.text.argument("mem_trans_rate", event.value)
        json.text.argument("kind_str", event.text, context)
        context.endInstant()
        track("GPU transfer rate", kind, value: event.value, context)
        beginRow("transfer", context)
        context.csv.text.append(",,,,")
        context.csv.text.appendDecimal(event.value)
        context.csv.text.column(event.text, context)
        context.csv.text.append(",")
        endRow(context)
    }

    private func callStack(_ event: GPUEvent, _ context: EventContext) {
        let json = context.json
        context.beginEvent(&json.text, "i", name: ByteView("callstack"))
        json.text.argument("event_type", Int64(event.eventType))
        json.text.key("stack")
        let frames = GPUStack.appendArray(event.text, to: &json.text, context)
        context.endInstant()
        GPUStack.file(event.text, context)
        beginRow("callstack", context)
        context.csv.text.append(",,,,,,")
        context.csv.text.appendDecimal(UInt64(frames))
        endRow(context)
    }

    private func unknown(_ event: GPUEvent, _ context: EventContext) {
        let json = context.json
        context.beginEvent(&json.text, "i", name: ByteView("unknown"))
        json.text.argument("event_type", Int64(event.eventType))
        context.endInstant()
        beginRow("unknown", context)
        context.csv.text.append(",,,,,,")
        endRow(context)
    }

    // MARK: Rows

    /// The value of a counter track that is called after a name of the agent's.
    private func track(
        _ name: StaticString,
        _ series: NamedTable<GPUSeries>.Place,
        value: UInt64,
        _ context: EventContext
    ) {
        let key = series.pointee.name
        context.counter(name) { text in
            text.appendJSONString(key.isEmpty ? ByteView("unnamed") : key)
            text.append(":")
            text.appendDecimal(value)
        }
    }

    private func beginRow(_ event: StaticString, _ context: EventContext) {
        context.csv.text.firstColumns(time: context.time, pid: context.pid)
        context.csv.text.append(",")
        context.csv.text.append(event)
    }

    private func endRow(_ context: EventContext) {
        context.csv.endRow(ts: context.time, pid: context.pid, host: context.host)
    }

    borrowing func processName() -> ByteView { .empty }

    // MARK: Metrics and state

    mutating func collect(_ samples: inout ProcessSamples, all: Bool) {
        if memoryTime > .min { samples.addUnnamed(.gpuMemoryBytes, .gauge(Double(memory))) }
        for kernel in kernels.entries where all || kernel.pointee.isDirty {
            kernel.pointee.isDirty = false
            let name = MetricLabel.text(of: kernel.pointee.name)
            let last = Double(kernel.pointee.last)
            samples.addUnnamed(.gpuKernelLaunchesTotal, kernel.pointee.total.sample, name)
            samples.addOriginal(.neutracerGPUKernelFunctionCount, last, samples.pid, name)
        }
        for kind in kinds.entries where all || kind.pointee.isDirty {
            kind.pointee.isDirty = false
            let name = MetricLabel.text(of: kind.pointee.name)
            let rate = Double(kind.pointee.last)
            samples.addUnnamed(.gpuTransferRateBytesPerSecond, .gauge(rate), name)
            samples.addOriginal(
                .neutracerGPUMemoryTransferRateMegabytesPerSecond,
                rate / 1e6,
                samples.pid,
                name
            )
        }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: memory)
        buffer.append(integer: memoryTime)
        growth.encode(into: &buffer)
        kernels.encode(into: &buffer)
        kinds.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let memory = try reader.integer(UInt64.self)
        let memoryTime = try reader.integer(Int64.self)
        growth = try GrowthRules(decoding: &reader)
        let kernels = try NamedTable<GPUSeries>(decoding: &reader)
        kinds = try NamedTable<GPUSeries>(decoding: &reader)
        self.kernels = kernels
        self.memory = memory
        self.memoryTime = memoryTime
    }
}
