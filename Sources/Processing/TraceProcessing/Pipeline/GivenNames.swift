import SystemIO
import TraceFiles
import TraceModel

/// The names that agents give a process and its threads beside events. The last name wins. Bounded: beyond
/// `Limits.threadNamesBytesPerProcessMax`, further threads get no name.
struct GivenNames: ~Copyable {
    private var process = OwnedName(.empty)
    private var threads: [UInt32: [UInt8]] = [:]
    private var threadBytes = 0
    /// Where viewers sort the process; 0 if it is not specified.
    private(set) var sortIndex: Int32 = 0

    init() {}

    /// The process's name, cut; valid until another one is given.
    var processText: EventText { EventText(process.view, isPlain: process.isPlain) }

    /// Returns the part of a name that is kept.
    static func kept(_ name: ByteView) -> ByteView {
        RawBuffer.shown(name, bytesMax: Limits.shownNameBytesMax)
    }

    /// Sets the process's name. Returns whether it changed.
    mutating func name(process name: ByteView, sortIndex: Int32) -> Bool {
        if sortIndex != 0 { self.sortIndex = sortIndex }
        let name = Self.kept(name)
        guard !name.isEmpty, !process.equals(name) else { return false }
        process = OwnedName(name)
        return true
    }

    mutating func name(thread tid: UInt32, _ name: ByteView) {
        if name.isEmpty { return }
        let name = Self.kept(name)
        let bytes =
            threadBytes + Self.bytes(of: name.count)
            - (threads[tid].map { Self.bytes(of: $0.count) } ?? 0)
        guard bytes <= Limits.threadNamesBytesPerProcessMax else { return }
        threadBytes = bytes
        threads[tid] = Array(name.buffer)
    }

    /// Returns the bytes charged for a thread's name and its entry in the table.
    private static func bytes(of count: Int) -> Int {
        StateCost.name(count) + StateCost.index + StateCost.allocation
    }

    @inline(__always) var stateBytes: Int { threadBytes &+ process.view.count }

    /// Calls `body` with the thread's name, or with an empty view if it has none.
    borrowing func withName(ofThread tid: UInt32, _ body: (ByteView) -> Void) {
        guard !threads.isEmpty, let name = threads[tid] else { return body(.empty) }
        name.withUnsafeBytes { body(ByteView($0)) }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        process.encode(into: &buffer)
        buffer.append(integer: sortIndex)
        buffer.append(integer: UInt32(threads.count))
        for (tid, name) in threads.sorted(by: { $0.key < $1.key }) {
            buffer.append(integer: tid)
            buffer.append(counted: name)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        process = try OwnedName(decoding: &reader)
        sortIndex = try reader.integer(Int32.self)
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let tid = try reader.integer(UInt32.self)
            let name = Array(try reader.counted())
            threadBytes += Self.bytes(of: name.count)
            threads[tid] = name
        }
    }
}
