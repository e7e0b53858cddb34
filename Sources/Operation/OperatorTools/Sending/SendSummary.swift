/// What `tracectl send` did.
package struct SendSummary: Encodable, Sendable {
    package var files: Int
    package var batches: Int
    package var events: Int
    package var bytes: Int
    package var retries: Int
    package var seconds: Double
    package var completed: Bool

    package init(files: Int, run: SendRun, sender: RetryingSender, seconds: Double, completed: Bool)
    {
        self.files = files
        batches = sender.batches
        events = run.events
        bytes = sender.bytes
        retries = sender.retries
        self.seconds = (seconds * 1000).rounded() / 1000
        self.completed = completed
    }

    package var text: String {
        "\(completed ? "Sent" : "Stopped after") \(Report.grouped(events)) events in \(batches) "
            + "batches (\(Report.grouped(bytes)) bytes, \(retries) retries, \(seconds) s)"
    }
}
