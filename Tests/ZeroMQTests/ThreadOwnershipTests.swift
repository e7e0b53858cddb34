import SystemIO
import Testing
import ZeroMQ

@Suite struct ThreadOwnershipTests {
    @Test func aSocketInAForeignThreadStopsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let socket = try Fabric().router()
            // The compiler would reject this without the annotation.
            nonisolated(unsafe) let smuggled = socket
            DedicatedThread("thief") { _ = smuggled.receive() }.join()
        }
    }

    @Test func theSameUseInItsOwnThreadDoesNot() async {
        await #expect(processExitsWith: .success) {
            let socket = try Fabric().router()
            _ = socket.receive()
        }
    }
}
