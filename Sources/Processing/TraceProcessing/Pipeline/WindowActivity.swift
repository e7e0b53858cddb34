import SystemIO
import TraceModel
import TraceSummaries

/// The activity of one process in the open window, for its summary. Columns are those of `SummarySchema`. Table 0 is
/// the process's own row, whose column 0 counts events. Bounded by the model's tables, whose entries the items
/// follow: what those evict is counted under `other` here too.
struct WindowActivity: ~Copyable {
    /// An item of the process: a function, a device's operation, a kernel.
    struct Item {
        let table: Int
        private(set) var name: [UInt8]
        var values = SummaryValues()
        var sketch = QuantileSketch()
        /// The position of its name in the summary of the last window.
        var place = UInt32.max
        /// Whether it is about to be removed.
        fileprivate(set) var isGone = false

        /// Returns the bytes that its slot's budget is charged with. Takes a pointer, as `isUsed` does.
        static func stateBytes(_ item: UnsafePointer<Item>) -> Int {
            MemoryLayout<Item>.stride + StateCost.index + StateCost.sketch
                + StateCost.name(item.pointee.name.count)
                + StateCost.allocation
        }

        /// Compares table and name. Takes a pointer, as `isUsed` does.
        @inline(__always) static func isNamed(
            _ item: UnsafePointer<Item>,
            _ table: Int,
            _ name: ByteView
        ) -> Bool {
            guard item.pointee.table == table, item.pointee.name.count == name.count else {
                return false
            }
            return item.pointee.name.withUnsafeBytes { own in
                guard let own = own.baseAddress, let other = name.start else { return true }
                return memoryEquals(own, other, name.count)
            }
        }

        @inline(__always) mutating func prefetchSketch() {
            withUnsafePointer(to: &sketch) { QuantileSketch.prefetch($0) }
        }

        /// Prefetches the name's bytes, as `QuantileSketch.prefetch` does.
        @inline(__always) mutating func prefetchName() {
            withUnsafePointer(to: &name) {
                prefetch(UnsafeRawPointer($0).load(as: UnsafeRawPointer.self))
            }
        }

        /// Visits the item, then resets it.
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

        /// Returns whether the item was used in the window. Takes a pointer, because the compiler would copy the
        /// item.
        @inline(__always) static func isUsed(_ item: UnsafePointer<Item>) -> Bool {
            item.pointee.values != SummaryValues() || !item.pointee.sketch.isEmpty
        }
    }

    private(set) var firstTime = EpochNanoseconds.max
    private(set) var lastTime = EpochNanoseconds.min
    var process = SummaryValues()
    /// The items of the open window and of the one before.
    private var items = ActivityItems()
    /// The bytes that the slot's budget is charged with for the items.
    private(set) var stateBytes = 0
    private var index = IndexTable()

    init() {}

    var events: UInt64 { process[0] }
    var isEmpty: Bool { process[0] == 0 }

    @inline(__always) mutating func note(_ time: EpochNanoseconds) {
        process[0] += 1
        firstTime = min(firstTime, time)
        lastTime = max(lastTime, time)
    }

    /// Visits the items used in the window, then begins a new window. `place` is the item's position in the table
    /// that aggregates rows by name. Processes usually continue what they did before, so used items keep their places
    /// and memory.
    mutating func takeWindow(_ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void) {
        var unused = 0
        let itemsAhead = 8
        for position in 0..<items.count {
            if position + itemsAhead < items.count {
                items[position + itemsAhead].pointee.prefetchName()
                items[position + itemsAhead].pointee.prefetchSketch()
            }
            let item = items[position]
            guard Item.isUsed(item) else {
                unused += 1
                item.pointee.isGone = true
                continue
            }
            item.pointee.take(visit)
        }
        if unused > 0 { removeGone() }
        process = SummaryValues()
        firstTime = .max
        lastTime = .min
    }

