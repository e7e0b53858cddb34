import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceTime

/// The processor that all six resources share; a resource's `ProcessModel` supplies what is specific to it. It owns
/// the processes (`ProcessLifecycle`) and passes them to what works on them: `BatchPipeline` for events,
/// `SeriesCollector` for metrics, `SlotStateCodec` for checkpoints, `SummaryBuilder` for a window's summary.
final class EventProcessor<Model: ProcessModel & ~Copyable>: TraceProcessor {
    let resource: Resource
    let files: TraceFileManager

    @exclusivity(unchecked) private var processes: ProcessLifecycle<Model>
    @exclusivity(unchecked) private var pipeline: BatchPipeline<Model>
    private var collector = SeriesCollector<Model>()
    private var timing = BatchTiming()
    /// The counts that `processes` owns. Observers read them while a batch is being applied.
    private let totals: UnsafeMutablePointer<SlotTotals>
    /// Weak, as the observer usually owns this processor.
    weak var observer: (any BatchObserver)?

    init(files: TraceFileManager, zone: TimeZoneRules, budget: StateBudget) {
        resource = Model.Event.resource
        self.files = files
        processes = ProcessLifecycle(files: files, zone: zone, budget: budget)
        pipeline = BatchPipeline(zone: zone)
        totals = processes.totals
    }

    var totalTraces: UInt64 { (0..<Slot.count).reduce(0) { $0 + totals[$1].events } }
    var processesGone: Int { processes.processesGone }
    var stateBytes: Int { processes.stateBytes }

    var rules: RuleSet {
        get { processes.rules }
        set { processes.rules = newValue }
    }

    // MARK: Events and time

    // What is frequent, or visits all processes, is called through a protocol, so that without these the compiler would
    // emit one generic body for all models.
    @_specialize(where Model == FunctionModel) @_specialize(where Model == CPUModel)
    @_specialize(where Model == MemoryModel) @_specialize(where Model == NetworkModel)
    @_specialize(where Model == IOModel) @_specialize(where Model == GPUModel) func processTraces(
        _ traces: TraceBatchView,
        isLastBatch: Bool
    ) throws -> Int {
        let started = WallClock.monotonic()
        let count = try pipeline.apply(traces, to: &processes, observer: observer)
        timing.record(events: count, nanoseconds: WallClock.monotonic() - started)
        return count
    }

    func tick(arrival: EpochNanoseconds) throws {
        processes.tick(arrival: arrival)
        try files.flush(.tick)
    }

    // MARK: Windows

    @_specialize(where Model == FunctionModel) @_specialize(where Model == CPUModel)
    @_specialize(where Model == MemoryModel) @_specialize(where Model == NetworkModel)
    @_specialize(where Model == IOModel) @_specialize(where Model == GPUModel) func finalize(
        stem: String,
        nextWindow: UInt64
    ) throws -> [ClosedFile] {
        for entry in processes.table.entries {
            processes.writeWaiting(entry)
            if files.needsFlush { try files.flush(.full) }
        }
        return try files.closeWindow(stem: stem, nextWindow: nextWindow)
    }

    @_specialize(where Model == FunctionModel) @_specialize(where Model == CPUModel)
    @_specialize(where Model == MemoryModel) @_specialize(where Model == NetworkModel)
    @_specialize(where Model == IOModel) @_specialize(where Model == GPUModel) func takeSummary()
        -> [UInt8]
    { SummaryBuilder.takeWindow(of: &processes) }

    // MARK: Metrics

    func slotsToCollect(all: Bool) -> [UInt8] {
        (0..<Slot.count).filter { slot in totals[slot].isDirty || (all && totals[slot].events > 0) }
            .map { UInt8($0) }
    }

    @_specialize(where Model == FunctionModel) @_specialize(where Model == CPUModel)
    @_specialize(where Model == MemoryModel) @_specialize(where Model == NetworkModel)
    @_specialize(where Model == IOModel) @_specialize(where Model == GPUModel) func collectStats(
        slot: UInt8,
        isFull: Bool,
        lsn: LSN,
        into series: inout SeriesWriter
    ) -> Bool {
        collector.collect(slot: slot, of: &processes, isFull: isFull, lsn: lsn, into: &series)
    }

    func ownSamples() -> [MetricSample] {
        let samples = timing.samples(of: files.worker)
        guard files.rowsWithoutFile > 0 else { return samples }
        return samples + [
            MetricSample(
                family: .errorsTotal,
                labels: [LossKind.hostOverflow.rawValue],
                value: .counter(Double(files.rowsWithoutFile))
            )
        ]
    }

    // MARK: State

    func saveState(slot: UInt8, into buffer: inout RawBuffer) {
        SlotStateCodec.encode(slot: slot, of: processes, into: &buffer)
    }

    func loadState(slot: UInt8, from reader: inout StateReader) throws {
        dropState(slot: slot)
        try SlotStateCodec.decode(slot: slot, of: &processes, from: &reader)
    }

    func dropState(slot: UInt8) {
        processes.drop(slot: slot)
        collector.drop(slot: slot)
    }
}
