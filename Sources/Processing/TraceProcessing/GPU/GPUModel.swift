import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// The GPU use of one process: memory, launches by kernel, transfer rates by kind. Call stacks are written, not kept.
struct GPUModel: ProcessModel, ~Copyable {
    typealias Event = GPUEvent

    static var csvHeader: StaticString {
        "Timestamp,PID,Event,Kernel,Calls,Memory Size,Transfer Rate,Kind,Frames,Process,host,Timestamp(ns)"
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
    /// Whether kernels have been evicted, so that a seemingly new one may have been known before.
    private var hasGivenUp = false

    init() {}

    mutating func apply(_ event: UnsafePointer<GPUEvent>, _ context: inout EventContext) {
        let event = event.pointee
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
            growth.evaluate(Self.growth, of: .empty, context) { _ in Double(used) }
            memory = event.value
            memoryTime = context.time
        }
        var text = context.beginEvent(.instant, "gpu", name: EventText("memory"))
        text.argument("event_type", Int64(event.eventType))
        text.argument("mem_size", event.value)
        context.endInstant(text)
        context.counter("GPU memory") { $0.argument("bytes", event.value) }
        var row = beginRow("memory", context)
        row.append(",,,")
        row.appendDecimal(event.value)
        row.append(",,,")
        endRow(row, context)
    }

    private mutating func launch(_ event: GPUEvent, _ context: EventContext) {
        let kernelName = context.text(event.text)
        // There may be many kernels: the index cell is prefetched while the first row is written.
        let hash = kernels.prefetchIndex(kernelName.view)
        let name = kernelName.isEmpty ? EventText("launch") : kernelName
        var text = context.beginEvent(.instant, "gpu", name: name)
        text.argument("event_type", Int64(event.eventType))
        text.argument("kernel_name", kernelName, context)
        text.argument("num_calls", event.value)
        context.endInstant(text)
        let known = kernels.find(kernelName.view, hash: hash)
        let kernel = known ?? newKernel(kernelName.view, hash)
        context.activity.pointee.launched(kernel.pointee.launch(event.value, context))
        track("GPU launches", kernel, value: kernel.pointee.total.value, context)
        var row = beginRow("launch", context)
        row.column(kernelName, context)
        row.column(event.value)
        row.append(",,,,")
        endRow(row, context)
    }

    private mutating func newKernel(
        _ name: ByteView,
        _ hash: UInt64?
    ) -> NamedTable<GPUSeries>.Place {
        let kernel = kernels.insert(name, hash: hash)
        kernel.pointee.mayReturn = hasGivenUp
        return kernel
    }

    private mutating func transfer(_ event: GPUEvent, _ context: EventContext) {
        let kindName = context.text(event.text)
        let kind = kinds.entry(of: kindName.view, countMax: Limits.transferKindsMax).place
        let rate = GPUNormaliser.bytesPerSecond(event.value, context.semantics)
        let megabyte = GPUNormaliser.megabyte(context.semantics)
        if kind.pointee.record(rate, megabyte: megabyte, at: context.time) {
            kind.pointee.rules.evaluate(rate, kind: kind.pointee.name, context)
        }
        context.activity.pointee.transferred(bytesPerSecond: rate, kind: kind.pointee.name)
        var text = context.beginEvent(.instant, "gpu", name: EventText("transfer"))
        text.argument("event_type", Int64(event.eventType))
        text.argument("mem_trans_rate", event.value)
        text.argument("kind_str", kindName, context)
        context.endInstant(text)
        track("GPU transfer rate", kind, value: rate, context)
        var row = beginRow("transfer", context)
        row.append(",,,,")
        row.appendDecimal(event.value)
        row.column(kindName, context)
        row.append(",")
        endRow(row, context)
    }

    private func callStack(_ event: GPUEvent, _ context: EventContext) {
        var text = context.beginEvent(.instant, "gpu", name: EventText("callstack"))
        text.argument("event_type", Int64(event.eventType))
        text.key("stack")
        let isPlain = RawBuffer.isPlainStack(event.text)
        GPUStack.appendArray(event.text, isPlain: isPlain, to: &text, context)
        context.endInstant(text)
        let frames = GPUStack.file(event.text, isPlain: isPlain, context)
        var row = beginRow("callstack", context)
        row.append(",,,,,,")
        row.appendDecimal(UInt64(frames))
        endRow(row, context)
    }

