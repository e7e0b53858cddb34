import Synchronization
import SystemIO
package import TraceModel

/// What a worker remembers of a group of series that it has reported: the group's ids are consecutive. Stored in the
/// state of the object that the series describe.
package struct SeriesSet: BitwiseCopyable, Sendable {
    /// More series than any group has.
    package static let countMax = 64

    var first: UInt32 = 0
    /// The writer's generation in which the ids were assigned; 0 if there are none.
    var generation: UInt32 = 0
    /// Which of the series are defined, one bit each.
    var defined: UInt64 = 0

    package init() {}
}

/// Encodes a worker's series for the aggregator (the format is in SeriesDecoder.swift). Used by the worker's apply loop
/// only. The series of one object form a group; its `SeriesSet` remembers what has been defined.
package struct SeriesWriter: ~Copyable {
    private var buffer = RawBuffer(capacity: 64 << 10)
    /// Each generation in a process has another number, so that no writer takes another's ids for its own.
    private static let generations = Atomic<UInt32>(0)
    private var generation: UInt32
    private var nextID: UInt32 = 0

    // The current section.
    private var sectionStart = 0
    private var isFull = false
    private var isComplete = true
    private var definedBytes = 0
    private var lastFirst: UInt32 = 0

    // The sources of the next series' labels, and whether the section contains them already.
    private var host = ""
    private var pid: UInt32 = 0
    private var process = ByteView.empty
    private var name = ByteView.empty
    private var isNew = false
    private var isProcessWritten = false
    private var isProcessNameWritten = false
    private var isNameWritten = false

    // The current group.
    private var set = SeriesSet()
    private var number: UInt8 = 0
    private var isRefused = false
    private var countMax = 0

    /// Series left out for want of ids since the last `begin`.
    package private(set) var leftOut = 0
    /// True if even series of a slot as a whole lacked ids, so that everything has to be reported anew.
    package private(set) var isOutOfIDs = false

    /// Labels that were cut since the process began.
    package private(set) var labelsCut = 0

    private let idsMax: Int

    /// - Parameter idsMax: `Limits.seriesIDsMax`, or less in tests.
    package init(idsMax: Int = Limits.seriesIDsMax) {
        self.idsMax = idsMax
        generation = Self.nextGeneration()
    }

    private static func nextGeneration() -> UInt32 {
        generations.add(1, ordering: .relaxed).newValue
    }

    /// Ids assigned since `begin`.
    package var idCount: Int { Int(nextID) }

    /// Bytes of the sections that `take` would return.
    package var byteCount: Int { buffer.count }

    /// Forgets all that was reported: series are defined anew with other ids.
    package mutating func begin() {
        buffer.removeAll()
        generation = Self.nextGeneration()
        nextID = 0
        leftOut = 0
        isOutOfIDs = false
    }

    /// Returns the sections written since the last call.
    package mutating func take() -> [UInt8] {
        defer { buffer.removeAll() }
        return unsafe Array(buffer.bytes)
    }

    // MARK: Sections

    /// Begins the section of a slot, whose state is applied up to `lsn`.
    package mutating func beginSection(slot: UInt8, lsn: LSN, isFull: Bool) {
        sectionStart = buffer.count
        self.isFull = isFull
        isNew = false
        isComplete = true
        definedBytes = 0
        lastFirst = 0
        buffer.append(byte: slot)
        buffer.append(byte: 0)
        buffer.append(integer: lsn)
        buffer.append(integer: UInt32(0))
    }

    /// Ends the section. Returns whether it is complete. If not, its definitions would be too many for one message, and
    /// the slot has to be reported again in full.
    package mutating func endSection() -> Bool {
        let length = buffer.count - sectionStart - SeriesCode.headBytes
        let flags =
            (isFull && isComplete ? SeriesCode.isFull : 0)
            | (isComplete ? SeriesCode.isComplete : 0)
        let head = unsafe buffer.mutableBytes
        unsafe head[sectionStart + 1] = flags
        unsafe head.storeBytes(
            of: UInt32(length).littleEndian,
            toByteOffset: sectionStart + SeriesCode.headBytes - 4,
            as: UInt32.self
        )
        return isComplete
    }

    // MARK: Subjects of series

    /// Sets the process of the groups that follow. The name is borrowed until the next call; empty means unknown.
    /// `isNew` voids everything reported of this process before.
    package mutating func use(host: String, pid: UInt32, name: ByteView, isNew: Bool) {
        self.host = host
        self.pid = pid
        self.isNew = isNew
        isProcessWritten = false
        use(processName: name)
    }

    /// Sets the process name for the groups that follow.
    package mutating func use(processName: ByteView) {
        process = processName
        isProcessNameWritten = false
    }

    /// Marks a process as quiet: full sections name none of its series, which will be reported again with their present
    /// values.
    package mutating func markQuiet(host: String, pid: UInt32) {
        self.host = host
        self.pid = pid
        append(processBehind: SeriesCode.quietProcess)
    }

    /// Begins a group of at most `count` series about something called `name`, which is borrowed until `end`. Until
    /// then, each series of the group is added, always in the same order. Groups about the slot as a whole (`isOfSlot`)
    /// have reserved ids, so that they are reported however many processes there are.
    @inline(__always) package mutating func begin(
        _ set: SeriesSet,
        count: Int,
        name: ByteView = .empty,
        isOfSlot: Bool = false
    ) {
        self.set = set
        self.name = name
        isNameWritten = false
        number = 0
        isRefused = false
        countMax = count
        if set.generation != generation || isNew { assignIDs(count, isOfSlot: isOfSlot) }
        guard !isRefused else { return }
        buffer.append(byte: SeriesCode.group)
        let step = Int64(self.set.first) - Int64(lastFirst)
        buffer.append(varint: UInt64(bitPattern: step << 1 ^ step >> 63))
        lastFirst = self.set.first
    }

    /// Ends the group and returns what the caller has to remember of it.
    @inline(__always) package mutating func end() -> SeriesSet {
        assert(number <= countMax, "more series than ids: the next group's would be taken for them")
        return set
    }

    private mutating func assignIDs(_ count: Int, isOfSlot: Bool) {
        precondition(count <= SeriesSet.countMax)
        if definedBytes >= Limits.sectionDefinitionBytesMax { isComplete = false }
        let idsMax = isOfSlot ? self.idsMax : self.idsMax - Limits.slotSeriesIDs
        guard isComplete, Int(nextID) + count <= idsMax else {
            if isComplete { leftOut += count }
            if isOfSlot { isOutOfIDs = true }
            isRefused = true
            return
        }
        set.first = nextID
        set.generation = generation
        set.defined = 0
        nextID += UInt32(count)
    }

    // MARK: Series

    /// Adds the group's next series, a counter or gauge. With `isThere` false its number stays unused. `texts` are the
    /// labels that come from the series itself.
    @inline(__always) package mutating func add(
        _ family: MetricFamily,
        _ value: Double,
        if isThere: Bool = true,
        _ texts: @autoclosure () -> [String] = []
    ) {
        guard isThere, beginSeries(family, texts) else { return skip() }
        append(value)
        number += 1
    }

    /// Adds the group's next series, a histogram, with buckets as in `MetricValue`.
    package mutating func add<let count: Int>(
        _ family: MetricFamily,
        _ buckets: InlineArray<count, UInt64>,
        sum: Double,
        if isThere: Bool = true,
        _ texts: @autoclosure () -> [String] = []
    ) {
        guard isThere, beginSeries(family, texts) else { return skip() }
        for index in buckets.indices { buffer.append(varint: buckets[index]) }
        append(sum)
        number += 1
    }

    /// Adds the group's next series, of any kind.
    package mutating func add(
        _ family: MetricFamily,
        _ value: MetricValue,
        _ texts: @autoclosure () -> [String] = []
    ) {
        guard beginSeries(family, texts) else { return skip() }
        switch value {
        case .counter(let number), .gauge(let number): append(number)
        case .histogram(let buckets, let sum):
            for bucket in buckets { buffer.append(varint: bucket) }
            append(sum)
        }
        number += 1
    }

    /// Skips a number of the group. The reader forgets every series that a full section does not name.
    @inline(__always) private mutating func skip() {
        if isFull { set.defined &= ~(UInt64(1) << UInt64(number)) }
        number += 1
    }

    @inline(__always) private mutating func beginSeries(
        _ family: MetricFamily,
        _ texts: () -> [String]
    ) -> Bool {
        if isRefused { return false }
        let bit = UInt64(1) << UInt64(number)
        if set.defined & bit != 0 {
            buffer.append(byte: number)
            return true
        }
        return define(family, bit, texts)
    }

    private mutating func define(
        _ family: MetricFamily,
        _ bit: UInt64,
        _ texts: () -> [String]
    ) -> Bool {
        guard definedBytes < Limits.sectionDefinitionBytesMax else {
            isComplete = false
            return false
        }
        let start = buffer.count
        for source in family.descriptor.sources {
            switch source {
            case .host, .pid, .pidText: writeProcess()
            case .process: writeProcessName()
            case .name: writeName()
            case .text: break
            }
        }
        buffer.append(byte: SeriesCode.definition | number)
        buffer.append(integer: family.rawValue)
        for text in texts() { append(text: text) }
        definedBytes += buffer.count - start
        set.defined |= bit
        return true
    }

    private mutating func writeProcess() {
        guard !isProcessWritten else { return }
        isProcessWritten = true
        append(processBehind: SeriesCode.process)
    }

    private mutating func append(processBehind code: UInt8) {
        buffer.append(byte: code)
        var host = host
        host.withUTF8 { unsafe append(label: ByteView(UnsafeRawBufferPointer($0))) }
        buffer.append(varint: UInt64(pid))
    }

    private mutating func writeProcessName() {
        writeProcess()
        guard !isProcessNameWritten else { return }
        isProcessNameWritten = true
        buffer.append(byte: SeriesCode.processName)
        if process.isEmpty { append(text: "pid-\(pid)") } else { append(label: process) }
    }

    private mutating func writeName() {
        guard !isNameWritten else { return }
        isNameWritten = true
        buffer.append(byte: SeriesCode.name)
        append(label: name)
    }

    // MARK: Values

    @inline(__always) private mutating func append(_ value: Double) {
        // NaN compares false.
        if value >= 0, value < SeriesCode.wholeMax, value == value.rounded(.down) {
            buffer.append(varint: UInt64(value) << 1)
        } else {
            buffer.append(byte: 1)
            buffer.append(integer: value.bitPattern)
        }
    }

    private mutating func append(label: ByteView) {
        if label.count > Limits.labelBytesMax { labelsCut += 1 }
        append(text: MetricLabel.text(of: label))
    }

    private mutating func append(text: String) {
        buffer.append(varint: UInt64(text.utf8.count))
        buffer.append(text)
    }
}
