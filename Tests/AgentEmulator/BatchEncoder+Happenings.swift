import TraceWire

extension BatchEncoder.Network {
    /// The packet itself; stamp, owner and counters are left out.
    ///
    /// `followsPacket`: whether the source is the sender of the packet; otherwise it is the traced process.
    init(_ packet: Packet, followsPacket: Bool) {
        self.init()
        let connection = packet.connection
        isSend = packet.isSend
        bytes = packet.bytes
        transport = connection.transport
        let local = (connection.localAddress, connection.localPort)
        let remote = (connection.remoteAddress, connection.remotePort)
        let isForward = packet.isSend || !followsPacket
        (sourceAddress, sourcePort) = isForward ? local : remote
        (destinationAddress, destinationPort) = isForward ? remote : local
    }
}

extension BatchEncoder.IO {
    /// The fields that say the same in every dialect; stamp and owner are left out.
    init(_ operation: DiskOperation) {
        self.init()
        self.operation = operation.isRead ? "READ" : "WRITE"
        bytes = operation.bytes
        latencyMilliseconds = Double(operation.latency) / 1_000
        device = operation.device
        (major, minor) = operation.device == "sda" ? (8, 0) : (259, 0)
    }
}
