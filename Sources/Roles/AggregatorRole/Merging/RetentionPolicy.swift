package import TraceModel

/// Bounds for keeping final files; without bounds they are kept forever.
package struct RetentionPolicy: Sendable, Equatable {
    /// Maximum age since a window's files became final.
    let ageSeconds: Int64?
    /// Maximum total size of all final files.
    let bytesMax: UInt64?

    /// Parses an age such as `90m`, `36h`, `7d` (`s` for seconds), and bytes such as `500M`, `20G`, `2T`, in powers
    /// of 1,024. Nil means no bound.
    /// - Throws: `TraceError(.configuration)` for any other text.
    package init(age: String?, bytes: String?) throws(TraceError) {
        ageSeconds = try age.map { text throws(TraceError) in
            guard let value = UnitNumber.seconds(text) else {
                throw TraceError(
                    .configuration,
                    "The age of final files is a number with s, m, h or d, not \"\(text)\"",
                    remedy: "For example 7d"
                )
            }
            return value
        }
        bytesMax = try bytes.map { text throws(TraceError) in
            guard let value = UnitNumber.bytes(text) else {
                throw TraceError(
                    .configuration,
                    "The size of final files is a number with K, M, G or T, not \"\(text)\"",
                    remedy: "For example 20G"
                )
            }
            return UInt64(value)
        }
    }

    var isKeepingAll: Bool { ageSeconds == nil && bytesMax == nil }
}
