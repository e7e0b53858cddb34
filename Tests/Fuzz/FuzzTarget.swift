// Built by scripts/fuzz, outside SwiftPM, together with the reference decoder of TraceWireTests.
import AnomalyRules
import ClusterMessages
import Foundation
import SystemIO
import TraceModel
import TraceTime
import TraceWire

/// What is fuzzed: one program holds all, FUZZ_TARGET chooses.
enum FuzzTarget: String {
    case wire
    case log
    case checkpoint
    case rules
    case messages
    case timestamps
    case recordings

    /// As the environment says; files are written into the working directory.
    static let chosen: FuzzTarget = {
        let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? "wire"
        guard let target = FuzzTarget(rawValue: name) else { fatalError("no target \(name)") }
        return target
    }()

    /// Traps where the bytes bring out a bug.
    func run(_ bytes: UnsafeRawBufferPointer) throws {
        switch self {
        case .wire:
            // Either refused, or decoded to what protobuf-c makes of it.
            let verdict = Reference.evaluate(bytes)
            if case .different(let what) = verdict { fatalError(what) }
        case .log: try LogFuzz.run(bytes)
        case .checkpoint: try CheckpointFuzz.run(bytes)
        case .rules:
            guard let rules = try? RuleSet(Array(bytes), file: "rules.json") else { return }
            _ = rules.thresholds(comm: ByteView(bytes), host: "host", pid: 7)
        case .messages:
            guard let message = try? ClusterMessage(decoding: bytes) else { return }
            let again = try message.encode()
            let copy = try again.withUnsafeBytes { try ClusterMessage(decoding: $0) }
            // What isn't a number equals nothing, itself neither.
            let copied = try copy.encode()
            precondition(copy == message || copied == again, "\(message)")
        case .timestamps: TimestampFuzz.run(bytes)
        case .recordings: RecordingFuzz.run(bytes)
        }
    }
}

@_cdecl("LLVMFuzzerTestOneInput") public func fuzzOneInput(
    _ start: UnsafeRawPointer?,
    _ count: Int
) -> CInt {
    do { try FuzzTarget.chosen.run(UnsafeRawBufferPointer(start: start, count: count)) } catch {
        fatalError("\(error)")
    }
    return 0
}
