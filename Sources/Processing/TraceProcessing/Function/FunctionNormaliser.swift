import TraceModel
import TraceWire

/// Converts function events of either dialect into what statistics and rules use.
///
/// NEUTRACER: only some events are sent, so an entry and an exit belong together only if the function's count of
/// calls confirms it. The agent itself reports the number of calls and their mean duration. CUMULATIVE: every event
/// is sent, and each exit ends the innermost call of its function and cookie.
enum FunctionNormaliser {
    /// Returns whether only some of the events are sent.
    @inline(__always) static func isSampled(_ context: EventContext) -> Bool {
        context.semantics == .neutracer
    }

    /// Returns the function's name, of at most `Limits.nameBytesMax`. The original calls a nameless function
    /// `unknown`.
    @inline(__always) static func name(of event: UnsafePointer<FunctionEvent>) -> ByteView {
        let name = event.pointee.functionName
        return name.isEmpty ? ByteView("unknown") : name.cut(at: Limits.nameBytesMax)
    }
}
