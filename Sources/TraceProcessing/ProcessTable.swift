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

    init() {}

    deinit {
        for entry in entries { free(entry) }
    }

    @inline(__always)
    private func hash(_ host: HostID, _ pid: UInt32) -> UInt64 {
        NameHash.mix(UInt64(host.index) << 32 | UInt64(pid) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// Nil where the process is not known.
    @inline(__always)
    mutating func find(host: HostID, pid: UInt32) -> Entry? {
        // Events of one process come in runs.
        if let last, last.pointee.isProcess(host, pid) { return last }
        let entries = places.base
        guard
            let position = index.find(
                hash(host, pid),
                { entries[$0].pointee.isProcess(host, pid) }
            )
        else { return nil }
        last = entries[position]
        return last
    }

    /// The process that is probably meant, for looking ahead: equal hashes are enough. Its memory is not touched.
    @inline(__always)
    func probable(host: HostID, pid: UInt32) -> Entry? {
        let position = index.probable(Int(truncatingIfNeeded: hash(host, pid)))
        return position < 0 ? nil : places[position]
    }

    /// Adds a process that `find` does not know.
    mutating func insert(_ entry: consuming ProcessEntry<Model>) -> Entry {
        let place = Entry.allocate(capacity: 1)
        index.insert(hash(entry.host, entry.pid), position: places.count)
        place.initialize(to: entry)
        places.append(place)
        bySlot[Int(place.pointee.slot)].append(place)
        last = place
        return place
    }

    /// All processes, in the order in which they came; valid until the next one comes or goes.
    var entries: UnsafeMutableBufferPointer<Entry> { places.elements }

    /// A slot's processes, in the order in which they came.
    func entries(of slot: UInt8) -> [Entry] { bySlot[Int(slot)] }

    /// Removes the processes for which it holds. O(all).
    mutating func remove(where isGone: (Entry) -> Bool) {
        var kept = RawArray<Entry>(capacity: max(64, places.count))
        var index = IndexTable(capacity: entries.count)
        for slot in bySlot.indices { bySlot[slot].removeAll(where: isGone) }
        for entry in entries {
            if isGone(entry) {
                free(entry)
            } else {
                index.insert(
                    hash(entry.pointee.host, entry.pointee.pid),
                    position: kept.count
                )
                kept.append(entry)
            }
        }
        places = kept
        self.index = index
        last = nil
    }

    private func free(_ entry: Entry) {
        entry.deinitialize(count: 1)
        entry.deallocate()
    }
}
