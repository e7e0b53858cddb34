import Glibc
import TraceModel

/// The calls of one thread that the rows of a trace have begun and not ended. Calls are paired as the worker pairs them:
/// an end closes the innermost one of its cookie and name, and of the time at which it says that its call began.
struct OpenSlices {
    struct Slice {
        /// Among all calls begun in the trace.
        let order: UInt64
        let ts: EpochNanoseconds
        let cookie: Int64
        /// JSON text with its quotes, in `names`.
        fileprivate let nameStart: Int
        fileprivate let nameEnd: Int
    }

    /// The innermost last; its name stands at the end of `names`.
    private(set) var slices: [Slice] = []
    /// In one array, so that a call takes no memory of its own.
    private var names: [UInt8] = []

    func name(of slice: Slice) -> ArraySlice<UInt8> { names[slice.nameStart..<slice.nameEnd] }

    mutating func begin(_ call: EventRow.Call, ts: EpochNanoseconds, order: UInt64) {
        let start = names.count
        names.append(contentsOf: call.name)
        slices.append(Slice(order: order, ts: ts, cookie: call.cookie, nameStart: start, nameEnd: names.count))
    }

    /// Whether a call of that cookie and name is open that began at `ts`.
    func isOpen(_ call: EventRow.Call, ts: EpochNanoseconds) -> Bool {
        slices.contains { $0.ts == ts && $0.cookie == call.cookie && isNamed($0, call.name) }
    }

    private func isNamed(_ slice: Slice, _ name: UnsafeRawBufferPointer) -> Bool {
        guard slice.nameEnd - slice.nameStart == name.count, let start = name.baseAddress else { return false }
        return names.withUnsafeBytes { names in
            names.baseAddress.map { memcmp($0 + slice.nameStart, start, name.count) == 0 } ?? false
        }
    }

    /// False where no such call is open.
    mutating func end(_ call: EventRow.Call) -> Bool {
        guard
            let position = slices.lastIndex(where: {
                $0.cookie == call.cookie && (call.began ?? $0.ts) == $0.ts && isNamed($0, call.name)
            })
        else { return false }
        if position == slices.count - 1 {
            names.removeLast(call.name.count)
            slices.removeLast()
            return true
        }
        let inner = slices[(position + 1)...].map { ($0, Array(name(of: $0))) }
        names.removeSubrange(slices[position].nameStart...)
        slices.removeSubrange(position...)
        for (slice, name) in inner {
            let start = names.count
            names += name
            slices.append(
                Slice(order: slice.order, ts: slice.ts, cookie: slice.cookie, nameStart: start, nameEnd: names.count))
        }
        return true
    }
}
