/// Log sequence number: the byte offset of a record in the logically endless ingest log, starting at 0. The difference
/// of two LSNs is a lag in bytes.
package typealias LSN = UInt64

/// Nanoseconds since the Unix epoch, the unit of all times inside the server.
@usableFromInline package typealias EpochNanoseconds = Int64
