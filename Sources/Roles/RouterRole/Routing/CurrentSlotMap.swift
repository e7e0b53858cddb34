import Synchronization
import TraceModel

/// The slot map that the last barrier brought, for threads that plan the next one.
final class CurrentSlotMap: Sendable {
    private struct State {
        var map: SlotMap
        var isChanging = false
    }

    private let state: Mutex<State>

    init(_ map: SlotMap) { state = Mutex(State(map: map)) }

    /// Claims the next change and returns the map to be changed. Nil where another one's barrier is not
    /// in the log yet.
    func beginChange() -> SlotMap? {
        state.withLock { state in
            guard !state.isChanging else { return nil }
            state.isChanging = true
            return state.map
        }
    }

    /// Gives the claim back.
    func cancelChange() { state.withLock { $0.isChanging = false } }

    /// The change's barrier brought this map.
    func endChange(_ map: SlotMap) { state.withLock { $0 = State(map: map) } }
}
