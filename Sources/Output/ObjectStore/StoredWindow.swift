import Foundation
package import TraceModel

/// The record of a window whose final files are in an object store. It is written after them, so a window that has one
/// is complete. Records lie apart from the files, so that windows are found without listing all files:
///
///     <prefix>/<cell>/<resource>/<yyyy>/<mm>/<dd>/<file name>
///     <prefix>/<cell>/windows/<resource>/<yyyy>/<mm>/<dd>/<stem>_<window>.json
///
/// The date is that of the window's barrier in the cluster's time zone, as in the files' names.
package struct StoredWindow: Codable, Sendable, Equatable {
    /// A final file.
    package struct File: Codable, Sendable, Equatable {
        /// Relative to `output`, as `csv/function_trace_20260501_140000.csv`.
        package let path: String
        package let bytes: Int
        /// Set where a reader took the file away before it was uploaded.
        package var isMissing: Bool?

        package init(path: String, bytes: Int, isMissing: Bool? = nil) {
            self.path = path
            self.bytes = bytes
            self.isMissing = isMissing
        }

        /// The last component of the path.
        package var name: Substring {
            path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]
        }

        /// The directory below `output`.
        package var directory: Substring { path.prefix { $0 != "/" } }
    }

    package var format = 1
    package let cell: String
    package let resource: String
    package let window: UInt64
    /// The window's time in its files' names.
    package let stem: String
    /// Times of the first and last event, in nanoseconds since the epoch; nil where the window has no summary.
    package var firstTsNs: EpochNanoseconds?
    package var lastTsNs: EpochNanoseconds?
    package var files: [File]

    /// Returns nil if the stem does not begin with a date.
    package init?(
        cell: String,
        resource: Resource,
        window: UInt64,
        stem: String,
        span: ClosedRange<EpochNanoseconds>?,
        files: [File]
    ) {
        guard Self.date(stem) != nil else { return nil }
        self.cell = cell
        self.resource = resource.name
        self.window = window
        self.stem = stem
        firstTsNs = span?.lowerBound
        lastTsNs = span?.upperBound
        self.files = files
    }

    // MARK: Names

    /// The name of this record below the prefix.
    package var name: String {
        "\(Self.records(cell, resource))\(day)/\(stem)_\(window).json"
    }

    /// The name of a file of this window below the prefix.
    package func name(of file: File) -> String { "\(cell)/\(resource)/\(day)/\(file.name)" }

    /// What the names of a resource's records begin with.
    package static func records(_ cell: String, _ resource: String) -> String {
        "\(cell)/windows/\(resource)/"
    }

    private var day: String { Self.date(stem) ?? "" }

    /// Returns `yyyy/mm/dd` of a stem.
    private static func date(_ stem: String) -> String? {
        let digits = Array(stem.utf8.prefix(8))
        guard digits.count == 8, digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        let text = String(decoding: digits, as: UTF8.self)
        return "\(text.prefix(4))/\(text.dropFirst(4).prefix(2))/\(text.dropFirst(6))"
    }

    // MARK: Encoding

    /// The record's bytes. The same window always has the same ones, unless a file is missing.
    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self) + Data("\n".utf8))
    }

    /// Whether the bytes are a record to its end, and not what has arrived of one.
    package static func isWhole(_ bytes: [UInt8]) -> Bool { bytes.last == UInt8(ascii: "\n") }

    /// Decodes a record.
    /// - Throws: `TraceError(.corrupt)` if it is none, or of a later version.
    package init(_ bytes: [UInt8]) throws(TraceError) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do { self = try decoder.decode(Self.self, from: Data(bytes)) } catch {
            throw TraceError(
                .corrupt,
                "a window's record in the object store can't be read",
                cause: error
            )
        }
        guard format == 1 else {
            throw TraceError(
                .corrupt,
                "a window's record in the object store has the unknown format \(format)",
                remedy: "Read it with the version of tracectl that wrote it, or a later one"
            )
        }
    }

    /// Whether both describe the same files, of which some may be missing in one.
    package func isSame(as other: StoredWindow) -> Bool {
        func plain(_ window: StoredWindow) -> StoredWindow {
            var copy = window
            copy.files = window.files.map { File(path: $0.path, bytes: $0.bytes) }
            return copy
        }
        return plain(self) == plain(other)
    }
}
