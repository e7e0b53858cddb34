import SystemIO
import TraceModel

/// A host, by its place in one manager's table: until the host is given up and the window has ended.
@usableFromInline package struct HostID: Hashable, Sendable {
    @usableFromInline package let index: UInt32

    init(index: UInt32) { self.index = index }
}

/// The hosts a worker has heard of lately, with what their names become in rows. Shared by all its run buffers,
/// which order rows of equal time and process id by the host's name.
///
/// Where there are too many, those not heard of for longest give way, some at a time. What they left in the open window may
/// still refer to them, so they keep their numbers until it ends; one that is heard of again before has it back. Which
/// ones give way depends on the order in which hosts were heard of alone, and a checkpoint holds that (`saved`).
final class HostTable {
    struct Host {
        /// Valid UTF-8, at most `Limits.hostBytesMax` bytes before repair.
        let name: String
        let isThisMachine: Bool
        /// The name as a CSV field.
        let csv: [UInt8]
        /// That field without its quotes: what tables are ordered by.
        let cell: [UInt8]

        fileprivate static let none = Host(name: "", isThisMachine: false, csv: [], cell: [])
    }

    private enum State: UInt8 {
        case free
        /// In the list of those heard of.
        case heard
        /// Given up in the open window.
        case leaving
    }

    /// A host's place in the list of those heard of, which is ordered by when that was.
    private struct Place {
        var state = State.free
        var older = HostTable.nobody
        var newer = HostTable.nobody
    }

    private static let nobody = UInt32.max

    /// Whether fields of text are kept from being run as formulas.
    let guardsFormulas: Bool
    private let countMax: Int
    @exclusivity(unchecked) private var hosts: [Host] = []
    /// Each host's CSV field once more, where rows copy it from.
    @exclusivity(unchecked) private var fields: [UnsafeMutableRawBufferPointer?] = []
    private var places: [Place] = []
    /// By the names' bytes: as text, names that are written differently can be equal.
    private var indexes: [[UInt8]: UInt32] = [:]
    private var oldest = HostTable.nobody
    private var newest = HostTable.nobody
    /// Those heard of.
    private(set) var count = 0
    /// Those given up in the open window, and of these, any that were heard of again.
    private var leaving: [UInt32] = []
    private var free: [UInt32] = []
    /// Whether hosts have been given up since `noteGivenUp`.
    private(set) var hasGivenUp = false

    /// `countMax`: hosts heard of that are remembered.
    init(guardsFormulas: Bool, countMax: Int = Limits.hostsMax) {
        self.guardsFormulas = guardsFormulas
        self.countMax = countMax
    }

    deinit { for field in fields { field?.deallocate() } }

    /// One more than the greatest number in use.
    var indexEnd: Int { hosts.count }

    subscript(host: HostID) -> Host { hosts[Int(host.index)] }

    /// The host's CSV field; valid as long as its number.
    func field(_ host: HostID) -> ByteView {
        guard let field = fields[Int(host.index)] else { return .empty }
        return ByteView(UnsafeRawBufferPointer(field))
    }

    // MARK: Numbers

    /// The host's number. It has been heard of now where `isHeard`, or where it is new.
    func register(_ name: String, isThisMachine: Bool, isHeard: Bool = true) -> HostID {
        let key = Array(name.utf8)
        if let known = indexes[key] {
            hear(known, again: isHeard)
            return HostID(index: known)
        }
        makeRoom()
        let index = add(name, isThisMachine)
        indexes[key] = index
        append(index)
        return HostID(index: index)
    }

    private func hear(_ index: UInt32, again: Bool) {
        if places[Int(index)].state == .leaving {
            makeRoom()
            append(index)
        } else if again, index != newest {
            unlink(index)
            append(index)
        }
    }

