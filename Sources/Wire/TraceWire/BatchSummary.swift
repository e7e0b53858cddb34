package import TraceModel

/// What a batch says about itself. The views point into the batch.
package struct BatchSummary {
    private var counts: InlineArray<6, UInt32> = .init(repeating: 0)
    /// Events of all resources.
    package private(set) var total = 0
    /// One run of one client; empty is the same as absent, as everywhere in proto3.
    package internal(set) var clientID = ByteView.empty
    /// From 1; 0 is the same as absent.
    package internal(set) var sequence: UInt64 = 0
    package internal(set) var isLastBatch = false
    /// The traced machine; empty where the peer's address stands in.
    package internal(set) var host = ByteView.empty
    /// What the events' fields mean; nil where the batch does not say.
    package internal(set) var semantics: Semantics?
    /// Where names of processes and threads stand, in the order of the batch. Empty, and without memory, in most.
    package internal(set) var names: [NameEntry] = []

    package var hasClientID: Bool { !clientID.isEmpty }
    package var hasSequence: Bool { sequence != 0 }

    /// Events of one resource.
    package func count(of resource: Resource) -> Int { Int(counts[Int(resource.rawValue)]) }

    /// Counts an event of the resource with this raw value.
    @inline(__always)
    mutating func add(_ place: Int) {
        counts[place] &+= 1
        total &+= 1
    }
}
