import SystemIO

/// The bytes of one share. Sent from where they lie: nobody changes them once they are handed over.
final class SharePayload: @unchecked Sendable {
    var buffer = RawBuffer(capacity: 16 << 10)
}
