import CTraceProtos
import Testing
import TraceModel

@testable import TraceWire

@Suite("The scanner's tables against the compiled proto") struct MessageShapeTests {
    private func wireType(_ field: ProtobufCFieldDescriptor) -> UInt32 {
        switch field.type {
        case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_MESSAGE: WireType.bytes
        case PROTOBUF_C_TYPE_DOUBLE: WireType.fixed64
        default: WireType.varint
        }
    }

    private func inner(_ field: ProtobufCFieldDescriptor) -> ProtobufCMessageDescriptor? {
        guard field.type == PROTOBUF_C_TYPE_MESSAGE else { return nil }
        return field.descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee
    }

    /// Checks every field number from 0 to 40: known ones by type and name, all others unknown.
    private func check(
        _ shape: MessageShape,
        _ message: ProtobufCMessageDescriptor,
        name: (UInt32) -> String
    ) -> [ProtobufCFieldDescriptor] {
        let fields = (0..<Int(message.n_fields)).map { message.fields[$0] }
        for number in UInt32(0)...40 {
            guard let field = fields.first(where: { $0.id == number }) else {
                #expect(shape.wireType(of: number) == MessageShape.unknown)
                continue
            }
            #expect(shape.wireType(of: number) == wireType(field))
            #expect(shape.isMessage(number) == (field.type == PROTOBUF_C_TYPE_MESSAGE))
            #expect(name(number) == String(cString: field.name))
        }
        return fields
    }

    @Test(arguments: Resource.allCases) func tables(resource: Resource) throws {
        let batch = neu_tracer__trace_batch__descriptor
        let event = try #require(
            (0..<Int(batch.n_fields)).map { batch.fields[$0] }.first {
                $0.id == resource.batchField
            }
        )
        #expect(WireNames.batchField(of: resource) == String(cString: event.name))
        let shape = MessageShape.events[Int(resource.rawValue)]
        let fields = check(shape, try #require(inner(event))) { WireNames.field($0, of: resource) }
        for field in fields {
            guard let nested = inner(field) else { continue }
            _ = check(MessageShape.nested(in: field.id, of: resource), nested) {
                WireNames.nestedField($0, in: field.id, of: resource)
            }
        }
    }
}
