import ArgumentParser
import OperatorTools

/// How long a command waits for the cluster. What it waits for it says every few seconds on standard error.
struct WaitOptions: ParsableArguments {
    /// The wait took too long: the cluster goes on with what was asked, and nothing is lost.
    static let expired = ExitCode(3)

    @Option(
        help: ArgumentHelp(
            "Give up after so long, with exit code 3; as long as it takes, if not given.",
            valueName: "seconds"
        )
    )
    var timeout: Int?

    func validate() throws {
        guard let timeout else { return }
        guard timeout > 0 else { throw ValidationError("--timeout: \(timeout), allowed 1 or more") }
    }

    /// Runs `call`, which blocks until the cluster in `directory` has done something.
    func run<Value: Sendable>(
        in directory: String,
        _ call: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try expiring { try patience(in: directory).run(call) }
    }

    /// Waits until the status is as `isMet` wants it.
    func until(in directory: String, _ isMet: (ClusterStatus) -> Bool) throws {
        try expiring { try patience(in: directory).until(isMet) }
    }

    private func patience(in directory: String) -> PatientCall {
        PatientCall(
            dataDirectory: directory,
            timeoutSeconds: timeout,
            remedy:
                "Nothing acknowledged is lost: the log keeps it. Look with tracectl status and in the logs of the"
                + " processes named; start one anew with scripts/cluster restart NAME, or set aside what a worker"
                + " cannot get past with tracectl skip NAME"
        )
    }

    private func expiring<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as WaitExpired {
            Terminal.error.line("Error: \(error)")
            throw Self.expired
        }
    }
}