    private func add(_ name: String, _ isThisMachine: Bool) -> UInt32 {
        var field = RawBuffer(capacity: 64)
        var text = name
        text.withUTF8 {
            let name = ByteView(UnsafeRawBufferPointer($0))
            _ = field.appendCSVField(name, guardsFormulas: guardsFormulas)
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: field.count, alignment: 8)
        copy.copyMemory(from: field.bytes)
        let host = Host(
            name: name, isThisMachine: isThisMachine, csv: Array(field.bytes), cell: RunRow.unquoted(field.bytes))
        if let index = free.popLast() {
            hosts[Int(index)] = host
            fields[Int(index)] = copy
            return index
        }
        hosts.append(host)
        fields.append(copy)
        places.append(Place())
        return UInt32(hosts.count - 1)
    }

    // MARK: Giving up

    /// Whether the host was given up and has not been heard of again.
    func isGivenUp(_ host: HostID) -> Bool { places[Int(host.index)].state == .leaving }

    /// Who keeps anything of hosts has forgotten those that were given up.
    func noteGivenUp() { hasGivenUp = false }

    /// Some at a time, as whoever keeps something of them has to look it all through.
    private func makeRoom() {
        guard count >= countMax else { return }
        for _ in 0..<max(1, countMax / Limits.hostsGivenUpDivisor) where oldest != Self.nobody {
            let index = oldest
            unlink(index)
            places[Int(index)].state = .leaving
            leaving.append(index)
        }
        hasGivenUp = true
    }

    /// Nothing refers any more to hosts that were given up: their numbers are others' from here on. Returns them.
    func windowEnded() -> [HostID] {
        let ended = free.count
        // One that left twice stands there twice.
        for index in leaving where places[Int(index)].state == .leaving {
            indexes[Array(hosts[Int(index)].name.utf8)] = nil
            hosts[Int(index)] = .none
            fields[Int(index)]?.deallocate()
            fields[Int(index)] = nil
            places[Int(index)].state = .free
            free.append(index)
        }
        leaving = []
        return free[ended...].map { HostID(index: $0) }
    }

    private func append(_ index: UInt32) {
        places[Int(index)] = Place(state: .heard, older: newest, newer: Self.nobody)
        if newest == Self.nobody { oldest = index } else { places[Int(newest)].newer = index }
        newest = index
        count += 1
    }

    private func unlink(_ index: UInt32) {
        let place = places[Int(index)]
        if place.older == Self.nobody { oldest = place.newer } else { places[Int(place.older)].newer = place.newer }
        if place.newer == Self.nobody { newest = place.older } else { places[Int(place.newer)].older = place.older }
        count -= 1
    }

    // MARK: Order

    /// Whether `left` comes first, bytewise as mergers compare the text: in a table by its cell, elsewhere
    /// by its name.
    func precedes(_ left: UInt32, _ right: UInt32, inTable: Bool) -> Bool {
        guard left != right else { return false }
        let (left, right) = (hosts[Int(left)], hosts[Int(right)])
        return inTable
            ? left.cell.lexicographicallyPrecedes(right.cell)
            : left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }

    // MARK: State

    /// All that have numbers, as a checkpoint holds them: those given up, then those heard of, the latest last.
    var saved: [HostID] {
        var saved: [HostID] = []
        var isSaved = [Bool](repeating: false, count: hosts.count)
        for index in leaving where places[Int(index)].state == .leaving && !isSaved[Int(index)] {
            isSaved[Int(index)] = true
            saved.append(HostID(index: index))
        }
        var index = oldest
        while index != Self.nobody {
            saved.append(HostID(index: index))
            index = places[Int(index)].newer
        }
        return saved
    }

    /// Takes in what was `saved`, in that order, into an empty table: numbers are positions there.
    func restore(_ name: String, isThisMachine: Bool, isGivenUp: Bool) {
        let index = add(name, isThisMachine)
        indexes[Array(name.utf8)] = index
        append(index)
        guard isGivenUp else { return }
        unlink(index)
        places[Int(index)].state = .leaving
        leaving.append(index)
    }
}