    private func unknown(_ event: GPUEvent, _ context: EventContext) {
        var text = context.beginEvent(.instant, "gpu", name: EventText("unknown"))
        text.argument("event_type", Int64(event.eventType))
        context.endInstant(text)
        var row = beginRow("unknown", context)
        row.append(",,,,,,")
        endRow(row, context)
    }

    // MARK: Rows

    /// Writes the value of a counter track that is named after a name of the agent's.
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

    private func beginRow(_ event: StaticString, _ context: EventContext) -> RowWriter {
        var row = context.beginRow()
        row.append(",")
        row.append(event)
        return row
    }

    private func endRow(_ row: RowWriter, _ context: EventContext) {
        var row = row
        row.column(context.givenName, context)
        context.endRow(row)
    }

    // MARK: Bounds

    @inline(__always) var stateBytes: Int { kernels.stateBytes &+ kinds.stateBytes }

    static var givesWay: Bool { true }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        let ahead = EntryStore<GPUSeries>.ahead
        for (position, kernel) in kernels.entries.enumerated() {
            kernels.prefetchEntry(position + ahead)
            sweep.note(
                kernel.pointee.lastUsed,
                bytes: NamedTable<GPUSeries>.bytes(of: kernel.pointee)
            )
        }
    }

    /// Evicts kernels; their counts move to the kernel called `other`.
    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    ) {
        let otherName = ByteView("other")
        var gone = GPUSeries(name: otherName)
        let (known, ahead) = (kernels.count, EntryStore<GPUSeries>.ahead)
        var position = 0
        let places = kernels.entries
        let hasGone = kernels.remove { kernel in
            position += 1
            if position + ahead < known {
                prefetch(places[position + ahead], byteCount: MemoryLayout<GPUSeries>.size)
            }
            guard !kernel.pointee.isNamed(otherName),
                sweep.takes(
                    kernel.pointee.lastUsed,
                    bytes: NamedTable<GPUSeries>.bytes(of: kernel.pointee)
                )
            else { return false }
            gone.absorb(kernel.pointee)
            return true
        }
        guard hasGone else { return }
        hasGivenUp = true
        owner.totals.pointee.functionsEvicted += UInt64(known - kernels.count)
        let other = kernels.find(otherName) ?? kernels.insert(otherName)
        other.pointee.absorb(gone)
    }

    // MARK: The open window

    /// Takes the open window. Names that summaries cut, and items that the process's activity has from an older
    /// version's checkpoint, are added to `activity`.
    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        withUnsafePointer(to: QuantileSketch()) { none in
            for (position, kernel) in kernels.entries.enumerated() {
                kernels.prefetchEntry(position + EntryStore<GPUSeries>.ahead)
                kernels.prefetchName(position + EntryStore<GPUSeries>.ahead / 2)
                let name = kernel.pointee.name
                kernel.pointee.takeWindow { values, place in
                    if name.count < Limits.summaryNameBytesMax,
                        activity.pointee.known(1, name) == nil
                    {
                        visit(SummaryPart(item: name, values: values, sketch: none), 1, &place)
                    } else {
                        activity.pointee.launched(values, kernel: name)
                    }
                }
            }
        }
    }

    borrowing func processName() -> ByteView { .empty }

    // MARK: Metrics and state

    static var seriesMax: Int { 1 }

    func collect(_ series: inout SeriesWriter) {
        series.add(.gpuMemoryBytes, Double(memory), if: memoryTime > .min)
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        for kernel in kernels.entries where all || kernel.pointee.isDirty {
            kernel.pointee.collectLaunches(&series)
        }
        for kind in kinds.entries where all || kind.pointee.isDirty {
            kind.pointee.collectRate(&series)
        }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: memory)
        buffer.append(integer: memoryTime)
        growth.encode(into: &buffer)
        kernels.encode(into: &buffer)
        kinds.encode(into: &buffer)
        buffer.append(byte: hasGivenUp ? 1 : 0)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let memory = try reader.integer(UInt64.self)
        let memoryTime = try reader.integer(Int64.self)
        growth = try GrowthRules(decoding: &reader)
        let kernels = try NamedTable<GPUSeries>(decoding: &reader)
        kinds = try NamedTable<GPUSeries>(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            hasGivenUp = try reader.integer(UInt8.self) == 1
        }
        self.kernels = kernels
        self.memory = memory
        self.memoryTime = memoryTime
    }
}