    private mutating func removeGone() {
        var positions = RawArray<UInt32>(capacity: max(items.count, 1))
        var kept: UInt32 = 0
        for position in 0..<items.count {
            let item = UnsafePointer(items[position])
            if item.pointee.isGone {
                positions.append(.max)
                stateBytes -= Item.stateBytes(item)
            } else {
                positions.append(kept)
                kept += 1
            }
        }
        items.removeGone()
        index.move(to: positions)
    }

    // MARK: Items

    var itemCount: Int { items.count }

    /// Returns the position in `items` of the item of this name, which is cut.
    @inline(__always) mutating func item(_ table: Int, named name: ByteView) -> Int {
        let name = name.cut(at: Limits.summaryNameBytesMax)
        return known(table, name)
            ?? insert(Item(table: table, name: Array(name.buffer)), Self.hash(table, name))
    }

    /// Returns the position of an existing item, or nil.
    @inline(__always) func known(_ table: Int, _ name: ByteView) -> Int? {
        guard items.count > 0 else { return nil }
        let name = name.cut(at: Limits.summaryNameBytesMax)
        return index.find(Self.hash(table, name)) { Item.isNamed(items[$0], table, name) }
    }

    private mutating func insert(_ item: Item, _ hash: UInt64) -> Int {
        index.insert(hash, position: items.count)
        items.append(item)
        stateBytes += Item.stateBytes(items[items.count - 1])
        return items.count - 1
    }

    private static func hash(_ table: Int, _ name: ByteView) -> UInt64 {
        NameHash.of(name) &+ UInt64(table)
    }

    @inline(__always) mutating func add(_ amount: UInt64, to column: Int, ofItem position: Int) {
        items[position].pointee.values.add(amount, to: column)
    }

    @inline(__always) mutating func raise(_ column: Int, to value: UInt64, ofItem position: Int) {
        items[position].pointee.values.raise(column, to: value)
    }

    @inline(__always) mutating func lower(_ column: Int, to value: UInt64, ofItem position: Int) {
        items[position].pointee.values.lower(column, to: value)
    }

    @inline(__always) mutating func sample(_ value: UInt64, ofItem position: Int) {
        items[position].pointee.sketch.insert(value)
    }

    mutating func merge(_ sketch: UnsafePointer<QuantileSketch>, intoItem position: Int) {
        items[position].pointee.sketch.merge(sketch.pointee)
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        process.encode(into: &buffer)
        buffer.append(integer: firstTime)
        buffer.append(integer: lastTime)
        buffer.append(integer: UInt32(items.count))
        for position in 0..<items.count {
            let item = UnsafePointer(items[position])
            // An item that was used only in the previous window is encoded too, as it takes memory.
            let isUsed = Item.isUsed(item)
            buffer.append(byte: UInt8(item.pointee.table) | (isUsed ? 0 : Self.unusedMark))
            buffer.append(counted: item.pointee.name)
            guard isUsed else { continue }
            item.pointee.values.encode(into: &buffer)
            item.pointee.sketch.encode(into: &buffer)
        }
    }

    private static let unusedMark: UInt8 = 0x80

    init(decoding reader: inout StateReader) throws(TraceError) {
        let isFixed = reader.version <= StateVersion.beforeDialects
        process = try SummaryValues(decoding: &reader, isFixed: isFixed)
        if isFixed, isEmpty { return }
        firstTime = try reader.integer(Int64.self)
        lastTime = try reader.integer(Int64.self)
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let mark = try reader.integer(UInt8.self)
            let table = Int(mark & ~Self.unusedMark)
            let name = ByteView(try reader.counted())
            let position = insert(
                Item(table: table, name: Array(name.buffer)),
                Self.hash(table, name)
            )
            guard mark & Self.unusedMark == 0 else { continue }
            items[position].pointee.values = try SummaryValues(decoding: &reader, isFixed: isFixed)
            items[position].pointee.sketch = try QuantileSketch(decoding: &reader)
        }
    }
}
