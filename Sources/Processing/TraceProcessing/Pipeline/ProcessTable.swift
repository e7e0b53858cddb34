import SystemIO
import TraceFiles
import TraceModel

/// The processes a worker knows, by host and process id. Entries stay where they are in memory until
/// they are removed. Bounded by slot.
struct ProcessTable<Model: ProcessModel & ~Copyable>: ~Copyable {
    typealias Entry = UnsafeMutablePointer<ProcessEntry<Model>>

    private var places = RawArray<Entry>()
    private var bySlot = [[Entry]](repeating: [], count: Slot.count)
    private var index = IndexTable()
    private var last: Entry?
    /// Memory of processes that have gone, for those that come: each piece holds the address of the next one.
    private var spare: UnsafeMutableRawPointer?
    private var spareCount = 0
    private static var spareCountMin: Int { 64 }

    init() {}

    deinit {
        for entry in entries { free(entry) }
        var next = spare
        while let memory = next {
            next = memory.load(as: UnsafeMutableRawPointer?.self)
            memory.deallocate()
        }
    }

    private func free(_ entry: Entry) {
        entry.deinitialize(count: 1)
        UnsafeMutableRawPointer(entry).deallocate()
    }

    @inline(__always) private func hash(_ host: HostID, _ pid: UInt32) -> UInt64 {
        NameHash.mix(UInt64(host.index) << 32 | UInt64(pid) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Nil where the process is not known.
    @inline(__always) mutating func find(host: HostID, pid: UInt32) -> Entry? {
        // Events of one process come in runs.
        if let last, last.pointee.isProcess(host, pid) { return last }
        let entries = places.base
        guard
            let position = index.find(hash(host, pid), { entries[$0].pointee.isProcess(host, pid) })
        else {
            return nil
        }
        last = entries[position]
        return last
    }

    /// The process that is probably meant, for looking ahead: equal hashes are enough. Its memory is not touched.
    @inline(__always) func probable(host: HostID, pid: UInt32) -> Entry? {
        let position = index.probable(Int(truncatingIfNeeded: hash(host, pid)))
        return position < 0 ? nil : places[position]
    }

    /// Memory for a process, which the caller owns until it inserts that.
    mutating func takeMemory() -> UnsafeMutableRawPointer {
        guard let memory = spare else {
            return .allocate(
                byteCount: ProcessEntry<Model>.memoryBytes,
                alignment: ProcessEntry<Model>.memoryAlignment
            )
        }
        spare = memory.load(as: UnsafeMutableRawPointer?.self)
        spareCount -= 1
        return memory
    }

    /// Adds a process that `find` does not know, whose memory is the table's from here on.
    mutating func insert(_ place: Entry) {
        index.insert(hash(place.pointee.host, place.pointee.pid), position: places.count)
        place.pointee.position = places.count
        places.append(place)
        bySlot[Int(place.pointee.slot)].append(place)
        last = place
    }

    /// All processes, in no order that means anything; valid until the next one comes or goes.
    var entries: UnsafeMutableBufferPointer<Entry> { places.elements }

    /// A slot's processes, in the order in which they came.
    func entries(of slot: UInt8) -> [Entry] { bySlot[Int(slot)] }

    /// Removes processes of a slot, for which `isGone` is set. O(processes of the slot).
    mutating func remove(_ gone: [Entry], of slot: UInt8) {
        bySlot[Int(slot)].removeAll { $0.pointee.isGone }
        for position in gone.indices {
            prefetchRemoval(gone, position)
            remove(gone[position])
        }
        last = nil
    }

    /// Sends for what the removal of the next ones needs: their cells, and the processes that take their places.
    @inline(__always) private func prefetchRemoval(_ gone: [Entry], _ position: Int) {
        let ahead = 8
        guard position + ahead < gone.count, places.count > ahead else { return }
        let entry = gone[position + ahead]
        index.prefetchCell(hash(entry.pointee.host, entry.pointee.pid))
        prefetch(places[places.count - 1 - ahead])
        let mover = places[places.count - 1 - ahead / 2]
        index.prefetchCell(hash(mover.pointee.host, mover.pointee.pid))
    }

    private mutating func remove(_ entry: Entry) {
        let position = entry.pointee.position
        index.remove(hash(entry.pointee.host, entry.pointee.pid), position: position)
        let mover = places[places.count - 1]
        if mover != entry {
            index.move(
                hash(mover.pointee.host, mover.pointee.pid),
                from: places.count - 1,
                to: position
            )
            mover.pointee.position = position
            places[position] = mover
        }
        places.removeLast()
        guard spareCount < places.count + Self.spareCountMin else { return free(entry) }
        entry.deinitialize(count: 1)
        let memory = UnsafeMutableRawPointer(entry)
        memory.storeBytes(of: spare, as: UnsafeMutableRawPointer?.self)
        spare = memory
        spareCount += 1
    }
}
