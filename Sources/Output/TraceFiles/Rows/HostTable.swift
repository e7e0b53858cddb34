import SystemIO
import TraceModel

/// The index of a host in one manager's table. Valid until the host is evicted and the window has ended.
@usableFromInline package struct HostID: Hashable, Sendable {
    @usableFromInline package let index: UInt32

    init(index: UInt32) { self.index = index }
}

/// The hosts that a worker used most recently, with the forms of their names that rows contain. All run buffers of the
/// worker share it: they order rows of equal time and process id by the host's name.
///
/// A host beyond the limit evicts the least recently used ones, several at a time. Rows in the open window may still
/// refer to evicted hosts, so these keep their numbers until the window ends; a host that is used again before gets its
/// old number back. Evictions depend only on the order in which hosts were used, which a checkpoint contains (`saved`),
/// so a replay repeats them.
@safe
final class HostTable {
    /// An entry of the table.
    struct Host {
        /// Valid UTF-8, at most `Limits.hostBytesMax` bytes before the repair.
        let name: String
        let isThisMachine: Bool
        /// The name as a CSV field.
        let csv: [UInt8]
        /// The CSV field without its quotes: the sort key in tables.
        let cell: [UInt8]

        fileprivate static let none = Host(name: "", isThisMachine: false, csv: [], cell: [])
    }

    /// State of an entry.
    private enum State: UInt8 {
        case free
        /// In the list of used hosts.
        case used
        /// Evicted in the open window.
        case evicted
    }

    /// A host's links in the list of used hosts, ordered by last use.
    private struct Link {
        var state = State.free
        var older = HostTable.nobody
        var newer = HostTable.nobody
    }

    private static let nobody = UInt32.max

    /// Whether CSV fields are protected from being run as spreadsheet formulas.
    let guardsFormulas: Bool
    private let countMax: Int
    @exclusivity(unchecked) private var hosts: [Host] = []
    /// A copy of each host's CSV field at a stable address, from which rows are written.
    @exclusivity(unchecked) private var fields: [UnsafeMutableRawBufferPointer?] = unsafe []
    private var links: [Link] = []
    /// Keyed by the bytes of names: two strings with different bytes can be equal.
    private var indexes: [[UInt8]: UInt32] = [:]
    private var oldest = HostTable.nobody
    private var newest = HostTable.nobody
    /// The number of hosts in the list.
    private(set) var count = 0
    /// Hosts evicted in the open window, including those used again since.
    private var evicted: [UInt32] = []
    private var free: [UInt32] = []
    /// Whether hosts have been evicted since `acknowledgeEvictions`.
    private(set) var hasEvicted = false

    /// Creates an empty table that holds up to `countMax` hosts besides evicted ones.
    init(guardsFormulas: Bool, countMax: Int = Limits.hostsMax) {
        self.guardsFormulas = guardsFormulas
        self.countMax = countMax
    }

    deinit { for index in unsafe fields.indices { unsafe fields[index]?.deallocate() } }

    /// One more than the greatest number in use.
    var indexEnd: Int { unsafe hosts.count }

    subscript(host: HostID) -> Host { unsafe hosts[Int(host.index)] }

    /// The host's CSV field. Valid as long as its number.
    func field(_ host: HostID) -> ByteView {
        guard let field = unsafe fields[Int(host.index)] else { return .empty }
        return unsafe ByteView(UnsafeRawBufferPointer(field))
    }

    // MARK: Numbers

    /// Returns the host's number, and adds the host if it is unknown. `countsAsUse` moves a known host to the end of
    /// the list.
    func register(_ name: String, isThisMachine: Bool, countsAsUse: Bool = true) -> HostID {
        let key = Array(name.utf8)
        if let known = indexes[key] {
            markUsed(known, moves: countsAsUse)
            return HostID(index: known)
        }
        makeRoom()
        let index = add(name, isThisMachine)
        indexes[key] = index
        append(index)
        return HostID(index: index)
    }

    private func markUsed(_ index: UInt32, moves: Bool) {
        if links[Int(index)].state == .evicted {
            makeRoom()
            append(index)
        } else if moves, index != newest {
            unlink(index)
            append(index)
        }
    }

