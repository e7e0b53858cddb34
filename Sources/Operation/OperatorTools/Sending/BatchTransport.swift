/// The way to the server, as the sending logic sees it: one attempt, one outcome, no retries.
package protocol BatchTransport: AnyObject {
    /// Sends one serialized `TraceBatch` and blocks until the server has answered, at most for the
    /// transport's own deadline. A lost connection is an outcome; the next attempt reconnects.
    func attempt(_ batch: [UInt8]) -> AttemptOutcome
}
