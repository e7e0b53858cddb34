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
        let name: [UInt8]
        var values = SummaryValues()
        var sketch = QuantileSketch()
    }

    private(set) var firstTime = EpochNanoseconds.max
    private(set) var lastTime = EpochNanoseconds.min
    var process = SummaryValues()
    private(set) var items: [Item] = []
    private var index = IndexTable(capacity: 0)
    /// By the caller's own numbers of items: position in `items` + 1, 0 for none.
    private var numbered: [UInt32] = []

    init() {}

    var events: UInt64 { process[0] }
    var isEmpty: Bool { process[0] == 0 }

    @inline(__always)
    mutating func note(_ time: EpochNanoseconds) {
        process[0] += 1
        firstTime = min(firstTime, time)
        lastTime = max(lastTime, time)
    }

    // MARK: Items

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
        return items.withUnsafeBufferPointer { items in
            index.find(Self.hash(table, name)) {
                items[$0].table == table && items[$0].name.elementsEqual(name.buffer)
            }
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
        items[position].values.add(amount, to: column)
    }

    @inline(__always)
    mutating func raise(_ column: Int, to value: UInt64, ofItem position: Int) {
        items[position].values.raise(column, to: value)
    }

    @inline(__always)
    mutating func sample(_ value: UInt64, ofItem position: Int) {
        items[position].sketch.insert(value)
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        process.encode(into: &buffer)
        if isEmpty { return }
        buffer.append(integer: firstTime)
        buffer.append(integer: lastTime)
        buffer.append(integer: UInt32(items.count))
        for item in items {
            buffer.append(byte: UInt8(item.table))
            buffer.append(counted: item.name)
            item.values.encode(into: &buffer)
            item.sketch.encode(into: &buffer)
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
            items[position].values = try SummaryValues(decoding: &reader)
            items[position].sketch = try QuantileSketch(decoding: &reader)
        }
    }
}
