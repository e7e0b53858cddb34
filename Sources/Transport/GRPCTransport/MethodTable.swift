internal import CGRPC
internal import Glibc

/// Finds a method's index by the path of a call. The first methods are found fastest.
struct MethodTable: Sendable {
    let methods: [GRPCMethod]
    private let paths: [ContiguousArray<UInt8>]

    init(_ methods: [GRPCMethod]) {
        self.methods = methods
        paths = methods.map { ContiguousArray($0.path.utf8) }
    }

    /// Nil for a method that the server doesn't offer. O(methods).
    func index(of path: UnsafePointer<grpc_slice>) -> Int? {
        guard let start = unsafe trace_grpc_slice_start(path) else { return nil }
        let count = unsafe trace_grpc_slice_length(path)
        for (index, candidate) in paths.enumerated() where candidate.count == count {
            let equal = unsafe candidate.withUnsafeBytes { bytes in
                guard let known = bytes.baseAddress else { return count == 0 }
                return unsafe memcmp(known, start, count) == 0
            }
            if equal { return index }
        }
        return nil
    }
}
