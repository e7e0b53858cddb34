import CTraceProtos

/// Random batches, drawn from protobuf-c's descriptors and so independent of what we know of the
/// messages: extremes, repeated singular fields, repeated oneofs, unknown fields, padded varints.
struct BatchGenerator {
    /// Repeats the run that it came from.
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed | 1
        for _ in 0..<8 { _ = next() }
    }

    /// xorshift64*.
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    mutating func below(_ bound: Int) -> Int { Int((next() >> 16) % UInt64(bound)) }

    /// A valid batch of up to `events` top-level fields.
    mutating func batch(fields: Int) -> [UInt8] {
        var builder = WireBuilder()
        let message = neu_tracer__trace_batch__descriptor
        for _ in 0..<below(fields + 1) { append(message, &builder) }
        return builder.bytes
    }

    /// A batch with some of its bytes damaged: flipped, cut off, inserted, removed, repeated.
    mutating func damaged(_ batch: [UInt8]) -> [UInt8] {
        var bytes = batch
        for _ in 0..<1 + below(3) where !bytes.isEmpty {
            let position = below(bytes.count)
            switch below(6) {
            case 0, 1: bytes[position] ^= 1 << UInt8(below(8))
            case 2: bytes[position] = UInt8(truncatingIfNeeded: next())
            case 3: bytes.removeSubrange(position...)
            case 4:
                bytes.insert(contentsOf: (0..<1 + below(4)).map { _ in edgeByte() }, at: position)
            default: bytes.removeSubrange(position..<min(bytes.count, position + 1 + below(3)))
            }
        }
        return bytes
    }

    private mutating func edgeByte() -> UInt8 {
        [0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x08, 0x12][below(8)]
    }

    /// One random field of a message, known to it or not.
    private mutating func append(
        _ message: ProtobufCMessageDescriptor,
        _ builder: inout WireBuilder
    ) {
        guard below(12) > 0 else { return appendUnknown(&builder) }
        let field = message.fields[below(Int(message.n_fields))]
        switch field.type {
        case PROTOBUF_C_TYPE_MESSAGE:
            guard let inner = field.descriptor else { return }
            let descriptor = inner.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee
            var content = WireBuilder()
            for _ in 0..<below(2 * Int(descriptor.n_fields)) { append(descriptor, &content) }
            builder.payload(field.id, content.bytes)
        case PROTOBUF_C_TYPE_STRING: builder.payload(field.id, text())
        case PROTOBUF_C_TYPE_DOUBLE:
            builder.tag(field.id, 1)
            builder.fixed(number(), bytes: 8)
        default:
            builder.tag(field.id, 0)
            appendVarint(number(), &builder)
        }
    }

    private mutating func appendUnknown(_ builder: inout WireBuilder) {
        let field = [22, 31, 32, 40, 99, 106, 1_000, 536_870_911][below(8)]
        switch below(4) {
        case 0: builder.integer(UInt32(field), number())
        case 1:
            builder.tag(UInt32(field), 1)
            builder.fixed(next(), bytes: 8)
        case 2: builder.payload(UInt32(field), text())
        default:
            builder.tag(UInt32(field), 5)
            builder.fixed(next(), bytes: 4)
        }
    }

    /// Now and then longer than it need be, as an encoder may write it.
    private mutating func appendVarint(_ value: UInt64, _ builder: inout WireBuilder) {
        let start = builder.bytes.count
        builder.varint(value)
        let room = 10 - (builder.bytes.count - start)
        guard room > 1, below(8) == 0 else { return }
        builder.bytes[builder.bytes.count - 1] |= 0x80
        builder.bytes += [UInt8](repeating: 0x80, count: below(room))
        builder.bytes.append(0)
    }

    private mutating func number() -> UInt64 {
        switch below(8) {
        case 0: 0
        case 1: 1
        case 2: .max
        case 3: UInt64(1) << UInt64(below(64))
        case 4: (UInt64(1) << UInt64(below(64))) &- 1
        case 5: UInt64(below(200))
        default: next() >> UInt64(below(64))
        }
    }

    /// Without NUL, where the reference's strings would end; not always UTF-8.
    private mutating func text() -> [UInt8] {
        switch below(4) {
        case 0: []
        case 1: (0..<below(300)).map { _ in UInt8(1 + below(255)) }
        default: Array("2024-05-06 12:34:56.789".utf8.prefix(below(24)))
        }
    }
}
