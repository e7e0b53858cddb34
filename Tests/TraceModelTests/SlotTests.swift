import TestSupport
import Testing
import TraceModel

/// The hash that data directories depend on.
@Suite struct SlotTests {
    private static let golden: [(String, UInt64, UInt32, UInt8)] = [
        ("", 0xCBF2_9CE4_8422_2325, 0, 245), ("", 0xCBF2_9CE4_8422_2325, 1, 233),
        ("a", 0xAF63_DC4C_8601_EC8C, 1, 131),
        ("localhost", 0xDB3F_0534_03AD_937A, 4_242, 19),
        ("10.0.0.7", 0x87F7_E95D_E06F_ED5B, 4_294_967_295, 29),
        ("machine-1", 0x060F_8AD2_44C8_FB38, 1_234, 111), ("Zürich", 0x0EF8_4159_6F67_FDC0, 77, 70),
    ]

    private func hash(_ host: String) -> UInt64 {
        Array(host.utf8).withUnsafeBytes { Slot.hash(host: $0) }
    }

    /// From the definitions of FNV-1a and SplitMix64, computed apart from this code. A change of one of
    /// these makes every data directory unreadable.
    @Test(arguments: golden) func neverChanges(
        host: String,
        hash expected: UInt64,
        processID: UInt32,
        slot: UInt8
    ) {
        #expect(hash(host) == expected)
        #expect(Slot.of(hostHash: expected, processID: processID) == slot)
    }

    @Test func processesOfOneHostSpreadEvenly() {
        let host = hash("machine-1")
        var held = [Int](repeating: 0, count: Slot.count)
        for processID in UInt32(1)...25_600 {
            held[Int(Slot.of(hostHash: host, processID: processID))] += 1
        }
        // 100 a slot on the average; a slot of a fair hash stays within 6 standard deviations.
        #expect(held.allSatisfy { (40...160).contains($0) })
    }

    @Test func hostsAreToldApart() {
        let slots = (0..<200).map { Slot.of(hostHash: hash("host-\($0)"), processID: 1) }
        #expect(Set(slots).count > 100)
    }
}
