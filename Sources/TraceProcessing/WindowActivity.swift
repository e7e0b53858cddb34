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
    /// By the caller's own numbers of items: position in `items` + 1, 0 for none.
    private var numbered = RawArray<UInt32>(capacity: 8)

    init() {}

    var events: UInt64 { process[0] }
    var isEmpty: Bool { process[0] == 0 }

    @inline(__always)
    mutating func note(_ time: EpochNanoseconds) {
        process[0] += 1
        firstTime = min(firstTime, time)
        lastTime = max(lastTime, time)
    }

    /// Forgets the window. A process goes on with what it did before, as a rule: its items keep their places
    /// and memory, unless many of them were not used.
    mutating func beginWindow() {
        guard (items.count - usedItemCount) * 4 <= items.count else {
            self = WindowActivity()
            return
        }
        process = SummaryValues()
        firstTime = .max
        lastTime = .min
        for position in 0..<items.count {
            items[position].pointee.values = SummaryValues()
            items[position].pointee.sketch.removeAll()
        }
    }

    // MARK: Items

    var itemCount: Int { items.count }

    private var usedItemCount: Int {
        var count = 0
        forEachUsedItem { _ in count += 1 }
        return count
    }

    /// Visits what the window has seen something of.
    @inline(__always)
    func forEachUsedItem(_ visit: (UnsafeMutablePointer<Item>) -> Void) {
        let itemsAhead = 8
        for position in 0..<items.count {
            if position + itemsAhead < items.count {
                items[position + itemsAhead].pointee.prefetchName()
                items[position + itemsAhead].pointee.prefetchSketch()
            }
            if Item.isUsed(items[position]) { visit(items[position]) }
        }
    }

    /// The position in `items` of an item that the model keeps under a number of its own; `name` is asked
    /// for once.
    @inline(__always)
    mutating func item(_ table: Int, number: Int, name: () -> ByteView) -> Int {
        if number < numbered.count, numbered[number] > 0 { return Int(numbered[number]) - 1 }
        let position = item(table, named: name())
        while numbered.count <= number { numbered.append(0) }
        numbered[number] = UInt32(position + 1)
        return position
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

    /// Sends for where the caller's number is noted.
    @inline(__always)
    func prefetchPlace(number: Int) { prefetch(numbered.base + number) }

    /// Sends for an item by the caller's number for it, where there is one already.
    @inline(__always)
    func prefetchItem(number: Int) {
        guard number < numbered.count, numbered[number] > 0 else { return }
        prefetch(items[Int(numbered[number]) - 1], byteCount: MemoryLayout<Item>.size)
    }

    /// Sends for what the item has sampled.
    @inline(__always)
    func prefetchSketch(number: Int) {
        guard number < numbered.count, numbered[number] > 0 else { return }
        items[Int(numbered[number]) - 1].pointee.prefetchSketch()
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
    mutating func sample(_ value: UInt64, ofItem position: Int) {
        items[position].pointee.sketch.insert(value)
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
        process = try SummaryValues(decoding: &reader)
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
            items[position].pointee.values = try SummaryValues(decoding: &reader)
            items[position].pointee.sketch = try QuantileSketch(decoding: &reader)
        }
    }
}
