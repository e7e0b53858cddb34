import AnomalyRules
import TraceFiles
import TraceMetrics
import TraceModel

/// One traced process in the table: its identity, the model's state, and what has been reported of it.
struct ProcessEntry<Model: ProcessModel & ~Copyable>: ~Copyable {
    // The fields that sweeps and searches read of every process come first, in one cache line.
    let host: HostID
    let pid: UInt32
    let slot: UInt8
    /// Whether it is about to be removed from the table.
    var isGone = false
    /// Whether it changed since the last collection.
    var isDirty = false
    /// Whether all of its series have been reported under its current name.
    var isShown = false
    /// Whether its series have ended because it has been quiet for long. It is kept for its open calls.
    var isExpired = false
    /// Whether ticks visit it.
    var isTicking = false
    /// Its position in the table.
    var position = 0
    /// The bytes that its slot's budget has been charged with for it.
    var chargedBytes = 0
    /// The arrival of its last event, whatever that event's time.
    var lastHeard: EpochNanoseconds
    /// The greatest event time seen, and the arrival of that event.
    var lastTime: EpochNanoseconds
    var lastArrival: EpochNanoseconds
    /// Activity in the open window. It lies behind the entry in the same memory, as the model writes to it while the
    /// entry is being mutated.
    let activity: UnsafeMutablePointer<WindowActivity>
    /// Findings that cool-downs have suppressed. It lies behind the entry for the same reason.
    let suppressed: UnsafeMutablePointer<SuppressedFindings>
    /// The thresholds that apply to the process, owned by the processor's rule set.
    var rules: UnsafePointer<Thresholds>
    /// The window in whose trace the process is named; `.max` for none.
    var namedWindow = UInt64.max
    /// `pid` as text for its rows.
    let pidText: NumberText
    var threads = ThreadNames()
    /// The names that agents give it and its threads.
    var given = GivenNames()
    /// The series that describe the process as a whole, as last reported.
    var definedSeries = SeriesSet()
    var model: Model

    /// Initialises an entry in memory of `memoryBytes`.
    static func initialize(
        in memory: UnsafeMutableRawPointer,
        host: HostID,
        pid: UInt32,
        slot: UInt8,
        rules: UnsafePointer<Thresholds>,
        model: consuming Model,
        time: EpochNanoseconds,
        arrival: EpochNanoseconds
    ) -> UnsafeMutablePointer<Self> {
        let place = memory.bindMemory(to: Self.self, capacity: 1)
        place.initialize(
            to: Self(
                host: host,
                pid: pid,
                slot: slot,
                rules: rules,
                model: model,
                time: time,
                arrival: arrival,
                activity: (memory + activityOffset).initializeMemory(
                    as: WindowActivity.self,
                    to: WindowActivity()
                ),
                suppressed: (memory + suppressedOffset).initializeMemory(
                    as: SuppressedFindings.self,
                    to: SuppressedFindings()
                )
            )
        )
        return place
    }

    /// Size of an entry's memory, including what lies behind it.
    static var memoryBytes: Int { suppressedOffset + MemoryLayout<SuppressedFindings>.size }
    /// Alignment of an entry's memory: a cache line.
    static var memoryAlignment: Int { 64 }

    private static var activityOffset: Int { MemoryLayout<Self>.stride }
    private static var suppressedOffset: Int {
        activityOffset + MemoryLayout<WindowActivity>.stride
    }

    private init(
        host: HostID,
        pid: UInt32,
        slot: UInt8,
        rules: UnsafePointer<Thresholds>,
        model: consuming Model,
        time: EpochNanoseconds,
        arrival: EpochNanoseconds,
        activity: UnsafeMutablePointer<WindowActivity>,
        suppressed: UnsafeMutablePointer<SuppressedFindings>
    ) {
        self.host = host
        self.pid = pid
        self.slot = slot
        pidText = NumberText(UInt64(pid))
        self.rules = rules
        self.model = model
        lastTime = time
        lastArrival = arrival
        lastHeard = arrival
        self.activity = activity
        self.suppressed = suppressed
    }

    /// The name that its events give, else the name that agents give beside events; empty if neither exists. Valid
    /// until the entry is changed.
    var name: ByteView {
        let own = model.processName()
        return own.isEmpty ? given.processText.view : own
    }

    /// Whether time without events can lead to findings or to records of suppressed ones.
    var needsTicks: Bool { model.needsTicks || !suppressed.pointee.isEmpty }

    /// Whether it had events, not only a name; without events there is nothing to report.
    var hasEvents: Bool { lastTime != .min }

    /// The bytes that every process takes, without the content of its tables.
    @inline(__always) static var fixedBytes: Int {
        MemoryLayout<Self>.stride + MemoryLayout<WindowActivity>.stride
            + MemoryLayout<SuppressedFindings>.stride
            + StateCost.process
    }

    /// The bytes freed only by evicting the whole process: `stateBytes` without its tables' entries.
    var ownBytes: Int { stateBytes - model.stateBytes }

    /// The bytes that its slot's budget is charged with. Depends only on what checkpoints contain. O(1).
    @inline(__always) var stateBytes: Int {
        Self.fixedBytes + model.stateBytes + activity.pointee.stateBytes + threads.stateBytes
            + given.stateBytes
            + suppressed.pointee.stateBytes
    }

    /// Compares hosts by index, because `==` would be a call into their module.
    @inline(__always) func isProcess(_ host: HostID, _ pid: UInt32) -> Bool {
        self.pid == pid && self.host.index == host.index
    }

    deinit {
        activity.deinitialize(count: 1)
        suppressed.deinitialize(count: 1)
    }
}
