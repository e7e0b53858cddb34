/// A position in the ingest log: the byte offset of a record's first byte in the endless log, so that
/// a difference of two is a lag in bytes. The log's first record stands at 0.
package typealias LSN = UInt64

/// Nanoseconds since the Unix epoch, as every time inside the server.
@usableFromInline package typealias EpochNanoseconds = Int64
