import TraceModel

/// What a scan has to know of the events of one resource.
struct EventKind {
    let resource: Resource
    /// The resource's raw value.
    let place: Int
    /// What stands before each event in a batch.
    let tag: UInt32
    let shape: MessageShape

    init(_ resource: Resource) {
        self.resource = resource
        place = Int(resource.rawValue)
        tag = resource.batchField << 3 | WireType.bytes
        shape = MessageShape.events[place]
    }
}
