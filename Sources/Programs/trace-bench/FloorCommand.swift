import ArgumentParser
import SystemIO
import TraceBench

/// Started by the program itself, and by whoever wants to measure a client.
struct FloorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "floor",
        abstract: "A server that only answers, until standard input ends; prints its port.",
        shouldDisplay: false
    )

    func run() throws {
        SignalReceiver.blockAll()
        try FloorServer.run()
    }
}
