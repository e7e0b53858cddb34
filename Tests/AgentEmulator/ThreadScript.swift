import TestSupport

/// Writes down what one thread does, at random but the same for the same seed.
struct ThreadScript {
    private let process: Int
    private let thread: UInt32
    /// Microseconds since the start of the run.
    private(set) var now: Int64
    private var random: SeededGenerator
    private var heap: Heap
    private(set) var happenings: [Happening] = []

    init(process: Int, thread: UInt32, start: Int64, seed: UInt64) {
        self.process = process
        self.thread = thread
        now = start
        random = SeededGenerator(seed: seed &* 0x9E37_79B9 &+ UInt64(thread))
        heap = Heap(base: 0x7F00_0000_0000 + UInt64(thread) << 24)
    }

    mutating func pick<T: FixedWidthInteger & Sendable>(_ range: ClosedRange<T>) -> T {
        T.random(in: range, using: &random)
    }

    mutating func pick(_ range: ClosedRange<Double>) -> Double {
        Double.random(in: range, using: &random)
    }

    mutating func pick<T>(of choices: [T]) -> T { choices[pick(0...choices.count - 1)] }

    mutating func wait(_ microseconds: ClosedRange<Int64>) { now += pick(microseconds) }

    /// Does nothing until `time`.
    mutating func wait(until time: Int64) { now = max(now, time) }

    mutating func does(_ action: Action) {
        happenings.append(Happening(time: now, process: process, thread: thread, action: action))
    }

    mutating func call(_ function: ProgramFunction, _ body: (inout ThreadScript) -> Void) {
        let began = now
        does(.enter(function))
        body(&self)
        does(.leave(function, began: began))
    }

    /// Allocates in a wrapper of the allocator, which takes about 0.04 ms.
    mutating func allocate(_ sizes: ClosedRange<UInt64>) -> MemoryBlock {
        let block = heap.allocate(pick(sizes), stack: pick(1...24))
        call(.allocate) {
            $0.wait(18...24)
            $0.does(.allocate(block))
            $0.wait(18...24)
        }
        return block
    }

    mutating func free(_ block: MemoryBlock) {
        heap.free(block)
        does(.free(block))
    }

    /// Launches a kernel, which takes about 0.03 ms.
    mutating func launch(_ kernel: String) {
        call(.launchKernel) {
            $0.wait(12...16)
            $0.does(.launch(kernel: kernel))
            $0.wait(13...17)
        }
    }
}

/// Gives out addresses; a freed one is given out again.
struct Heap {
    private var next: UInt64
    private var released: [UInt64] = []

    init(base: UInt64) { next = base }

    mutating func allocate(_ size: UInt64, stack: UInt64) -> MemoryBlock {
        if released.count > 8 {
            return MemoryBlock(address: released.removeFirst(), size: size, stack: stack)
        }
        defer { next += 1 << 12 }
        return MemoryBlock(address: next, size: size, stack: stack)
    }

    mutating func free(_ block: MemoryBlock) { released.append(block.address) }
}
