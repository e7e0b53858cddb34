import TestSupport

/// Writes down what all threads of a program do, one thing after another and each at a whole millisecond.
///
/// Nothing happens at the same millisecond as anything else, so that time stamps cut to milliseconds
/// keep the order, and no agent skips an event.
struct SequentialScript {
    /// Microseconds since the start of the run.
    private(set) var now: Int64 = 0
    private(set) var happenings: [Happening] = []
    private var random: SeededGenerator
    /// When calls began that are open, by thread, innermost last.
    private var open: [UInt32: [(function: ProgramFunction, began: Int64)]] = [:]
    private var heap = Heap(base: 0x7E00_0000_0000)
    /// The ends of the last CPU slices, by process.
    private var sliceEnds: [Int: Int64] = [:]

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func pick<T: FixedWidthInteger>(_ range: ClosedRange<T>) -> T {
        T.random(in: range, using: &random)
    }

    /// Waits 2 to 4 ms.
    mutating func pause() { wait(milliseconds: pick(2...4)) }

    mutating func wait(milliseconds: Int64) { now += milliseconds * 1_000 }

    /// Does nothing until `time`, in microseconds.
    mutating func wait(until time: Int64) { now = max(now, time) }

    /// Happens now, at a time of its own if that follows `pause` or `wait`.
    mutating func does(_ place: Place, _ action: Action) {
        happenings.append(
            Happening(time: now, process: place.process, thread: place.thread, action: action)
        )
    }

    mutating func enter(_ place: Place, _ function: ProgramFunction) {
        open[place.thread, default: []].append((function, now))
        does(place, .enter(function))
    }

    /// The innermost call of the thread ends.
    mutating func leave(_ place: Place) {
        guard let call = open[place.thread]?.popLast() else { return }
        does(place, .leave(call.function, began: call.began))
    }

    mutating func allocate(_ place: Place, _ size: UInt64) -> MemoryBlock {
        let block = heap.allocate(size, stack: pick(1...24))
        does(place, .allocate(block))
        return block
    }

    mutating func free(_ place: Place, _ block: MemoryBlock) {
        heap.free(block)
        does(place, .free(block))
    }

    /// The process was on a CPU for exactly `percent` of the time since its last slice.
    mutating func schedule(_ place: Place, percent: Int64, cpu: UInt32, isMigration: Bool) {
        let elapsed = now - sliceEnds[place.process, default: 0]
        sliceEnds[place.process] = now
        let slice = CPUSlice(
            cpu: cpu,
            onTime: elapsed * percent / 100,
            isMigration: isMigration,
            isNUMAMigration: false
        )
        does(place, .scheduled(slice))
    }

    mutating func send(_ place: Place, _ bytes: UInt64, _ connection: Connection) {
        does(place, .packet(.init(isSend: true, bytes: bytes, connection: connection)))
    }

    mutating func receive(_ place: Place, _ bytes: UInt64, _ connection: Connection) {
        does(place, .packet(.init(isSend: false, bytes: bytes, connection: connection)))
    }

    mutating func disk(_ place: Place, isRead: Bool, _ bytes: UInt64, latency: Int64) {
        let device = isRead ? "nvme0n1" : "sda"
        does(place, .disk(.init(isRead: isRead, bytes: bytes, latency: latency, device: device)))
    }
}

/// A thread of a process.
struct Place {
    let process: Int
    let thread: UInt32

    static let train = Place(process: 0, thread: 4100)
    static let stream = Place(process: 0, thread: 4101)
    static let serve = Place(process: 0, thread: 4102)
    static let prepare = Place(process: 1, thread: 5200)
}
