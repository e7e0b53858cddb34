import SystemIO
import TraceModel
import TraceSummaries

/// What one process did in the open window, for its summary. Columns are those of `SummarySchema`; table 0
/// is the process's own row, whose column 0 counts events. Bounded by the bounds of the model's own tables,
/// whose items it follows.
struct WindowActivity: ~Copyable {
    /// An item of the process: a function, a device's operation, a kernel.
    struct Item {
        let table: Int
        private(set) var name: [UInt8]
        var values = SummaryValues()
        var sketch = QuantileSketch()
        /// Where the summary of the last window had its name.
        var place = UInt32.max

        @inline(__always)
        mutating func prefetchSketch() {
            withUnsafePointer(to: &sketch) { QuantileSketch.prefetch($0) }
        }

        /// As `QuantileSketch.prefetch`.
        @inline(__always)
        mutating func prefetchName() {
            withUnsafePointer(to: &name) {
                prefetch(UnsafeRawPointer($0).load(as: UnsafeRawPointer.self))
            }
        }

        /// Visits it, then forgets what it has seen.
        mutating func take(_ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void) {
            name.withUnsafeBytes { name in
                withUnsafePointer(to: &sketch) { sketch in
                    let part = SummaryPart(item: ByteView(name), values: values, sketch: sketch)
                    visit(part, table, &place)
                }
            }
            values = SummaryValues()
            sketch.removeAll()
        }

        /// Whether the window has seen anything of it. By its address, as the compiler would copy it.
        @inline(__always)
        static func isUsed(_ item: UnsafePointer<Item>) -> Bool {
            item.pointee.values != SummaryValues() || !item.pointee.sketch.isEmpty
        }
    }

    private(set) var firstTime = EpochNanoseconds.max
    private(set) var lastTime = EpochNanoseconds.min
    var process = SummaryValues()
    /// Those of the open window, and some that were of earlier ones.
    private var items = ActivityItems()
    private var index = IndexTable(capacity: 0)

    init() {}

    var events: UInt64 { process[0] }
    var isEmpty: Bool { process[0] == 0 }

    @inline(__always)
    mutating func note(_ time: EpochNanoseconds) {
        process[0] += 1
        firstTime = min(firstTime, time)
        lastTime = max(lastTime, time)
    }

    /// Visits the items of which the window has seen something, with their tables and their places in what adds up rows by
    /// name; then a new window begins. A process goes on with what it did before, as a rule: its items keep
    /// their places and memory, unless many of them were not used.
    mutating func takeWindow(_ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void) {
        var used = 0
        let itemsAhead = 8
        for position in 0..<items.count {
            if position + itemsAhead < items.count {
                items[position + itemsAhead].pointee.prefetchName()
                items[position + itemsAhead].pointee.prefetchSketch()
            }
            let item = items[position]
            guard Item.isUsed(item) else { continue }
            used += 1
            item.pointee.take(visit)
        }
        guard (items.count - used) * 4 <= items.count else {
            self = WindowActivity()
            return
        }
        process = SummaryValues()
        firstTime = .max
        lastTime = .min
    }

    // MARK: Items

    var itemCount: Int { items.count }

    private var usedItemCount: Int {
        var count = 0
        for position in 0..<items.count where Item.isUsed(items[position]) { count += 1 }
        return count
    }

    /// The position in `items` of the item of this name, which is cut.
    @inline(__always)
    mutating func item(_ table: Int, named name: ByteView) -> Int {
        let name = name.cut(at: Limits.summaryNameBytesMax)
        return known(table, name)
            ?? insert(Item(table: table, name: Array(name.buffer)), Self.hash(table, name))
    }

    /// The same where there is such an item.
    @inline(__always)
    func known(_ table: Int, _ name: ByteView) -> Int? {
        let name = name.cut(at: Limits.summaryNameBytesMax)
        return index.find(Self.hash(table, name)) {
            let item = items[$0]
            return item.pointee.table == table && item.pointee.name.elementsEqual(name.buffer)
        }
    }

    private mutating func insert(_ item: Item, _ hash: UInt64) -> Int {
        index.insert(hash, position: items.count)
        items.append(item)
        return items.count - 1
    }

    private static func hash(_ table: Int, _ name: ByteView) -> UInt64 {
        NameHash.of(name) &+ UInt64(table)
    }

    @inline(__always)
    mutating func add(_ amount: UInt64, to column: Int, ofItem position: Int) {
        items[position].pointee.values.add(amount, to: column)
    }

    @inline(__always)
    mutating func raise(_ column: Int, to value: UInt64, ofItem position: Int) {
        items[position].pointee.values.raise(column, to: value)
    }

    @inline(__always)
    mutating func lower(_ column: Int, to value: UInt64, ofItem position: Int) {
        items[position].pointee.values.lower(column, to: value)
    }

    @inline(__always)
    mutating func sample(_ value: UInt64, ofItem position: Int) {
        items[position].pointee.sketch.insert(value)
    }

    mutating func merge(_ sketch: UnsafePointer<QuantileSketch>, intoItem position: Int) {
        items[position].pointee.sketch.merge(sketch.pointee)
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        process.encode(into: &buffer)
        if isEmpty { return }
        buffer.append(integer: firstTime)
        buffer.append(integer: lastTime)
        buffer.append(integer: UInt32(usedItemCount))
        for position in 0..<items.count {
            let item = UnsafePointer(items[position])
            guard Item.isUsed(item) else { continue }
            buffer.append(byte: UInt8(item.pointee.table))
            buffer.append(counted: item.pointee.name)
            item.pointee.values.encode(into: &buffer)
            item.pointee.sketch.encode(into: &buffer)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let isFixed = reader.version <= StateVersion.beforeDialects
        process = try SummaryValues(decoding: &reader, isFixed: isFixed)
        if isEmpty { return }
        firstTime = try reader.integer(Int64.self)
        lastTime = try reader.integer(Int64.self)
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let table = Int(try reader.integer(UInt8.self))
            let name = ByteView(try reader.counted())
            let position = insert(
                Item(table: table, name: Array(name.buffer)),
                Self.hash(table, name)
            )
            items[position].pointee.values = try SummaryValues(
                decoding: &reader,
                isFixed: isFixed
            )
            items[position].pointee.sketch = try QuantileSketch(decoding: &reader)
        }
    }
}