    private func add(_ name: String, _ isThisMachine: Bool) -> UInt32 {
        var field = RawBuffer(capacity: 64)
        var text = name
        text.withUTF8 {
            let name = unsafe ByteView(UnsafeRawBufferPointer($0))
            _ = field.appendCSVField(name, guardsFormulas: guardsFormulas)
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: field.count, alignment: 8)
        unsafe copy.copyMemory(from: field.bytes)
        let host = unsafe Host(
            name: name,
            isThisMachine: isThisMachine,
            csv: Array(field.bytes),
            cell: RunRow.unquoted(field.bytes)
        )
        if let index = free.popLast() {
            unsafe hosts[Int(index)] = host
            unsafe fields[Int(index)] = unsafe copy
            return index
        }
        unsafe hosts.append(host)
        unsafe fields.append(copy)
        links.append(Link())
        return unsafe UInt32(hosts.count - 1)
    }

    // MARK: Eviction

    /// Whether the host was evicted and has not been used since.
    func isEvicted(_ host: HostID) -> Bool { links[Int(host.index)].state == .evicted }

    /// Resets `hasEvicted`, once the caller has dropped what it kept of evicted hosts.
    func acknowledgeEvictions() { hasEvicted = false }

    /// Evicts several hosts at once, because the caller searches everything it keeps after an eviction.
    private func makeRoom() {
        guard count >= countMax else { return }
        for _ in 0..<max(1, countMax / Limits.hostsGivenUpDivisor) where oldest != Self.nobody {
            let index = oldest
            unlink(index)
            links[Int(index)].state = .evicted
            evicted.append(index)
        }
        hasEvicted = true
    }

    /// Frees the numbers of evicted hosts, which no row refers to any more, and returns them.
    func windowEnded() -> [HostID] {
        let ended = free.count
        // A host that was evicted twice is listed twice.
        for index in evicted where links[Int(index)].state == .evicted {
            unsafe indexes[Array(hosts[Int(index)].name.utf8)] = nil
            unsafe hosts[Int(index)] = .none
            unsafe fields[Int(index)]?.deallocate()
            unsafe fields[Int(index)] = nil
            links[Int(index)].state = .free
            free.append(index)
        }
        evicted = []
        return free[ended...].map { HostID(index: $0) }
    }

    private func append(_ index: UInt32) {
        links[Int(index)] = Link(state: .used, older: newest, newer: Self.nobody)
        if newest == Self.nobody { oldest = index } else { links[Int(newest)].newer = index }
        newest = index
        count += 1
    }

    private func unlink(_ index: UInt32) {
        let link = links[Int(index)]
        if link.older == Self.nobody {
            oldest = link.newer
        } else {
            links[Int(link.older)].newer = link.newer
        }
        if link.newer == Self.nobody {
            newest = link.older
        } else {
            links[Int(link.newer)].older = link.older
        }
        count -= 1
    }

    // MARK: Order

    /// Whether `left` sorts before `right`, bytewise, as mergers compare the text: by the cell in tables, by the name
    /// elsewhere.
    func precedes(_ left: UInt32, _ right: UInt32, inTable: Bool) -> Bool {
        guard left != right else { return false }
        let (left, right) = unsafe (hosts[Int(left)], hosts[Int(right)])
        return inTable
            ? left.cell.lexicographicallyPrecedes(right.cell)
            : left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }

    // MARK: State

    /// All hosts that have numbers, as a checkpoint stores them: first the evicted ones, then the others by last use.
    var saved: [HostID] {
        var saved: [HostID] = []
        var isSaved = unsafe [Bool](repeating: false, count: hosts.count)
        for index in evicted where links[Int(index)].state == .evicted && !isSaved[Int(index)] {
            isSaved[Int(index)] = true
            saved.append(HostID(index: index))
        }
        var index = oldest
        while index != Self.nobody {
            saved.append(HostID(index: index))
            index = links[Int(index)].newer
        }
        return saved
    }

    /// Adds one host of `saved` to the table, in that order. Numbers are positions in `saved`.
    func restore(_ name: String, isThisMachine: Bool, isEvicted: Bool) {
        let index = add(name, isThisMachine)
        indexes[Array(name.utf8)] = index
        append(index)
        guard isEvicted else { return }
        unlink(index)
        links[Int(index)].state = .evicted
        evicted.append(index)
    }
}
