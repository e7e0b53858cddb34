/// How a protobuf field's bytes are delimited.
enum WireType {
    static let varint: UInt32 = 0
    static let fixed64: UInt32 = 1
    static let bytes: UInt32 = 2
    static let fixed32: UInt32 = 5
}
