package import TraceWire

/// Takes events one by one; may block while it sends.
package protocol EventSink: AnyObject {
    func append(_ event: BatchEncoder.Function) throws
    func append(_ event: BatchEncoder.CPU) throws
    func append(_ event: BatchEncoder.Memory) throws
    func append(_ event: BatchEncoder.Network) throws
    func append(_ event: BatchEncoder.IO) throws
    /// Names a process or a thread, no event. Goes out with the next event.
    func append(_ name: BatchEncoder.Name) throws
}
