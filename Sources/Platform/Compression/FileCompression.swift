/// How a file is compressed.
package enum FileCompression: String, CaseIterable, Sendable {
    case gzip
    case zstd

    /// Ends the names of such files.
    package var suffix: String {
        switch self {
        case .gzip: ".gz"
        case .zstd: ".zst"
        }
    }

    /// Bytes that tell a file's compression.
    package static let magicBytes = 4

    /// The compression that a path says; nil: none.
    package init?(ofPath path: String) {
        guard let found = Self.allCases.first(where: { path.hasSuffix($0.suffix) }) else {
            return nil
        }
        self = found
    }

    /// The compression that a file's first bytes say; nil: none.
    package init?(magic: some Collection<UInt8>) {
        if magic.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if magic.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            self = .zstd
        } else {
            return nil
        }
    }
}
