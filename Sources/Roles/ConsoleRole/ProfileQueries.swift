import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// The endpoints over call paths: `top`, `flame` and `diff`, in the forms of `tracectl`.
extension ConsoleQueries {
    /// The call paths of a selection, with the durations of calls.
    typealias Paths = (paths: CallPaths, durations: FunctionDurations)

    static func readings(_ catalog: WindowCatalog) -> SharedReadings<Paths> {
        SharedReadings { selection, context in
            try FunctionDurations.read(
                selection,
                nodesMax: Limits.consoleProfileNodesMax,
                catalog: catalog,
                budget: context.budget(),
                checkCancelled: { try context.check() }
            )
        }
    }

    func top(_ parameters: QueryParameters, _ context: QueryContext) throws -> QueryAnswer {
        let selection = try parameters.profileSelection()
        let order = try parameters.choice("by", FunctionTotals.Order.self, standard: .`self`)
        let limit = try functionLimit(parameters)
        let (state, (paths, durations)) = try read(selection, context)
        return try Self.json(
            TopReport(
                coverage: ProfileCoverage(paths, selection, openWindow: state.rawValue),
                functions: FunctionTotals.top(limit, by: order, in: paths),
                p99: durations.p99
            ),
            state
        )
    }

    func diff(_ parameters: QueryParameters, _ context: QueryContext) throws -> QueryAnswer {
        let before = try parameters.comparedSelection("a")
        let after = try parameters.comparedSelection("b")
        let limit = try functionLimit(parameters)
        let state = try closeWindow(upTo: Self.later(before, after), context)
        let budget = context.budget()
        let old = try Self.paths(before, budget, context)
        let new = try Self.paths(after, budget, context)
        return try Self.json(
            DiffReport(
                against: ProfileCoverage(old, before, openWindow: state.rawValue),
                coverage: ProfileCoverage(new, after, openWindow: state.rawValue),
                functions: FunctionDifference.all(from: old, to: new).prefix(limit)
            ),
            state
        )
    }

    func flame(_ parameters: QueryParameters, _ context: QueryContext) throws -> QueryAnswer {
        let selection = try parameters.profileSelection()
        let format = try parameters.choice("format", FlameGraph.Format.self, standard: .json)
        let (state, (paths, _)) = try read(selection, context)
        let budget = context.budget()
        let coverage = try Self.json(
            ProfileCoverage(paths, selection, openWindow: state.rawValue)
        ).bytes
        var bytes: [UInt8] = []
        try unsafe FlameGraph(paths, coverage: coverage) {
            try context.check()
            guard bytes.count + $0.count <= Limits.consoleAnswerBytesMax else {
                throw TraceError(
                    .exhausted,
                    "the call paths take more than \(Limits.consoleAnswerBytesMax >> 20) MiB",
                    remedy: "Narrow the time with from and to, or name a host or a process"
                )
            }
            try budget.take(2 * $0.count)
            unsafe bytes.append(contentsOf: $0)
        }.write(format)
        var answer = QueryAnswer(bytes, format)
        answer.openWindow = state
        return answer
    }

    /// Reads the call paths of a selection, for which the open window is closed if the span reaches into it.
    private func read(
        _ selection: ProfileSelection,
        _ context: QueryContext
    ) throws -> (OpenWindow.State, Paths) {
        let arrived = WallClock.monotonic()
        let state = try closeWindow(upTo: selection, context)
        return (state, try readings.read(selection, state, since: arrived, context))
    }

    /// Closes the open window if the selection's span reaches into it.
    private func closeWindow(
        upTo selection: ProfileSelection,
        _ context: QueryContext
    ) throws -> OpenWindow.State {
        if selection.stem != nil { return .apart }
        let windows = try catalog.read(checkCancelled: { try context.check() }).windows
        return try openWindow.close(upTo: selection.to, after: windows, context)
    }

    /// Returns the one of two selections that ends later.
    private static func later(
        _ first: ProfileSelection,
        _ second: ProfileSelection
    ) -> ProfileSelection {
        if first.stem != nil { return second }
        return second.stem != nil || first.to ?? .max > second.to ?? .max ? first : second
    }

    private static func json(
        _ value: some Encodable,
        _ state: OpenWindow.State
    ) throws -> QueryAnswer {
        var answer = try json(value)
        answer.openWindow = state
        return answer
    }

    private func functionLimit(_ parameters: QueryParameters) throws -> Int {
        try parameters.count("limit", standard: 100, max: Limits.consoleFunctionsMax)
    }

    private static func paths(
        _ selection: ProfileSelection,
        _ budget: ReadingBudget,
        _ context: QueryContext
    ) throws -> CallPaths {
        try context.check()
        return try CallPaths(
            selection,
            nodesMax: Limits.consoleProfileNodesMax,
            budget: budget,
            checkCancelled: { try context.check() }
        )
    }
}

extension QueryAnswer {
    /// Creates the answer of `flame`.
    fileprivate init(_ bytes: [UInt8], _ format: FlameGraph.Format) {
        switch format {
        case .json: self.init(bytes)
        case .speedscope: self.init(bytes, name: "calls.speedscope.json")
        case .folded:
            self.init(bytes, type: "text/plain; charset=utf-8", name: "calls.folded")
        case .svg: self.init(bytes, type: "image/svg+xml", name: "calls.svg")
        case .pprof: self.init(bytes, type: "application/gzip", name: "calls.pb.gz")
        }
    }
}

extension QueryParameters {
    /// Returns the windows and processes that `from`, `to`, `window`, `host` and `pid` select.
    func profileSelection() throws(TraceError) -> ProfileSelection {
        let span = try span()
        var selection = ProfileSelection()
        (selection.from, selection.to) = (span.from, span.to)
        selection.stem = text("window")
        selection.host = text("host")
        selection.pid = try processID()
        return selection
    }

    /// Returns one side of a comparison: `FROM..TO`, either of which may be missing, or the stem of a window, and behind
    /// it perhaps `@HOST`.
    func comparedSelection(_ name: String) throws(TraceError) -> ProfileSelection {
        guard let text = text(name) else {
            throw TraceError(.invalidArgument, "\(name) has to say what to compare")
        }
        var selection = ProfileSelection()
        let sides = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        selection.host = sides.count > 1 ? String(sides[1]) : self.text("host")
        selection.pid = try processID()
        guard let dots = sides[0].firstRange(of: "..") else {
            selection.stem = String(sides[0])
            return selection
        }
        let ends = [sides[0][..<dots.lowerBound], sides[0][dots.upperBound...]]
        var times: [EpochNanoseconds?] = []
        for end in ends {
            let time = end.isEmpty ? nil : UnitNumber.instant(String(end))
            guard end.isEmpty || time != nil else {
                throw TraceError(
                    .invalidArgument,
                    "\(name) takes FROM..TO in seconds since the epoch, or a window's stem, and perhaps @HOST"
                )
            }
            times.append(time)
        }
        (selection.from, selection.to) = (times[0], times[1])
        if let from = selection.from, let to = selection.to, from > to {
            throw TraceError(.invalidArgument, "\(name) ends before it begins")
        }
        return selection
    }
}
