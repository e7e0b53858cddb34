// Built by scripts/fuzz, outside SwiftPM, together with the judge of TraceWireTests.
import TraceModel
import TraceWire

/// libFuzzer's entry: any bytes at all are either refused or decode to what protobuf-c makes of them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafeRawPointer?, _ count: Int) -> CInt {
    let verdict = Reference.judge(UnsafeRawBufferPointer(start: start, count: count))
    if case .different(let what) = verdict { fatalError(what) }
    return 0
}
