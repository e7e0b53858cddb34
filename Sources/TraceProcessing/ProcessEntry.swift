import AnomalyRules
import TraceFiles
import TraceModel

/// One traced process in the table: who it is, what the model keeps of it, and what has been shown of it.
struct ProcessEntry<Model: ProcessModel & ~Copyable>: ~Copyable {
    let host: HostID
    let pid: UInt32
    let slot: UInt8
    /// What holds for the process in the processor's rule set.
    var rules: UnsafePointer<Thresholds>
    var model: Model
    /// Greatest event time seen, and the arrival of that event.
    var lastTime: EpochNanoseconds
    var lastArrival: EpochNanoseconds
    /// The window in whose trace the process is named; `.max` for none.
    var namedWindow = UInt64.max
    var threads = ThreadNames()
    /// Of the open window; in a place of its own, as the model writes it while it is being changed itself.
    let activity: UnsafeMutablePointer<WindowActivity>
    /// Whether it changed since the last collection.
    var isDirty = false
    /// Whether its series have been sent at least once by this worker.
    var isShown = false
    /// Whether it is among those that ticks visit.
    var isTicking = false

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
        self.rules = rules
        self.model = model
        lastTime = time
        lastArrival = arrival
        activity = .allocate(capacity: 1)
        activity.initialize(to: WindowActivity())
    }

    deinit {
        activity.deinitialize(count: 1)
        activity.deallocate()
    }
}
