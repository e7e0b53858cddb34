import AnomalyRules
import TraceFiles
import TraceMetrics
import TraceModel

/// One traced process in the table: who it is, what the model keeps of it, and what has been shown of it.
struct ProcessEntry<Model: ProcessModel & ~Copyable>: ~Copyable {
    let host: HostID
    let pid: UInt32
    let slot: UInt8
    /// `pid` as its rows have it.
    let pidText: NumberText
    /// What holds for the process in the processor's rule set.
    var rules: UnsafePointer<Thresholds>
    var model: Model
    /// Greatest event time seen, and the arrival of that event.
    var lastTime: EpochNanoseconds
    var lastArrival: EpochNanoseconds
    /// The arrival of its last event, whatever its time.
    var lastHeard: EpochNanoseconds
    /// The window in whose trace the process is named; `.max` for none.
    var namedWindow = UInt64.max
    var threads = ThreadNames()
    /// What agents call it and its threads.
    var given = GivenNames()
    /// Of the open window; in a place of its own, as the model writes it while it is being changed itself.
    let activity: UnsafeMutablePointer<WindowActivity>
    /// What cool-downs have suppressed; in a place of its own, likewise.
    let suppressed: UnsafeMutablePointer<SuppressedFindings>
    /// Whether it changed since the last collection.
    var isDirty = false
    /// Whether all of its series have been told, under the name that it has.
    var isShown = false
    /// Whether its series are gone, as it has been quiet for long; it is kept for what is open in it.
    var isExpired = false
    /// Of the series of the process as a whole.
    var told = SeriesSet()
    /// Whether it is among those that ticks visit.
    var isTicking = false
    /// Whether it is about to be taken out of the table.
    var isGone = false
    /// Its position in the table.
    var position = 0
    /// Bytes that its slot's budget has been charged with for it.
    var chargedBytes = 0

    init(
        host: HostID,
        pid: UInt32,
        slot: UInt8,
        rules: UnsafePointer<Thresholds>,
        model: consuming Model,
        time: EpochNanoseconds,
        arrival: EpochNanoseconds
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
        activity = .allocate(capacity: 1)
        activity.initialize(to: WindowActivity())
        suppressed = .allocate(capacity: 1)
        suppressed.initialize(to: SuppressedFindings())
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
    @inline(__always)
    static var fixedBytes: Int {
        MemoryLayout<Self>.stride + MemoryLayout<WindowActivity>.stride
            + MemoryLayout<SuppressedFindings>.stride + StateCost.process
    }

    /// Bytes that go with the process alone: what it takes less what its tables' entries take.
    var ownBytes: Int { stateBytes - model.stateBytes }

    /// Bytes that the process takes of its slot's budget. Depends on what a checkpoint holds alone. O(1).
    @inline(__always)
    var stateBytes: Int {
        Self.fixedBytes + model.stateBytes + activity.pointee.stateBytes + threads.stateBytes
            + given.stateBytes + suppressed.pointee.stateBytes
    }

    /// By numbers: comparing hosts would be a call into their module.
    @inline(__always)
    func isProcess(_ host: HostID, _ pid: UInt32) -> Bool {
        self.pid == pid && self.host.index == host.index
    }

    deinit {
        activity.deinitialize(count: 1)
        activity.deallocate()
        suppressed.deinitialize(count: 1)
        suppressed.deallocate()
    }
}
