import SystemIO
import TraceModel

/// The CPUs on which the samples of the open window found a process. 16 bytes for each CPU ever seen, bounded by the
/// numbers that `CPUSet` distinguishes.
struct CPUVisits {
    /// The counts of one CPU in the open window.
    struct Counts: BitwiseCopyable {
        var samples: UInt64 = 0
        /// Samples whose predecessor was on another CPU.
        var moves: UInt64 = 0
    }

    /// The CPUs that have an element in `counts`, which is ordered by their numbers.
    private var known = CPUSet()
    private var counts: [Counts] = []
    /// The CPU of the last sample; nil before the first one.
    private var last: Int?
    /// Counts of the last sample's CPU that are not in `counts` yet. Most samples find the process on the same CPU as
    /// the previous one, and then need no lookup.
    private var current = Counts()

    /// The most bytes that a CPU takes.
    static var bytesPerCPU: Int { 2 * MemoryLayout<Counts>.stride }

    init() {}

    /// Applies a sample. Returns whether the process was on another CPU before.
    @inline(__always) mutating func note(_ cpu: UInt32) -> Bool {
        let number = CPUSet.number(of: cpu)
        guard number != last else {
            current.samples += 1
            return false
        }
        return move(to: number)
    }

    @inline(never) private mutating func move(to number: Int) -> Bool {
        settle()
        let isMove = last != nil
        last = number
        current = Counts(samples: 1, moves: isMove ? 1 : 0)
        return isMove
    }

    /// Notes that the process is another one from here on: where it is found next is no move.
    mutating func restart() {
        settle()
        last = nil
    }

    private mutating func settle() {
        guard let last, current.samples > 0 else { return }
        let place = known.rank(of: last)
        if !known.contains(last) {
            known.insert(UInt32(last))
            counts.insert(Counts(), at: place)
        }
        counts[place].samples += current.samples
        counts[place].moves += current.moves
        current = Counts()
    }

    /// Visits the CPUs of the open window by their numbers, with the count of all samples, then begins a new window.
    mutating func takeWindow(_ visit: (_ number: Int, Counts, _ samples: UInt64) -> Void) {
        // Most processes have a single CPU or sample, for which `counts` is not needed.
        if counts.isEmpty {
            if let last, current.samples > 0 { visit(last, current, current.samples) }
            current = Counts()
            return
        }
        settle()
        let samples = counts.reduce(0) { $0 + $1.samples }
        visitCounts { visit($0, $1, samples) }
        for place in counts.indices { counts[place] = Counts() }
    }

    /// Visits the CPUs in `counts` that have samples in the window.
    private func visitCounts(_ visit: (_ number: Int, Counts) -> Void) {
        var place = 0
        known.visit { number in
            if counts[place].samples > 0 { visit(number, counts[place]) }
            place += 1
        }
    }

    // MARK: State

    func encode(into buffer: inout RawBuffer) {
        buffer.append(varint: last.map { UInt64($0) + 1 } ?? 0)
        buffer.append(varint: current.samples)
        buffer.append(varint: current.moves)
        buffer.append(varint: counts.reduce(0) { $0 + ($1.samples > 0 ? 1 : 0) })
        visitCounts { number, counts in
            buffer.append(varint: UInt64(number))
            buffer.append(varint: counts.samples)
            buffer.append(varint: counts.moves)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let last = try reader.varint()
        let current = Counts(samples: try reader.varint(), moves: try reader.varint())
        for _ in 0..<(try reader.varint()) {
            let number = try reader.varint()
            guard number <= CPUSet.numberMax else { throw Self.damaged }
            self.last = Int(number)
            self.current = Counts(samples: try reader.varint(), moves: try reader.varint())
            settle()
        }
        guard last <= CPUSet.numberMax + 1 else { throw Self.damaged }
        self.last = last == 0 ? nil : Int(last) - 1
        self.current = current
    }

    private static let damaged = TraceError(.corrupt, "Stored state has no CPU where one belongs")
}
