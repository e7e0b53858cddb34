import SystemIO
import TraceFiles
import TraceModel

/// The processes that a worker knows, by host and process id. Entries keep their address until they are removed.
/// Bounded by slot.
struct ProcessTable<Model: ProcessModel & ~Copyable>: ~Copyable {
    typealias Entry = UnsafeMutablePointer<ProcessEntry<Model>>

    private var places = RawArray<Entry>()
    private var bySlot = [[Entry]](repeating: [], count: Slot.count)
    private var index = IndexTable()
    private var last: Entry?
    /// The memory of removed processes, for those that come. If models reuse memory, it begins with a new model that
    /// has it.
    private var spare = RawArray<UnsafeMutableRawPointer>(capacity: 0)
    private static var spareCountMin: Int { 64 }

    init() {}

    deinit {
        for entry in entries { free(entry) }
        for memory in spare.elements {
            if Model.reusesMemory { Self.model(in: memory).deinitialize(count: 1) }
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

    /// Returns the process, or nil if it is not known.
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

    /// Returns the process that probably has this key, for prefetching: only hashes are compared, and its memory is
    /// not touched.
    @inline(__always) func probable(host: HostID, pid: UInt32) -> Entry? {
        let position = index.probable(Int(truncatingIfNeeded: hash(host, pid)))
        return position < 0 ? nil : places[position]
    }

    /// Whether so many processes are known that few of them are in the cache.
    @inline(__always) var isLarge: Bool { places.count > 4_096 }

    /// Prefetches the cell that `probable` reads for this key.
    @inline(__always) func prefetchCell(host: HostID, pid: UInt32) {
        index.prefetchCell(hash(host, pid))
    }

    private static func model(in memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Model> {
        memory.assumingMemoryBound(to: Model.self)
    }

    /// Returns memory for a process. The caller owns it until it calls `insert`. `model`, which is a new one, may be
    /// replaced by one that has memory already.
    mutating func takeMemory(for model: inout Model) -> UnsafeMutableRawPointer {
        guard spare.count > 0 else {
            return .allocate(
                byteCount: ProcessEntry<Model>.memoryBytes,
                alignment: ProcessEntry<Model>.memoryAlignment
            )
        }
        let memory = spare[spare.count - 1]
        spare.removeLast()
        if Model.reusesMemory { model = Self.model(in: memory).move() }
        // New processes often come in turn.
        if spare.count > 0 {
            prefetch(spare[spare.count - 1], byteCount: ProcessEntry<Model>.memoryBytes)
        }
        return memory
    }

    /// Adds a process that `find` does not return; the table now owns its memory.
    mutating func insert(_ place: Entry) {
        index.insert(hash(place.pointee.host, place.pointee.pid), position: places.count)
        place.pointee.position = places.count
        places.append(place)
        bySlot[Int(place.pointee.slot)].append(place)
        last = place
    }

    /// All processes in unspecified order; valid until the next insertion or removal.
    var entries: UnsafeMutableBufferPointer<Entry> { places.elements }

    /// Returns a slot's processes in insertion order.
    func entries(of slot: UInt8) -> [Entry] { bySlot[Int(slot)] }

    /// Prefetches what sweeps and summaries read of a process that is visited soon. The position may be out of range.
    @inline(__always) static func prefetchEntry(
        of entries: some RandomAccessCollection<Entry>,
        _ place: Int,
        isWhole: Bool = true
    ) {
        guard place < entries.count else { return }
        let entry = entries[entries.index(entries.startIndex, offsetBy: place)]
        prefetch(entry, byteCount: isWhole ? ProcessEntry<Model>.memoryBytes : 1)
    }

    /// Removes processes of a slot whose `isGone` is set. O(processes of the slot).
    mutating func remove(_ gone: [Entry], of slot: UInt8) {
        bySlot[Int(slot)].removeAll { $0.pointee.isGone }
        for position in gone.indices {
            prefetchRemoval(gone, position)
            remove(gone[position])
        }
        last = nil
    }

    /// Prefetches what the next removals need: their cells, and the processes that take their positions.
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
        guard spare.count < places.count + Self.spareCountMin else { return free(entry) }
        let memory = UnsafeMutableRawPointer(entry)
        if Model.reusesMemory {
            var model = Model()
            model.takeMemory(of: &entry.pointee.model)
            entry.deinitialize(count: 1)
            Self.model(in: memory).initialize(to: model)
        } else {
            entry.deinitialize(count: 1)
        }
        spare.append(memory)
    }
}
