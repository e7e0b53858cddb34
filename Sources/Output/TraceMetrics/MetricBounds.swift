/// Bucket bounds that several families share, in base units.
package enum MetricBounds {
    /// Function durations, seconds.
    package static let functionSeconds: [Double] = [
        0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5,
    ]
    /// I/O and service latencies, seconds.
    package static let latencySeconds: [Double] = [
        0.000_01, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
    ]
    /// Merges of a window, seconds.
    package static let mergeSeconds: [Double] = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60]
    /// Allocation sizes, bytes.
    package static let allocationBytes: [Double] = [
        128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152, 4_194_304,
    ]
    /// Events in one batch.
    package static let batchEvents: [Double] = [
        1, 10, 50, 100, 250, 500, 1_000, 5_000, 10_000, 100_000,
    ]
}
