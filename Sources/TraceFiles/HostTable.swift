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
    }

    private(set) var hosts: [Host] = []
    private var indexes: [String: UInt16] = [:]

    /// The host's number, the same for the same name. Throws `exhausted` beyond `Limits.hostsMax`.
    func register(_ name: String, isThisMachine: Bool) throws(TraceError) -> HostID {
        if let known = indexes[name] { return HostID(index: known) }
        guard hosts.count < Limits.hostsMax else {
            throw TraceError(.exhausted, "more than \(Limits.hostsMax) hosts have sent events")
        }
        var field = RawBuffer(capacity: 64)
        var copy = name
        copy.withUTF8 { _ = field.appendCSVField(ByteView(UnsafeRawBufferPointer($0))) }
        let index = UInt16(hosts.count)
        hosts.append(Host(name: name, isThisMachine: isThisMachine, csv: Array(field.bytes)))
        indexes[name] = index
        return HostID(index: index)
    }

    subscript(host: HostID) -> Host { hosts[Int(host.index)] }

    /// Whether `left`'s name comes first, bytewise as mergers compare the text.
    func precedes(_ left: UInt16, _ right: UInt16) -> Bool {
        left != right
            && hosts[Int(left)].name.utf8.lexicographicallyPrecedes(hosts[Int(right)].name.utf8)
    }
}
