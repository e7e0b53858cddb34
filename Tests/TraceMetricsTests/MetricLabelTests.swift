import Testing
import TraceMetrics
import TraceModel

@Suite struct MetricLabelTests {
    private func text(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { MetricLabel.text(of: ByteView($0)) }
    }

    @Test func shortNamesAreUnchanged() {
        #expect(text(Array("größe".utf8)) == "größe")
        #expect(text([]) == "")
        #expect(text([UInt8](repeating: 0x61, count: 256)) == String(repeating: "a", count: 256))
    }

    @Test func longNamesAreCutAndStayDistinct() {
        let one = text([UInt8](repeating: 0x61, count: 4_000))
        let other = text([UInt8](repeating: 0x61, count: 4_001))
        #expect(one.utf8.count <= Limits.labelBytesMax)
        #expect(one.hasPrefix("aaaa"))
        #expect(one != other)
    }

    @Test func repairedNamesStayDistinct() {
        // Three bytes that become one character of three bytes.
        let names: [[UInt8]] = [[0xFF], [0xFE], [0xF0, 0x9F, 0x92], [0xEF, 0xBF, 0xBD]]
        let labels = names.map { text(Array("f".utf8) + $0) }
        #expect(labels.allSatisfy { $0.hasPrefix("f\u{FFFD}") })
        #expect(Set(labels).count == 4)
        #expect(labels[3] == "f\u{FFFD}", "which is no repair")
    }

    @Test(arguments: [UInt8(0xFF), 0x80, 0xC3, 0xF0]) func invalidTextIsReplacedAndBounded(
        byte: UInt8
    ) {
        for count in [1, 85, 86, 87, 255, 256, 257, 3_000] {
            let label = text([UInt8](repeating: byte, count: count))
            #expect(label.utf8.count <= Limits.labelBytesMax)
            #expect(!label.isEmpty)
        }
    }
}
