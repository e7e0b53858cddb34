package import GRPCTransport

/// Encodes google.rpc.RetryInfo in a google.rpc.Status, the value of the trailer `grpc-status-details-bin`: the delay
/// before a client may retry. Coded by hand, as nothing else of those proto files is needed.
package enum RetryInfo {
    private static let typeURL = "type.googleapis.com/google.rpc.RetryInfo"

    /// Returns the trailer for an answer with this status and message.
    package static func trailer(
        status: GRPCStatus,
        message: String,
        delaySeconds: Double
    ) -> GRPCTrailer {
        let nanoseconds = Int64((max(0, delaySeconds) * 1e9).rounded())
        var duration = WireWriter()
        duration.add(1, varint: UInt64(nanoseconds / 1_000_000_000))
        duration.add(2, varint: UInt64(nanoseconds % 1_000_000_000))
        var info = WireWriter()
        info.add(1, bytes: duration.bytes)
        var any = WireWriter()
        any.add(1, bytes: Array(typeURL.utf8))
        any.add(2, bytes: info.bytes)
        var wholeStatus = WireWriter()
        wholeStatus.add(1, varint: UInt64(status.rawValue))
        wholeStatus.add(2, bytes: Array(message.utf8))
        wholeStatus.add(3, bytes: any.bytes)
        return GRPCTrailer(name: "grpc-status-details-bin", bytes: wholeStatus.bytes)
    }

    /// Returns the delay in `GRPCCallError.details`; nil if there is none.
    package static func delaySeconds(in details: [UInt8]) -> Double? {
        for field in WireFields(details[...]) where field.number == 3 {
            let parts = Array(WireFields(field.bytes))
            guard parts.contains(where: { $0.number == 1 && $0.bytes.elementsEqual(typeURL.utf8) }),
                let info = parts.first(where: { $0.number == 2 }),
                let duration = WireFields(info.bytes).first(where: { $0.number == 1 })
            else { continue }
            var seconds = 0.0
            for part in WireFields(duration.bytes) {
                if part.number == 1 { seconds += Double(part.varint) }
                if part.number == 2 { seconds += Double(part.varint) / 1e9 }
            }
            return seconds
        }
        return nil
    }
}
