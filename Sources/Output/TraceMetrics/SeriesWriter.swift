import Synchronization
import SystemIO
package import TraceModel

/// What a worker remembers of a group of series that it has told the aggregator of: their ids follow one
/// another. Lies in the state of what the series are about.
package struct SeriesSet: BitwiseCopyable, Sendable {
    /// More series than any group has.
    package static let countMax = 64

    var first: UInt32 = 0
    /// The writer's at which the ids were given; 0: none were.
    var generation: UInt32 = 0
    /// Which of the series are defined, a bit each.
    var told: UInt64 = 0

    package init() {}
}

/// Encodes a worker's series for the aggregator (the format stands in SeriesCode.swift). Belongs to the
/// worker's apply loop. Series of one thing are a group: its `SeriesSet` remembers what is told already.
package struct SeriesWriter: ~Copyable {
    private var buffer = RawBuffer(capacity: 64 << 10)
    /// No two writers of a process have the same, so that none takes another's ids for its own.
    private static let generations = Atomic<UInt32>(0)
    private var generation: UInt32
    private var nextID: UInt32 = 0

    // The section.
    private var sectionStart = 0
    private var isFull = false
    private var isComplete = true
    private var definedBytes = 0
    private var lastFirst: UInt32 = 0

    // What the labels of the series to come are made of, and whether the section has told it.
    private var host = ""
    private var pid: UInt32 = 0
    private var process = ByteView.empty
    private var name = ByteView.empty
    private var isNew = false
    private var isProcessTold = false
    private var isProcessNameTold = false
    private var isNameTold = false

    // The group.
    private var set = SeriesSet()
    private var number: UInt8 = 0
    private var isRefused = false
    private var countMax = 0

    /// Series left out for want of ids since the last `begin`.
    package private(set) var leftOut = 0
    /// Even what slots count as a whole lacked ids: all has to be told anew.
    package private(set) var isOutOfIDs = false

    private let idsMax: Int

    /// `idsMax`: as `Limits.seriesIDsMax`, for tests.
    package init(idsMax: Int = Limits.seriesIDsMax) {
        self.idsMax = idsMax
        generation = Self.nextGeneration()
    }

    private static func nextGeneration() -> UInt32 { generations.add(1, ordering: .relaxed).newValue }

    /// Ids given since `begin`.
    package var idCount: Int { Int(nextID) }

    /// Bytes of sections that `take` would return.
    package var byteCount: Int { buffer.count }

    /// All that was told is forgotten: series are defined anew, with other ids.
    package mutating func begin() {
        buffer.removeAll()
        generation = Self.nextGeneration()
        nextID = 0
        leftOut = 0
        isOutOfIDs = false
    }

    /// The sections written since the last call.
    package mutating func take() -> [UInt8] {
        defer { buffer.removeAll() }
        return Array(buffer.bytes)
    }

    // MARK: Sections

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

    /// Whether all that was asked for is in. Where not, the definitions would have been too many for one
    /// message: the slot is to be told again, in full.
    package mutating func endSection() -> Bool {
        let length = buffer.count - sectionStart - SeriesCode.headBytes
        let flags = (isFull && isComplete ? SeriesCode.isFull : 0) | (isComplete ? SeriesCode.isComplete : 0)
        let head = buffer.mutableBytes
        head[sectionStart + 1] = flags
        head.storeBytes(
            of: UInt32(length).littleEndian, toByteOffset: sectionStart + SeriesCode.headBytes - 4, as: UInt32.self)
        return isComplete
    }

    // MARK: What series are about

    /// Groups from here on are about this process. The name is borrowed until the next call; empty: none is
    /// known. Of one that `isNew` nothing that was told before counts.
    package mutating func use(host: String, pid: UInt32, name: ByteView, isNew: Bool) {
        self.host = host
        self.pid = pid
        self.isNew = isNew
        isProcessTold = false
        use(processName: name)
    }

    /// Groups from here on are about the process under this name.
    package mutating func use(processName: ByteView) {
        process = processName
        isProcessNameTold = false
    }

    /// The process is quiet: full sections name none of its series, which will be told again as they are now.
    package mutating func rest(host: String, pid: UInt32) {
        self.host = host
        self.pid = pid
        append(processBehind: SeriesCode.quietProcess)
    }

    /// Begins a group of at most `count` series, about something called `name`, which is borrowed until
    /// `end`. Between the two each series of the group is added, always in the same order. What `isOfSlot`, the slot
    /// as a whole, has ids of its own, so that it is told however many processes there are.
    @inline(__always) package mutating func begin(
        _ set: SeriesSet, count: Int, name: ByteView = .empty, isOfSlot: Bool = false
    ) {
        self.set = set
        self.name = name
        isNameTold = false
        number = 0
        isRefused = false
        countMax = count
        if set.generation != generation || isNew { give(count, isOfSlot: isOfSlot) }
        guard !isRefused else { return }
        buffer.append(byte: SeriesCode.group)
        let step = Int64(self.set.first) - Int64(lastFirst)
        buffer.append(varint: UInt64(bitPattern: step << 1 ^ step >> 63))
        lastFirst = self.set.first
    }

    /// What is to be remembered of the group.
    @inline(__always) package mutating func end() -> SeriesSet {
        assert(number <= countMax, "more series than ids: the next group's would be taken for them")
        return set
    }

    private mutating func give(_ count: Int, isOfSlot: Bool) {
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
        set.told = 0
        nextID += UInt32(count)
    }

    // MARK: Series

    /// The group's next series: a counter or gauge. Where it is not there (`if`) its place stays free.
    /// `texts` are those labels that the family has of its own.
    @inline(__always) package mutating func add(
        _ family: MetricFamily, _ value: Double, if isThere: Bool = true, _ texts: @autoclosure () -> [String] = []
    ) {
        guard isThere, beginSeries(family, texts) else { return skip() }
        append(value)
        number += 1
    }

    /// The group's next series: a histogram. `buckets` as `MetricValue` has them.
    package mutating func add<let count: Int>(
        _ family: MetricFamily, _ buckets: InlineArray<count, UInt64>, sum: Double, if isThere: Bool = true,
        _ texts: @autoclosure () -> [String] = []
    ) {
        guard isThere, beginSeries(family, texts) else { return skip() }
        for index in buckets.indices { buffer.append(varint: buckets[index]) }
        append(sum)
        number += 1
    }

    /// The group's next series, whatever its kind.
    package mutating func add(_ family: MetricFamily, _ value: MetricValue, _ texts: @autoclosure () -> [String] = []) {
        guard beginSeries(family, texts) else { return skip() }
        switch value {
        case .counter(let number), .gauge(let number): append(number)
        case .histogram(let buckets, let sum):
            for bucket in buckets { buffer.append(varint: bucket) }
            append(sum)
        }
        number += 1
    }

    /// What a full section does not name is forgotten by its reader.
    @inline(__always) private mutating func skip() {
        if isFull { set.told &= ~(UInt64(1) << UInt64(number)) }
        number += 1
    }

    @inline(__always) private mutating func beginSeries(_ family: MetricFamily, _ texts: () -> [String]) -> Bool {
        if isRefused { return false }
        let bit = UInt64(1) << UInt64(number)
        if set.told & bit != 0 {
            buffer.append(byte: number)
            return true
        }
        return define(family, bit, texts)
    }

    private mutating func define(_ family: MetricFamily, _ bit: UInt64, _ texts: () -> [String]) -> Bool {
        guard definedBytes < Limits.sectionDefinitionBytesMax else {
            isComplete = false
            return false
        }
        let start = buffer.count
        for source in family.descriptor.sources {
            switch source {
            case .host, .pid, .pidText: tellProcess()
            case .process: tellProcessName()
            case .name: tellName()
            case .text: break
            }
        }
        buffer.append(byte: SeriesCode.definition | number)
        buffer.append(integer: family.rawValue)
        for text in texts() { append(text: text) }
        definedBytes += buffer.count - start
        set.told |= bit
        return true
    }

    private mutating func tellProcess() {
        guard !isProcessTold else { return }
        isProcessTold = true
        append(processBehind: SeriesCode.process)
    }

    private mutating func append(processBehind code: UInt8) {
        buffer.append(byte: code)
        var host = host
        host.withUTF8 { append(label: ByteView(UnsafeRawBufferPointer($0))) }
        buffer.append(varint: UInt64(pid))
    }

    private mutating func tellProcessName() {
        tellProcess()
        guard !isProcessNameTold else { return }
        isProcessNameTold = true
        buffer.append(byte: SeriesCode.processName)
        if process.isEmpty { append(text: "pid-\(pid)") } else { append(label: process) }
    }

    private mutating func tellName() {
        guard !isNameTold else { return }
        isNameTold = true
        buffer.append(byte: SeriesCode.name)
        append(label: name)
    }

    // MARK: Values

    @inline(__always) private mutating func append(_ value: Double) {
        // The comparison is false for what is no number.
        if value >= 0, value < SeriesCode.wholeMax, value == value.rounded(.down) {
            buffer.append(varint: UInt64(value) << 1)
        } else {
            buffer.append(byte: 1)
            buffer.append(integer: value.bitPattern)
        }
    }

    private mutating func append(label: ByteView) { append(text: MetricLabel.text(of: label)) }

    private mutating func append(text: String) {
        buffer.append(varint: UInt64(text.utf8.count))
        buffer.append(text)
    }
}
