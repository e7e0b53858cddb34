import Glibc
import SystemIO

// A process of its own for what a test cannot do to the process it runs in: signals, environment, locks, and a
// death at any moment. Says on standard output how far it has come.

func say(_ text: String) {
    print(text)
    fflush(nil)
}

/// Ends the process in this way, or waits for its end.
func crash(_ way: String, _ cell: CrashCell) {
    switch way {
    case "trap": fatalError()
    case "fault": UnsafeMutableRawPointer(bitPattern: 16)?.storeBytes(of: 1, as: UInt8.self)
    case "abort": abort()
    case "breakpoint": raise(SIGTRAP)
    case "division": raise(SIGFPE)
    case "overflow": _ = depth(0)
    case "hung":
        cell.cause = .hung
        abort()
    case "exit": exit(0)
    default: while true { pause() }
    }
}

/// As deep as the stack goes.
@inline(never) func depth(_ level: Int) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { bytes in
        bytes[0] = UInt8(truncatingIfNeeded: level)
        return depth(level + 1) + Int(bytes[0])
    }
}

switch CommandLine.arguments.dropFirst().first {
case "ready":
    // Each twice: the second says nothing new.
    Readiness.ready()
    Readiness.ready()
    Readiness.alive()
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
case "crash":
    SignalReceiver.blockAll()
    var limit = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    let cell = try CrashCell(CommandLine.arguments[2])
    cell.tally = (9, 2)
    cell.position = 77
    try cell.watch()
    // A SIGTERM that is not blocked, as who sends it expects.
    var termination = sigset_t()
    sigaddset(&termination, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &termination, nil)
    say("watching")
    crash(CommandLine.arguments[3], cell)
case "listen":
    let sockets = try ListeningSocket.bind("127.0.0.1:0")
    try ListeningSocket.pass(sockets, to: ["/proc/self/exe", "inherit"])
case "inherit":
    let sockets = try ListeningSocket.inherited()
    say(sockets.map(\.address).joined(separator: " "))
    while readLine() != nil { say(try sockets.first?.accept()?.peer ?? "nobody") }
default: exit(2)
}
