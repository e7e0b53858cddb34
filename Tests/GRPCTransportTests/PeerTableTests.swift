import Testing

@testable import GRPCTransport

struct PeerTableTests {
    @Test func connectionsLeaveDescriptorsForOtherFiles() {
        #expect(PeerTable.numbers(descriptors: 65_536) == 1_024..<65_536)
        #expect(PeerTable.numbers(descriptors: 4_096) == 1_024..<4_096)
        #expect(PeerTable.numbers(descriptors: 1_024) == 256..<1_024)
        #expect(!PeerTable.numbers(descriptors: 0).isEmpty)
    }
}
