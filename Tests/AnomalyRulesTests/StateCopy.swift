import SystemIO
import Testing
import TraceModel

/// What state becomes by way of a checkpoint.
func copied<State>(
    _ encode: (inout RawBuffer) -> Void,
    _ decode: (inout StateReader) throws(TraceError) -> State
) throws -> State {
    var buffer = RawBuffer()
    encode(&buffer)
    let bytes = Array(buffer.bytes)
    // State that is cut off is refused.
    bytes.dropLast().withUnsafeBytes {
        var reader = StateReader($0)
        #expect(throws: TraceError.self) { _ = try decode(&reader) }
    }
    return try bytes.withUnsafeBytes {
        var reader = StateReader($0)
        let state = try decode(&reader)
        #expect(reader.remaining == 0)
        return state
    }
}
