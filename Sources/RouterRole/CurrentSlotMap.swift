import Synchronization
import TraceModel

/// The slot map that the last barrier brought, for threads that plan the next one.
final class CurrentSlotMap: Sendable {
    private let map: Mutex<SlotMap>

    init(_ map: SlotMap) { self.map = Mutex(map) }

    var value: SlotMap {
        get { map.withLock { $0 } }
        set { map.withLock { $0 = newValue } }
    }
}
