import Glibc
import SystemIO

// A process of its own for what a test cannot do to the process it runs in: signals, environment, locks, and a
// death at any moment. Says on standard output how far it has come.

func say(_ text: String) {
    print(text)
    fflush(nil)
}

switch CommandLine.arguments.dropFirst().first {
case "ready":
    Readiness.ready()
    Readiness.alive()
    Readiness.stopping()
case "signals":
    SignalReceiver.blockAll()
    say("blocked")
    while true {
        let signal = SignalReceiver.wait(for: [SIGUSR1, SIGTERM])
        say("\(signal)")
        if signal == SIGTERM { break }
    }
case "lock":
    let file = try File(CommandLine.arguments[2], .readWrite)
    say("\(try file.lock())")
    while readLine() != nil {}
case "publish":
    let path = CommandLine.arguments[2]
    for round in 0... {
        let content = [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: 100_000 + round)
        try content.withUnsafeBytes { try FileSystem.publish(path, $0) }
        if round == 0 { say("published") }
    }
default:
    exit(2)
}
