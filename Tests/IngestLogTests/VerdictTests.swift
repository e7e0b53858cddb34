import IngestLog
import SystemIO
import Testing
import TraceModel

@Suite struct VerdictTests {
    private let verdict = VerdictPayload(
        worker: WorkerName(resource: .gpu, index: 63),
        cause: .skip,
        range: 1..<UInt64.max,
        events: 7,
        reason: "wörds"
    )

    @Test func aVerdictRoundTrips() throws {
        var buffer = RawBuffer()
        verdict.encode(into: &buffer)
        #expect(try VerdictPayload(decoding: buffer.bytes) == verdict)
        for count in 0..<buffer.count {
            #expect(throws: TraceError.self) {
                try VerdictPayload(decoding: .init(rebasing: buffer.bytes[..<count]))
            }
        }
        // Invalid resource, cause and worker.
        for (offset, byte) in [(0, 6), (1, 3), (1, 0), (2, 64)] as [(Int, UInt8)] {
            var bytes = Array(buffer.bytes)
            bytes[offset] = byte
            #expect(throws: TraceError.self) {
                try bytes.withUnsafeBytes { _ = try VerdictPayload(decoding: $0) }
            }
        }
    }

    @Test func aLetterHasOneName() {
        let name = DeadLetterName(verdict)
        #expect(name.description == "gpu.63-1-skip")
        #expect(DeadLetterName("gpu.63-1-skip") == name)
        for text in [
            "", "gpu.63-1", "gpu.63-01-skip", "gpu.64-1-skip", "gpu.63-1-hang", "gpu.63--1-skip",
            "gpu.63-+1-skip",
            "../gpu.63-1-skip",
        ] { #expect(DeadLetterName(text) == nil, "\(text)") }
    }
}
