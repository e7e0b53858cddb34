import TraceFiles
import TraceModel

/// The processes a worker knows, by host and process id. Entries stay where they are in memory until
/// they are removed. Bounded by slot.
struct ProcessTable<Model: ProcessModel & ~Copyable>: ~Copyable {
    typealias Entry = UnsafeMutablePointer<ProcessEntry<Model>>

    private(set) var entries: [Entry] = []
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
        if let last, last.pointee.pid == pid, last.pointee.host == host { return last }
        let entries = entries
        guard
            let position = index.find(
                hash(host, pid),
                { entries[$0].pointee.pid == pid && entries[$0].pointee.host == host }
            )
        else { return nil }
        last = entries[position]
        return entries[position]
    }

    /// Adds a process that `find` does not know.
    mutating func insert(_ entry: consuming ProcessEntry<Model>) -> Entry {
        let place = Entry.allocate(capacity: 1)
        index.insert(hash(entry.host, entry.pid), position: entries.count)
        place.initialize(to: entry)
        entries.append(place)
        last = place
        return place
    }

    /// Removes the processes for which it holds. O(all).
    mutating func remove(where isGone: (Entry) -> Bool) {
        var kept: [Entry] = []
        var index = IndexTable(capacity: entries.count)
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
        entries = kept
        self.index = index
        last = nil
    }

    private func free(_ entry: Entry) {
        entry.deinitialize(count: 1)
        entry.deallocate()
    }
}
