/// Entries of a function so far, and what its finished calls took.
struct FunctionCounter {
    private(set) var entries: UInt64 = 0
    private(set) var finished: UInt64 = 0
    /// Of the finished calls.
    private(set) var microseconds: UInt64 = 0

    mutating func begin() { entries += 1 }

    mutating func finish(microseconds: Int64) {
        finished += 1
        self.microseconds += UInt64(microseconds)
    }
}

/// Counters of all functions of a process.
struct FunctionCounters {
    private var counters = [FunctionCounter](
        repeating: FunctionCounter(),
        count: ProgramFunction.allCases.count
    )

    /// Takes in a call's begin or end; the function and its counters where it is one.
    mutating func note(
        _ happening: Happening
    ) -> (function: ProgramFunction, isEntry: Bool, counter: FunctionCounter)? {
        switch happening.action {
        case .enter(let function):
            counters[function.rawValue].begin()
            return (function, true, counters[function.rawValue])
        case .leave(let function, let began):
            counters[function.rawValue].finish(microseconds: happening.time - began)
            return (function, false, counters[function.rawValue])
        default: return nil
        }
    }

    subscript(_ function: ProgramFunction) -> FunctionCounter { counters[function.rawValue] }
}
