import SystemIO
import TraceFiles
import TraceModel

/// The processes that a worker knows, by host and process id. Entries keep their address until they are removed.
/// Bounded by slot.
@safe
struct ProcessTable<Model: ProcessModel & ~Copyable>: ~Copyable {
    typealias Entry = UnsafeMutablePointer<ProcessEntry<Model>>

    private var places = unsafe RawArray<Entry>()
    private var bySlot = unsafe [[Entry]](repeating: [], count: Slot.count)
    private var index = IndexTable()
    private var last: Entry?
    /// Free list of the memory of removed processes: each piece holds the address of the next one.
    private var spare: UnsafeMutableRawPointer?
    private var spareCount = 0
    private static var spareCountMin: Int { 64 }

    init() {}

    deinit {
        for unsafeentry in unsafe entries { unsafe free(entry) }
        var next = unsafe spare
        while let memory = unsafe next {
            unsafe next = unsafe memory.load(as: UnsafeMutableRawPointer?.self)
            unsafe memory.deallocate()
        }
    }

    private func free(_ entry: Entry) {
        unsafe entry.deinitialize(count: 1)
        unsafe UnsafeMutableRawPointer(entry).deallocate()
    }

    @inline(__always) private func hash(_ host: HostID, _ pid: UInt32) -> UInt64 {
        NameHash.mix(UInt64(host.index) << 32 | UInt64(pid) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Returns the process, or nil if it is not known.
    @inline(__always) mutating func find(host: HostID, pid: UInt32) -> Entry? {
        // Events of one process come in runs.
        if let last = unsafe last, unsafe last.pointee.isProcess(host, pid) { return unsafe last }
        let entries = unsafe places.base
        guard
            let position = index.find(
                hash(host, pid),
                { unsafe entries[$0].pointee.isProcess(host, pid) }
            )
        else {
            return nil
        }
        unsafe last = unsafe entries[position]
        return unsafe last
    }

    /// Returns the process that probably has this key, for prefetching: only hashes are compared, and its memory is
    /// not touched.
    @inline(__always) func probable(host: HostID, pid: UInt32) -> Entry? {
        let position = index.probable(Int(truncatingIfNeeded: hash(host, pid)))
        return unsafe position < 0 ? nil : places[position]
    }

    /// Returns memory for a process. The caller owns it until it calls `insert`.
    mutating func takeMemory() -> UnsafeMutableRawPointer {
        guard let memory = unsafe spare else {
            return .allocate(
                byteCount: ProcessEntry<Model>.memoryBytes,
                alignment: ProcessEntry<Model>.memoryAlignment
            )
        }
        unsafe spare = unsafe memory.load(as: UnsafeMutableRawPointer?.self)
        spareCount -= 1
        return unsafe memory
    }

    /// Adds a process that `find` does not return; the table now owns its memory.
    mutating func insert(_ place: Entry) {
        unsafe index.insert(hash(place.pointee.host, place.pointee.pid), position: places.count)
        unsafe place.pointee.position = unsafe places.count
        unsafe places.append(place)
        unsafe bySlot[Int(place.pointee.slot)].append(place)
        unsafe last = unsafe place
    }

    /// All processes in unspecified order; valid until the next insertion or removal.
    var entries: UnsafeMutableBufferPointer<Entry> { unsafe places.elements }

    /// Returns a slot's processes in insertion order.
    func entries(of slot: UInt8) -> [Entry] { unsafe bySlot[Int(slot)] }

    /// Removes processes of a slot whose `isGone` is set. O(processes of the slot).
    mutating func remove(_ gone: [Entry], of slot: UInt8) {
        unsafe bySlot[Int(slot)].removeAll { unsafe $0.pointee.isGone }
        for position in unsafe gone.indices {
            unsafe prefetchRemoval(gone, position)
            unsafe remove(gone[position])
        }
        unsafe last = nil
    }

    /// Prefetches what the next removals need: their cells, and the processes that take their positions.
    @inline(__always) private func prefetchRemoval(_ gone: [Entry], _ position: Int) {
        let ahead = 8
        guard unsafe position + ahead < gone.count, unsafe places.count > ahead else { return }
        let entry = unsafe gone[position + ahead]
        unsafe index.prefetchCell(hash(entry.pointee.host, entry.pointee.pid))
        unsafe prefetch(places[places.count - 1 - ahead])
        let mover = unsafe places[places.count - 1 - ahead / 2]
        unsafe index.prefetchCell(hash(mover.pointee.host, mover.pointee.pid))
    }

    private mutating func remove(_ entry: Entry) {
        let position = unsafe entry.pointee.position
        unsafe index.remove(hash(entry.pointee.host, entry.pointee.pid), position: position)
        let mover = unsafe places[places.count - 1]
        if unsafe mover != entry {
            unsafe index.move(
                hash(mover.pointee.host, mover.pointee.pid),
                from: places.count - 1,
                to: position
            )
            unsafe mover.pointee.position = position
            unsafe places[position] = unsafe mover
        }
        unsafe places.removeLast()
        guard unsafe spareCount < places.count + Self.spareCountMin else {
            return unsafe free(entry)
        }
        unsafe entry.deinitialize(count: 1)
        let memory = UnsafeMutableRawPointer(entry)
        unsafe memory.storeBytes(of: spare, as: UnsafeMutableRawPointer?.self)
        unsafe spare = unsafe memory
        spareCount += 1
    }
}
