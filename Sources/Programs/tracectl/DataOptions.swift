import ArgumentParser

/// Which cluster on this machine.
struct DataOptions: ParsableArguments {
    @Option(name: .customLong("data"), help: "The cluster's data directory.")
    var directory = "data"
}
