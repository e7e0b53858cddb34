internal import CGRPC

/// The end of a call: status, text for a person, trailers.
struct Answer: Sendable {
    let status: GRPCStatus
    let message: String
    let trailers: [GRPCTrailer]

    /// Calls `body` with the C form, valid only meanwhile.
    func withC<Result>(
        _ body: (
            _ text: UnsafeRawBufferPointer,
            _ pairs: UnsafePointer<trace_grpc_pair>?,
            _ pairCount: Int
        ) -> Result
    ) -> Result {
        precondition(trailers.count <= GRPCTrailer.countMax)
        var text = message
        return text.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            if trailers.isEmpty { return unsafe body(text, nil, 0) }
            return unsafe withPairs(0, []) { pairs in
                unsafe pairs.withUnsafeBufferPointer {
                    unsafe body(text, $0.baseAddress, $0.count)
                }
            }
        }
    }

    private func withPairs<Result>(
        _ index: Int,
        _ pairs: [trace_grpc_pair],
        _ body: ([trace_grpc_pair]) -> Result
    ) -> Result {
        guard index < trailers.count else { return unsafe body(pairs) }
        return unsafe trailers[index].name.withCString { name in
            unsafe trailers[index].bytes.withUnsafeBufferPointer { bytes in
                let pair = unsafe trace_grpc_pair(
                    key: name,
                    value: bytes.baseAddress,
                    value_count: bytes.count
                )
                return unsafe withPairs(index + 1, pairs + [pair], body)
            }
        }
    }
}
