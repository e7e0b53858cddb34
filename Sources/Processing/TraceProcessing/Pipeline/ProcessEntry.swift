import AnomalyRules
import TraceFiles
import TraceMetrics
import TraceModel

/// One traced process in the table: who it is, what the model keeps of it, and what has been shown of it.
struct ProcessEntry<Model: ProcessModel & ~Copyable>: ~Copyable {
    // What sweeps and searches need of every process stands first, in one cache line.
    let host: HostID
    let pid: UInt32
    let slot: UInt8
    /// Whether it is about to be taken out of the table.
    var isGone = false
    /// Whether it changed since the last collection.
    var isDirty = false
    /// Whether all of its series have been told, under the name that it has.
    var isShown = false
    /// Whether its series are gone, as it has been quiet for long; it is kept for what is open in it.
    var isExpired = false
    /// Whether it is among those that ticks visit.
    var isTicking = false
    /// Its position in the table.
    var position = 0
    /// Bytes that its slot's budget has been charged with for it.
    var chargedBytes = 0
    /// The arrival of its last event, whatever its time.
    var lastHeard: EpochNanoseconds
    /// Greatest event time seen, and the arrival of that event.
    var lastTime: EpochNanoseconds
    var lastArrival: EpochNanoseconds
    /// Of the open window; beside the entry in its memory, as the model writes it while it is being changed itself.
    let activity: UnsafeMutablePointer<WindowActivity>
    /// What cool-downs have suppressed; beside the entry, likewise.
    let suppressed: UnsafeMutablePointer<SuppressedFindings>
    /// What holds for the process in the processor's rule set.
    var rules: UnsafePointer<Thresholds>
    /// The window in whose trace the process is named; `.max` for none.
    var namedWindow = UInt64.max
    /// `pid` as its rows have it.
    let pidText: NumberText
    var threads = ThreadNames()
    /// What agents call it and its threads.
    var given = GivenNames()
    /// Of the series of the process as a whole.
    var told = SeriesSet()
    var model: Model

    /// Makes one in memory of `memoryBytes`.
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

    /// The entry's memory with what lies beside it.
    static var memoryBytes: Int { suppressedOffset + MemoryLayout<SuppressedFindings>.size }
    /// That of a cache line.
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

    /// What it is called: as its events say, else as agents say beside them; empty where neither does. Valid as long
    /// as the entry is not changed.
    var name: ByteView {
        let own = model.processName()
        return own.isEmpty ? given.processText.view : own
    }

    /// Whether time that passes without events can lead to findings, or to records of suppressed ones.
    var needsTicks: Bool { model.needsTicks || !suppressed.pointee.isEmpty }

    /// Whether anything but a name has come of it: without, there is nothing to show.
    var hasEvents: Bool { lastTime != .min }

    /// Bytes that the process takes without what its tables hold.
    @inline(__always) static var fixedBytes: Int {
        MemoryLayout<Self>.stride + MemoryLayout<WindowActivity>.stride
            + MemoryLayout<SuppressedFindings>.stride
            + StateCost.process
    }

    /// Bytes that go with the process alone: what it takes less what its tables' entries take.
    var ownBytes: Int { stateBytes - model.stateBytes }

    /// Bytes that the process takes of its slot's budget. Depends on what a checkpoint holds alone. O(1).
    @inline(__always) var stateBytes: Int {
        Self.fixedBytes + model.stateBytes + activity.pointee.stateBytes + threads.stateBytes
            + given.stateBytes
            + suppressed.pointee.stateBytes
    }

    /// By numbers: comparing hosts would be a call into their module.
    @inline(__always) func isProcess(_ host: HostID, _ pid: UInt32) -> Bool {
        self.pid == pid && self.host.index == host.index
    }

    deinit {
        activity.deinitialize(count: 1)
        suppressed.deinitialize(count: 1)
    }
}
