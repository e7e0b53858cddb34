package import SystemIO

/// The bytes of one share. Sent from where they lie: nobody changes them once they are handed over.
package final class SharePayload: @unchecked Sendable {
    package internal(set) var buffer: RawBuffer

    init(capacity: Int) { buffer = RawBuffer(capacity: capacity) }
}
