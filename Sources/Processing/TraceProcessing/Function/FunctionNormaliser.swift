import TraceModel
import TraceWire

/// Makes of function events, in either dialect, what statistics and rules work with.
///
/// NEUTRACER: one event in several is sent, so an entry and an exit belong together only where the function's count of
/// calls says so too; how many calls there were, and how long they took in the mean, the agent says itself. CUMULATIVE:
/// every event is sent, and each exit ends the innermost call of its function and cookie.
enum FunctionNormaliser {
    /// Whether some events only are sent.
    @inline(__always) static func isSampled(_ context: EventContext) -> Bool {
        context.semantics == .neutracer
    }

    /// The function's name, not longer than `Limits.nameBytesMax`; the original calls one without a name so.
    @inline(__always) static func name(of event: UnsafePointer<FunctionEvent>) -> ByteView {
        let name = event.pointee.functionName
        return name.isEmpty ? ByteView("unknown") : name.cut(at: Limits.nameBytesMax)
    }
}
