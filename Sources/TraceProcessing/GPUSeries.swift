import SystemIO
import TraceModel

/// One kernel's launches, or the rate of one kind of transfer, of one process.
struct GPUSeries: NamedEntry, ~Copyable {
    private let ownedName: OwnedName
    private(set) var total = CounterTotal()
    /// The newest value as sent, and when.
    private(set) var last: UInt64 = 0
    private var lastTime = EpochNanoseconds.min
    var isDirty = false

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    @inline(__always)
    mutating func record(_ value: UInt64, at time: EpochNanoseconds) {
        isDirty = true
        total.add(value)
        guard time >= lastTime else { return }
        last = value
        lastTime = time
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: total.value)
        buffer.append(integer: last)
        buffer.append(integer: lastTime)
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let total = CounterTotal(try reader.integer(UInt64.self))
        let last = try reader.integer(UInt64.self)
        let lastTime = try reader.integer(Int64.self)
        ownedName = try OwnedName(decoding: &reader)
        self.total = total
        self.last = last
        self.lastTime = lastTime
    }
}
