import TraceModel

/// One walk over all fields of one event: validates them and finds the process id. After a throw,
/// its properties say where the walk stood.
struct EventWalk {
    let resource: Resource
    /// Field number in the event, 0 where not even a tag could be read.
    private(set) var field: UInt32 = 0
    /// Submessages met so far.
    private(set) var nestedCount = 0
    /// Field number in the last submessage, nil outside of it.
    private(set) var nestedField: UInt32?
    /// The size of a string beyond its limit.
    private(set) var stringBytes = 0

    @inline(__always)
    init(_ resource: Resource) { self.resource = resource }

    /// The event's process id: the last one set, the thread's id where that is 0, and for GPU events
    /// the one in the submessage set last.
    @inline(__always)
    mutating func processID(
        of payload: ByteView,
        shape: MessageShape
    ) throws(WireProblem) -> UInt32 {
        var reader = FieldReader(payload)
        var process: UInt32 = 0
        var thread: UInt32 = 0
        while true {
            field = 0
            let tag = try reader.nextTag()
            if tag == 0 { return process != 0 ? process : thread }
            field = tag &>> 3
            let wireType = shape.wireType(of: field)
            guard wireType == tag & 7 || wireType == MessageShape.unknown else {
                throw .wireTypeMismatch
            }
            if wireType == WireType.varint {
                let value = UInt32(truncatingIfNeeded: try reader.varint())
                if field == shape.processField {
                    process = value
                } else if field == shape.threadField {
                    thread = value
                }
            } else if wireType == WireType.fixed64 {
                try reader.skip(bytes: 8)
            } else if wireType == MessageShape.unknown {
                try reader.skip(tag)
            } else {
                let bytes = try reader.bytes()
                if shape.isMessage(field) {
                    try walkNested(bytes, &process)
                } else {
                    try checkString(bytes)
                }
            }
        }
    }

    @inline(__always)
    private mutating func checkString(_ bytes: ByteView) throws(WireProblem) {
        guard bytes.count <= Limits.stringFieldBytesMax else {
            stringBytes = bytes.count
            throw .stringTooLong
        }
    }

    /// A submessage: one of a GPU event's oneof, where it replaces what was set before, or an anomaly.
    @inline(never)
    private mutating func walkNested(
        _ payload: ByteView,
        _ process: inout UInt32
    ) throws(WireProblem) {
        nestedCount += 1
        // A comparison with == would be a call.
        let isGPU = if case .gpu = resource { true } else { false }
        guard isGPU || nestedCount <= Limits.eventAnomaliesMax else { throw .tooManyAnomalies }
        let shape = MessageShape.nested(in: field, of: resource)
        var inner: UInt32 = 0
        var reader = FieldReader(payload)
        while true {
            nestedField = 0
            let tag = try reader.nextTag()
            if tag == 0 { break }
            nestedField = tag >> 3
            let wireType = shape.wireType(of: tag >> 3)
            guard wireType == tag & 7 || wireType == MessageShape.unknown else {
                throw .wireTypeMismatch
            }
            if wireType == WireType.varint {
                let value = UInt32(truncatingIfNeeded: try reader.varint())
                if tag >> 3 == shape.processField { inner = value }
            } else if wireType == WireType.fixed64 {
                try reader.skip(bytes: 8)
            } else if wireType == MessageShape.unknown {
                try reader.skip(tag)
            } else {
                try checkString(reader.bytes())
            }
        }
        nestedField = nil
        if isGPU { process = inner }
    }
}
