import TraceModel

/// What the scanner must know of a message: the wire type of each field and where the process id
/// stands. A few words, so that they stay in registers through an event's walk.
struct MessageShape {
    /// Two bits a field number below 32: 0 varint, 1 fixed64, 2 length-delimited, 3 unknown.
    let wireTypes: UInt64
    /// Bit n: the length-delimited field n is a message.
    var messages: UInt32 = 0
    /// Field of the process id, 0 where there is none or it stands in a submessage.
    var processField: UInt32 = 0
    /// Field that serves as process id where that is 0.
    var threadField: UInt32 = 0

    static let unknown: UInt32 = 3

    @inline(__always)
    func wireType(of field: UInt32) -> UInt32 {
        guard field < 32 else { return Self.unknown }
        return UInt32(truncatingIfNeeded: wireTypes &>> UInt64(field &* 2)) & 3
    }

    @inline(__always)
    func isMessage(_ field: UInt32) -> Bool { messages &>> field & 1 != 0 }

    /// By `Resource.rawValue`.
    static let events: InlineArray<6, MessageShape> = [
        MessageShape(wireTypes: types("svvsvvvv"), processField: 8, threadField: 5),
        MessageShape(wireTypes: types("svvsvvvd-vvvd"), processField: 2),
        MessageShape(
            wireTypes: types("svvssvvvvvvvvvvvvs"),
            messages: 1 << 18,
            processField: 3,
            threadField: 2
        ),
        MessageShape(
            wireTypes: types("svvsvvssvvsvvvvvvvvvs"),
            messages: 1 << 21,
            processField: 3,
            threadField: 2
        ),
        MessageShape(wireTypes: types("svssvdsvvvvvvdd"), processField: 2),
        MessageShape(wireTypes: types("svssss"), messages: 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6),
    ]

    /// The submessage in field `field` of an event of `resource`.
    static func nested(in field: UInt32, of resource: Resource) -> MessageShape {
        switch (resource, field) {
        case (.gpu, 3): callstackEvent
        case (.gpu, 4): memEvent
        case (.gpu, 5): cudaLaunchEvent
        case (.gpu, 6): memTransEvent
        default: anomaly
        }
    }

    private static let callstackEvent = MessageShape(wireTypes: types("vs"), processField: 1)
    private static let memEvent = MessageShape(wireTypes: types("vv"), processField: 1)
    private static let cudaLaunchEvent = MessageShape(wireTypes: types("svv"), processField: 2)
    private static let memTransEvent = MessageShape(wireTypes: types("vvs"), processField: 1)
    private static let anomaly = MessageShape(wireTypes: types("sd"))

    /// A letter a field from 1: varint, double, string or submessage, - none.
    private static func types(_ letters: StaticString) -> UInt64 {
        letters.withUTF8Buffer { letters in
            var types = ~UInt64(0)
            for index in letters.indices {
                let wireType: UInt64 =
                    switch unsafe letters[index] {
                    case UInt8(ascii: "v"): 0
                    case UInt8(ascii: "d"): 1
                    case UInt8(ascii: "s"): 2
                    default: 3
                    }
                let shift = UInt64(2 * (index + 1))
                types = types & ~(3 << shift) | wireType << shift
            }
            return types
        }
    }
}
