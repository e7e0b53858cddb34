/// What one started operation of the C core points to: retained when it starts, released by exactly
/// one completion event (which also comes with `success` false, and while a queue drains).
final class CompletionTag {
    enum Operation: Sendable {
        /// A new call has come (server).
        case request
        /// A message has come, or none will.
        case receive
        case send
        /// The whole answer of a unary call is out (server), or in (client).
        case answer
        case metadata
        case status
        /// The call is over (server).
        case close
        case halfClose
        case shutdown
    }

    let owner: any CompletionOwner
    let operation: Operation

    init(_ owner: any CompletionOwner, _ operation: Operation) {
        self.owner = owner
        self.operation = operation
    }
}

/// Who is told that an operation is complete, on a poller thread.
protocol CompletionOwner: AnyObject, Sendable {
    func completed(_ operation: CompletionTag.Operation, success: Bool)
}
