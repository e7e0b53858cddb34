/// What one attempt to send a batch came to.
package enum AttemptOutcome: Sendable, Equatable {
    /// The server has it on disk.
    case accepted
    /// The same bytes may go through later. `after`: seconds the server asks to wait.
    case retry(reason: String, after: Double?)
    /// The same bytes will be refused again.
    case refused(reason: String)
}
