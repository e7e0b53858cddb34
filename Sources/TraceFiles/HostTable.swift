import SystemIO
import TraceModel

/// The hosts a worker has seen, with what their names become in rows. Shared by all its run buffers,
/// which order rows of equal time and process id by the host's name.
final class HostTable {
    struct Host {
        /// Valid UTF-8, at most `Limits.hostBytesMax` bytes before repair.
        let name: String
        let isThisMachine: Bool
        /// The name as a CSV field.
        let csv: [UInt8]
        /// That field without its quotes: what tables are ordered by.
        let cell: [UInt8]
    }

    /// Whether fields of text are kept from being run as formulas.
    let guardsFormulas: Bool
    @exclusivity(unchecked) private(set) var hosts: [Host] = []
    /// Each host's CSV field once more, where rows copy it from; never freed before the table.
    @exclusivity(unchecked) private var fields: [UnsafeMutableRawBufferPointer] = []
    /// By the names' bytes: as text, names that are written differently can be equal.
    private var indexes: [[UInt8]: UInt16] = [:]

    init(guardsFormulas: Bool) { self.guardsFormulas = guardsFormulas }

    deinit {
        for field in fields { field.deallocate() }
    }

    /// The host's CSV field; valid as long as the table lives.
    func field(_ host: HostID) -> ByteView {
        ByteView(UnsafeRawBufferPointer(fields[Int(host.index)]))
    }

    /// The host's number, the same for the same name. Throws `exhausted` beyond `Limits.hostsMax`.
    func register(_ name: String, isThisMachine: Bool) throws(TraceError) -> HostID {
        let key = Array(name.utf8)
        if let known = indexes[key] { return HostID(index: known) }
        guard hosts.count < Limits.hostsMax else {
            throw TraceError(.exhausted, "more than \(Limits.hostsMax) hosts have sent events")
        }
        var field = RawBuffer(capacity: 64)
        var text = name
        text.withUTF8 {
            let name = ByteView(UnsafeRawBufferPointer($0))
            _ = field.appendCSVField(name, guardsFormulas: guardsFormulas)
        }
        let index = UInt16(hosts.count)
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: field.count, alignment: 8)
        copy.copyMemory(from: field.bytes)
        fields.append(copy)
        hosts.append(
            Host(
                name: name,
                isThisMachine: isThisMachine,
                csv: Array(field.bytes),
                cell: RunRow.unquoted(field.bytes)
            )
        )
        indexes[key] = index
        return HostID(index: index)
    }

    subscript(host: HostID) -> Host { hosts[Int(host.index)] }

    /// Whether `left` comes first, bytewise as mergers compare the text: in a table by its cell, elsewhere
    /// by its name.
    func precedes(_ left: UInt16, _ right: UInt16, inTable: Bool) -> Bool {
        guard left != right else { return false }
        let (left, right) = (hosts[Int(left)], hosts[Int(right)])
        return inTable
            ? left.cell.lexicographicallyPrecedes(right.cell)
            : left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }
}
