import Compression
import SystemIO
import TraceModel

/// A small file that is replaced in one step and whose damage is noticed: gzip, for its CRC-32.
struct SavedFile: Sendable {
    let path: String
    let bytesMax: Int

    /// Blocks until the new content is on the disk.
    func save(_ bytes: [UInt8]) throws {
        try FileSystem.createDirectory(FileSystem.parent(of: path))
        let compressed = try bytes.withUnsafeBytes { try Gzip.compress($0) }
        try compressed.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    /// What was saved, read by `parse`, or nil where there is nothing. A damaged file is set aside under
    /// another name, and told.
    func load<Value>(
        _ parse: ([UInt8]) throws(TraceError) -> Value
    ) throws -> (value: Value?, damage: TraceError?) {
        guard FileSystem.exists(path) else { return (nil, nil) }
        let compressed = try FileSystem.contents(path)
        do {
            let bytes = try compressed.withUnsafeBytes { try Gzip.expand($0, limit: bytesMax) }
            return (try parse(bytes), nil)
        } catch let error as TraceError where error.code == .corrupt {
            try FileSystem.rename(path, to: AggregatorPaths.damaged(path))
            return (nil, error)
        }
    }
}
