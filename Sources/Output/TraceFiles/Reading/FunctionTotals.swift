/// Calls and times of one function over all paths, processes and windows.
package struct FunctionTotals: Sendable, Equatable {
    package let name: [UInt8]
    package var calls: UInt64 = 0
    package var selfNanoseconds: UInt64 = 0
    /// The time in which the function was on a thread's path; a recursive call counts once.
    package var totalNanoseconds: UInt64 = 0

    /// By which number functions are ordered.
    package enum Order: String, CaseIterable, Sendable {
        case `self`
        case total
        case calls
    }

    /// Returns the number that an order goes by.
    package func number(_ order: Order) -> UInt64 {
        switch order {
        case .self: selfNanoseconds
        case .total: totalNanoseconds
        case .calls: calls
        }
    }

    /// Returns the functions of call paths, in the order in which their names were first met.
    package static func all(in paths: CallPaths) -> [FunctionTotals] {
        let totals = paths.totals()
        var found: [FunctionTotals] = []
        var places = [Int](repeating: -1, count: paths.names.count)
        for (position, node) in paths.nodes.enumerated() {
            guard paths.isFunction(position) else { continue }
            if places[node.name] < 0 {
                places[node.name] = found.count
                found.append(FunctionTotals(name: paths.names[node.name]))
            }
            let place = places[node.name]
            found[place].calls &+= node.calls
            found[place].selfNanoseconds &+= node.selfNanoseconds
            if !isInside(position, in: paths) {
                found[place].totalNanoseconds &+= totals[position]
            }
        }
        return found
    }

    /// Returns the first functions by a number, the greatest first.
    package static func top(_ count: Int, by order: Order, in paths: CallPaths) -> [FunctionTotals]
    {
        let sorted = all(in: paths).sorted {
            let (left, right) = ($0.number(order), $1.number(order))
            if left != right { return left > right }
            return $0.name.lexicographicallyPrecedes($1.name)
        }
        return Array(sorted.prefix(count))
    }

    /// Whether a function is called inside itself along its path.
    private static func isInside(_ position: Int, in paths: CallPaths) -> Bool {
        let name = paths.nodes[position].name
        var around = paths.nodes[position].parent
        while let at = around, paths.isFunction(at) {
            if paths.nodes[at].name == name { return true }
            around = paths.nodes[at].parent
        }
        return false
    }
}

extension CallPaths {
    /// Whether a node is a function, not a host or a process.
    package func isFunction(_ position: Int) -> Bool {
        guard let process = nodes[position].parent else { return false }
        return nodes[process].parent != nil
    }
}

/// What differs in one function between two spans.
package struct FunctionDifference: Sendable {
    package let name: [UInt8]
    /// Nil where the function was not called.
    package let before: FunctionTotals?
    package let after: FunctionTotals?

    /// Self time in a second, in seconds: what the function adds to the total.
    package let selfBefore: Double
    package let selfAfter: Double

    package var difference: Double { selfAfter - selfBefore }

    /// Returns the functions by what they add to the total, or take from it, in a second: the greatest difference
    /// first.
    package static func all(from before: CallPaths, to after: CallPaths) -> [FunctionDifference] {
        var found: [[UInt8]: (FunctionTotals?, FunctionTotals?)] = [:]
        for function in FunctionTotals.all(in: before) { found[function.name] = (function, nil) }
        for function in FunctionTotals.all(in: after) {
            found[function.name] = (found[function.name]?.0, function)
        }
        return found.map { name, sides in
            FunctionDifference(
                name: name,
                before: sides.0,
                after: sides.1,
                selfBefore: share(sides.0, of: before),
                selfAfter: share(sides.1, of: after)
            )
        }.sorted {
            let (left, right) = (abs($0.difference), abs($1.difference))
            if left != right { return left > right }
            return $0.name.lexicographicallyPrecedes($1.name)
        }
    }

    private static func share(_ function: FunctionTotals?, of paths: CallPaths) -> Double {
        guard let function else { return 0 }
        return Double(function.selfNanoseconds) / Double(max(paths.lengthNanoseconds, 1))
    }
}
