package import TraceModel

/// A window whose files are final, as its record tells.
package struct FinalWindow: Sendable, Equatable {
    package let resource: Resource
    package let window: UInt64
    /// When its files were known to be final, seconds since the epoch.
    package let finalAt: Int64

    package init(resource: Resource, window: UInt64, finalAt: Int64) {
        self.resource = resource
        self.window = window
        self.finalAt = finalAt
    }

    /// The record's name: of two, the older one sorts first.
    var recordName: String {
        let digits = String(max(finalAt, 0))
        let zeros = String(repeating: "0", count: max(0, 12 - digits.count))
        return "\(zeros)\(digits)_\(resource.name)_\(window)"
    }

    /// Nil where the name is none of a record.
    init?(recordName: String) {
        let parts = recordName.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, let finalAt = Int64(parts[0]), let resource = Resource(name: String(parts[1])),
            let window = UInt64(parts[2])
        else { return nil }
        self.init(resource: resource, window: window, finalAt: finalAt)
        guard self.recordName == recordName else { return nil }
    }
}
