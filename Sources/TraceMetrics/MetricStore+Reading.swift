import TraceModel

extension MetricStore {
    /// Series gathered by family.
    private typealias Gathered = [MetricFamily: [MetricReading.Series]]

    /// Merges everything into what is to be exposed. O(series); some 50 ms for 50,000.
    package mutating func reading() -> MetricReading {
        var gathered = Gathered()
        let folded = gatherSlots(into: &gathered)
        var small = ownTotals()
        for (key, value) in folded {
            if small[key]?.add(value) == nil { small[key] = value }
        }
        for (key, value) in small { merge(key, value, into: &gathered) }
        let workers = workerReadings()
        let written = total(.eventsTotal, in: gathered)
        addStatus(workers, written: written, to: &gathered)
        addLosses(to: &gathered)
        addSeriesCounts(to: &gathered)
        let families = MetricCatalog.all.compactMap { descriptor in
            gathered[descriptor.family].map { series in
                MetricReading.Family(
                    descriptor: descriptor,
                    series: series.byLabels()
                )
            }
        }
        let routerState = processes[MetricSnapshot.router]
        return MetricReading(
            revision: revision,
            families: families,
            router: router,
            routerPID: routerState?.isUp == true ? routerState?.pid : nil,
            workers: workers,
            writtenEvents: written
        )
    }

    // MARK: What came from the log

    /// Adds the exposed series in the order of their labels; returns the folded ones.
    private mutating func gatherSlots(into gathered: inout Gathered) -> [SeriesKey: MetricValue] {
        let numbers = table.sortedNumbers()
        let merged = mergedSlots()
        var folded: [SeriesKey: MetricValue] = [:]
        for number in numbers {
            guard let value = merged[number] else { continue }
            let key = table.key(of: number)
            guard table.isFolded(number) else {
                let series = MetricReading.Series(labels: key.labels, value: value)
                gathered[key.family, default: []].append(series)
                continue
            }
            // A gauge of several processes together would mean nothing.
            guard value.kind != .gauge else { continue }
            let other = SeriesKey.overflow(of: key.family)
            if folded[other]?.add(value) == nil { folded[other] = value }
        }
        return folded
    }

    /// The slots' values by number. In the order of (LSN, resource, slot), so that sums of fractions
    /// and the last gauge never depend on the order in which messages came.
    private func mergedSlots() -> [MetricValue?] {
        var merged = [MetricValue?](repeating: nil, count: table.capacity)
        let ordered = sections.sorted { left, right in
            (left.value.lsn, left.key.resource.rawValue, left.key.slot)
                < (right.value.lsn, right.key.resource.rawValue, right.key.slot)
        }
        for (_, section) in ordered {
            let source = processes[section.source.process]
            let showsGauges =
                source?.isUp == true && source?.incarnation == section.source.incarnation
            for (number, value) in section.values {
                if value.kind == .gauge, !showsGauges { continue }
                if merged[number]?.add(value) == nil { merged[number] = value }
            }
        }
        return merged
    }

    // MARK: What processes say of themselves

    private func ownTotals() -> [SeriesKey: MetricValue] {
        var totals = retired
        for (_, state) in processes.sorted(by: { $0.key < $1.key }) {
            for (key, value) in state.own {
                if value.kind == .gauge, !state.isUp { continue }
                if totals[key]?.add(value) == nil { totals[key] = value }
            }
        }
        return totals
    }

    private func workerReadings() -> [MetricReading.Worker] {
        router.workers.map { link in
            let state = processes["\(link.worker)"]
            let isUp = state?.isUp == true
            return MetricReading.Worker(
                name: link.worker,
                pid: isUp ? state?.pid : nil,
                isUp: isUp,
                lagBytes: link.lagBytes,
                appliedLSN: state?.appliedLSN ?? 0,
                checkpointLSN: state?.checkpointLSN ?? 0,
                restarts: state?.restarts ?? 0
            )
        }
    }

    // MARK: What follows from the rest

    private func addStatus(
        _ workers: [MetricReading.Worker],
        written: UInt64,
        to gathered: inout Gathered
    ) {
        func add(_ family: MetricFamily, _ number: UInt64, _ labels: [String] = []) {
            let value: MetricValue =
                family.descriptor.kind == .counter
                ? .counter(Double(number)) : .gauge(Double(number))
            merge(SeriesKey(family: family, labels: labels), value, into: &gathered)
        }
        add(.receivedEventsTotal, router.receivedEvents)
        add(.writtenEventsTotal, written)
        add(.deduplicatedEventsTotal, router.deduplicatedEvents)
        add(.deadLetteredEventsTotal, router.deadLetteredEvents)
        add(.rejectedEventsTotal, router.rejectedEvents)
        let routerUp = processes[MetricSnapshot.router]?.isUp == true
        add(.routerUp, routerUp ? 1 : 0)
        add(.routerAccepting, routerUp && router.accepting ? 1 : 0)
        add(.routerHeadLSN, router.headLSN)
        add(.routerWindow, router.window)
        for worker in workers {
            let labels = ["\(worker.name)"]
            add(.workerUp, worker.isUp ? 1 : 0, labels)
            add(.workerLagBytes, worker.lagBytes, labels)
            add(.workerAppliedLSN, worker.appliedLSN, labels)
            add(.workerCheckpointLSN, worker.checkpointLSN, labels)
            add(.workerRestartsTotal, worker.restarts, labels)
        }
    }

    /// Every kind shows, also at 0: an alert on a rate needs the series to be there before the loss.
    private func addLosses(to gathered: inout Gathered) {
        for kind in LossKind.allCases {
            var count = losses[kind, default: 0]
            if kind == .workerRestart {
                for (name, state) in processes where WorkerName(name) != nil {
                    count &+= state.restarts
                }
            }
            let key = SeriesKey(family: .errorsTotal, labels: [kind.rawValue])
            merge(key, .counter(Double(count)), into: &gathered)
        }
    }

    private func addSeriesCounts(to gathered: inout Gathered) {
        let counts = gathered.map { ($0.key.descriptor.name, $0.value.count) }
        for (name, count) in counts {
            let key = SeriesKey(family: .metricSeries, labels: [name])
            merge(key, .gauge(Double(count)), into: &gathered)
        }
    }

    private func total(_ family: MetricFamily, in gathered: Gathered) -> UInt64 {
        var sum = 0.0
        for series in gathered[family] ?? [] {
            if case .counter(let value) = series.value { sum += value }
        }
        return UInt64(exactly: sum.rounded(.down)) ?? .max
    }

    /// Adds to a family's series with these labels, or appends a new one. The families this is used for
    /// are small, or the one series is `other`.
    private func merge(_ key: SeriesKey, _ value: MetricValue, into gathered: inout Gathered) {
        var series = gathered.removeValue(forKey: key.family) ?? []
        defer { gathered[key.family] = series }
        guard let index = series.firstIndex(where: { $0.labels == key.labels }) else {
            series.append(MetricReading.Series(labels: key.labels, value: value))
            return
        }
        var sum = series[index].value
        sum.add(value)
        series[index] = MetricReading.Series(labels: key.labels, value: sum)
    }
}

extension [MetricReading.Series] {
    /// Sorts by the labels; O(n) where that is already their order, as it nearly always is.
    fileprivate func byLabels() -> [MetricReading.Series] {
        func areInOrder(_ left: Element, _ right: Element) -> Bool {
            left.labels.lexicographicallyPrecedes(right.labels)
        }
        let inOrder = zip(self, dropFirst()).allSatisfy { !areInOrder($1, $0) }
        return inOrder ? self : sorted(by: areInOrder)
    }
}
