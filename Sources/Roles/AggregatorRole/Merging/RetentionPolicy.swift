package import TraceModel

/// How long final files are kept; without bounds: for ever.
package struct RetentionPolicy: Sendable, Equatable {
    /// Since a window's files became final.
    let ageSeconds: Int64?
    /// Of all final files together.
    let bytesMax: UInt64?

    /// From what people write: an age as `90m`, `36h`, `7d` (`s` for seconds), bytes as `500M`, `20G`, `2T`, in
    /// powers of 1,024. Nil: no bound. Throws `configuration` for anything else.
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
