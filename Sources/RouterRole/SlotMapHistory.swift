import TraceModel

/// Which slot map was in force at which part of the log, for as much of the log as may be read again.
struct SlotMapHistory {
    /// Ascending by LSN; the first holds from the log's begin.
    private var maps: [(from: LSN, map: SlotMap)]

    init(_ map: SlotMap, from lsn: LSN) { maps = [(lsn, map)] }

    /// A barrier whose record ends at `lsn` brought a map.
    mutating func append(_ map: SlotMap, from lsn: LSN) {
        precondition(maps.last.map { $0.from <= lsn } ?? true)
        if maps.last?.map != map { maps.append((lsn, map)) }
    }

    /// The map for a record that begins at `lsn`.
    func map(at lsn: LSN) -> SlotMap {
        (maps.last { $0.from <= lsn } ?? maps[0]).map
    }

    var current: SlotMap { maps[maps.count - 1].map }

    /// From where on a worker has owned slots, nil where it never has.
    func firstOwned(by worker: WorkerName) -> LSN? {
        maps.first { !$0.map.slots(of: worker).isEmpty }?.from
    }

    /// Forgets maps that only trimmed records needed.
    mutating func trim(below lsn: LSN) {
        while maps.count >= 2, maps[1].from <= lsn { maps.removeFirst() }
    }
}
