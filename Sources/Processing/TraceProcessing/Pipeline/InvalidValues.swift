import SystemIO
import TraceMetrics
import TraceModel

/// Counts of impossible field values sent by agents, by field. Such values are left out of sums.
struct InvalidValues: BitwiseCopyable {
    /// Fields whose differences may have wrapped below zero. The raw values are part of the stored state.
    enum Field: Int, CaseIterable {
        case totalAllocations, totalFrees, currentMemory, txBytes, rxBytes, readBytes, writeBytes

        /// The field's name in the proto file.
        var name: String {
            switch self {
            case .totalAllocations: "total_allocs"
            case .totalFrees: "total_frees"
            case .currentMemory: "current_memory"
            case .txBytes: "tx_bytes"
            case .rxBytes: "rx_bytes"
            case .readBytes: "read_bytes"
            case .writeBytes: "write_bytes"
            }
        }
    }

    private var counts = InlineArray<7, UInt64>(repeating: 0)

    init() {}

    mutating func count(_ field: Field) { counts[field.rawValue] += 1 }

    func collect(_ series: inout SeriesWriter, of resource: Resource) {
        for field in Field.allCases {
            let count = counts[field.rawValue]
            series.add(
                .valuesInvalidTotal,
                Double(count),
                if: count > 0,
                [resource.name, field.name]
            )
        }
    }

    func encode(into buffer: inout RawBuffer) {
        for index in counts.indices { buffer.append(varint: counts[index]) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in counts.indices { counts[index] = try reader.varint() }
    }
}
