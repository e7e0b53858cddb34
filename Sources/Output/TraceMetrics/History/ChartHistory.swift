import SystemIO
package import TraceModel

/// What the charts of the last day show: each measure of each host, and of all hosts together, once a second for an
/// hour and every ten seconds for a day. Pure: it uses no clock and does no I/O.
///
/// All points lie in rings, so that memory is bounded by the number of tracks, and a track is only created when its
/// measure is not zero for the first time. Where there is no room for a new track, the one that has been zero or absent
/// for longest gives way if that is at least a minute; else the new one is left out, and counted.
package struct ChartHistory: Sendable {
    /// The interval of points. Raw values are stored.
    package enum Resolution: UInt8, CaseIterable, Sendable {
        case second = 1
        case tenSeconds = 10

        package var seconds: Int64 { Int64(rawValue) }
        /// Points in a ring.
        package var points: Int { self == .second ? 3_600 : 8_640 }
        /// The time that a ring covers, in seconds.
        package var span: Int64 { Int64(points) * seconds }
    }

    /// The identity of a track; `host` is nil for all hosts together.
    private struct Key: Hashable {
        let host: TextKey?
        let measure: ChartMeasure
    }

    /// The points of one measure, by second and by ten seconds modulo the length of each ring.
    private struct Track {
        let key: Key
        var fine = [Float](repeating: .nan, count: Resolution.second.points)
        var coarse = [Float](repeating: .nan, count: Resolution.tenSeconds.points)
        /// The last second with a value other than zero.
        var activeAt: Int64
    }

    /// Memory of one track.
    private static let trackBytes =
        Resolution.allCases.map(\.points).reduce(0, +) * MemoryLayout<Float>.size
    private static let quietSecondsMin: Int64 = 60
    private static let joinedSecondsMax: Int64 = 10

    private var tracks: [Track] = []
    private var positions: [Key: Int] = [:]
    private let tracksMax: Int
    /// The second of the last points, since the Unix epoch; 0 before the first.
    package private(set) var second: Int64 = 0
    /// How often a track was left out for want of room.
    package private(set) var omitted: UInt64 = 0

    package init(bytesMax: Int = Limits.chartHistoryBytesMax) {
        tracksMax = bytesMax / Self.trackBytes
    }

    // MARK: Adding points

    /// Adds the points of the seconds since the last call up to this one.
    ///
    /// Where the last call was more than ten seconds ago, only this second gets points. If the clock was set back, the
    /// points of the time that is now to come are removed.
    package mutating func append(_ samples: [ChartSampler.Sample], at second: Int64) {
        if second <= self.second { removePoints(from: second) }
        let first = second - self.second > Self.joinedSecondsMax ? second : self.second + 1
        for at in first...second {
            advance(to: at)
            append(samples)
        }
    }

    private mutating func append(_ samples: [ChartSampler.Sample]) {
        for sample in samples {
            for measure in ChartMeasure.allCases {
                let value = sample.values[Int(measure.rawValue)]
                guard !value.isNaN else { continue }
                let key = Key(host: sample.host, measure: measure)
                guard let track = track(key, isNeeded: value != 0) else { continue }
                set(value, of: track, at: second, .second)
                updateCoarsePoint(of: track)
            }
        }
    }

    /// Makes `second` the last one. The rings' cells from the last second to this one get no value.
    private mutating func advance(to second: Int64) {
        guard second > self.second else { return }
        for resolution in Resolution.allCases {
            let length = resolution.seconds
            let last = second / length
            let first = max(self.second / length + 1, last - Int64(resolution.points) + 1)
            guard first <= last else { continue }
            clear(resolution, first...last)
        }
        self.second = second
    }

    private mutating func removePoints(from second: Int64) {
        for resolution in Resolution.allCases {
            let length = resolution.seconds
            let last = self.second / length
            let first = max(second / length, last - Int64(resolution.points) + 1)
            if first <= last { clear(resolution, first...last) }
        }
        self.second = second - 1
    }

    private mutating func clear(_ resolution: Resolution, _ intervals: ClosedRange<Int64>) {
        for track in tracks.indices {
            for interval in intervals {
                let cell = Int(interval % Int64(resolution.points))
                switch resolution {
                case .second: tracks[track].fine[cell] = .nan
                case .tenSeconds: tracks[track].coarse[cell] = .nan
                }
            }
        }
    }

    private mutating func set(
        _ value: Float,
        of track: Int,
        at second: Int64,
        _ resolution: Resolution
    ) {
        let cell = Int(second / resolution.seconds % Int64(resolution.points))
        switch resolution {
        case .second: tracks[track].fine[cell] = value
        case .tenSeconds: tracks[track].coarse[cell] = value
        }
        if value != 0 { tracks[track].activeAt = max(tracks[track].activeAt, second) }
    }

    private mutating func updateCoarsePoint(of track: Int) {
        let begin = second / Resolution.tenSeconds.seconds * Resolution.tenSeconds.seconds
        let values = (begin...second).map {
            tracks[track].fine[Int($0 % Int64(Resolution.second.points))]
        }
        set(
            Self.combined(values, tracks[track].key.measure),
            of: track,
            at: second,
            .tenSeconds
        )
    }

    private static func combined(_ values: [Float], _ measure: ChartMeasure) -> Float {
        let values = values.filter { !$0.isNaN }
        guard let most = values.max() else { return .nan }
        return measure.isCombinedByMaximum ? most : values.reduce(0, +) / Float(values.count)
    }

    /// Returns the track's position, and creates it where it is needed and there is room.
    private mutating func track(_ key: Key, isNeeded: Bool) -> Int? {
        if let known = positions[key] { return known }
        guard isNeeded else { return nil }
        let new = Track(key: key, activeAt: second)
        if tracks.count < tracksMax {
            tracks.append(new)
            positions[key] = tracks.count - 1
            return tracks.count - 1
        }
        // The tracks of all hosts together never give way.
        let quietest = tracks.enumerated().filter { $0.element.key.host != nil }
            .min { $0.element.activeAt < $1.element.activeAt }?.offset
        guard let quietest, second - tracks[quietest].activeAt >= Self.quietSecondsMin else {
            omitted += 1
            return nil
        }
        positions[tracks[quietest].key] = nil
        tracks[quietest] = new
        positions[key] = quietest
        return quietest
    }

    // MARK: Reading

    /// Returns the points of a measure from `first` on, one for each `step` seconds: the mean of what is in it, or the
    /// maximum of a quantile. NaN where there is none.
    /// - Parameters:
    ///   - host: nil for all hosts together.
    ///   - first: A multiple of `step`.
    ///   - step: In seconds; a multiple of the resolution's.
    package func points(
        _ measure: ChartMeasure,
        host: String?,
        from first: Int64,
        count: Int,
        step: Int64,
        _ resolution: Resolution
    ) -> [Float] {
        precondition(step > 0 && step % resolution.seconds == 0 && first % step == 0)
        guard let track = positions[Key(host: host.map(TextKey.init), measure: measure)] else {
            return [Float](repeating: .nan, count: count)
        }
        return (0..<Int64(count)).map { point in
            let begin = first + point * step
            let values = stride(from: begin, to: begin + step, by: Int(resolution.seconds)).map {
                value(of: track, at: $0, resolution)
            }
            return Self.combined(values, measure)
        }
    }

    private func value(of track: Int, at second: Int64, _ resolution: Resolution) -> Float {
        let interval = second / resolution.seconds
        let last = self.second / resolution.seconds
        guard interval <= last, interval > last - Int64(resolution.points) else { return .nan }
        let cell = Int(interval % Int64(resolution.points))
        return resolution == .second ? tracks[track].fine[cell] : tracks[track].coarse[cell]
    }

    /// The hosts that have tracks, in order of their names.
    package var hosts: [String] {
        Set(tracks.compactMap(\.key.host)).sorted().map(\.text)
    }

    // MARK: Saving

    /// Returns a block of points to be stored. Its form is described in FORMATS.md.
    package func block(_ resolution: Resolution, from first: Int64, count: Int) -> [UInt8] {
        var bytes = RawBuffer()
        bytes.append(byte: resolution.rawValue)
        bytes.append(integer: first)
        bytes.append(integer: UInt16(count))
        for track in tracks.indices {
            let values = (0..<Int64(count)).map {
                value(of: track, at: first + $0 * resolution.seconds, resolution)
            }
            guard values.contains(where: { !$0.isNaN }) else { continue }
            let key = tracks[track].key
            bytes.append(byte: key.measure.rawValue)
            bytes.append(byte: key.host == nil ? 0 : 1)
            bytes.append(counted: key.host?.text ?? "")
            for value in values { bytes.append(integer: value.bitPattern) }
        }
        return unsafe Array(bytes.bytes)
    }

    /// Adds the points of a stored block. Blocks of a resolution have to come in order of time.
    /// - Throws: `TraceError(.corrupt)` where it is not what `block` returns; what precedes that is added.
    package mutating func restore(_ block: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = unsafe StateReader(block)
        guard let resolution = Resolution(rawValue: try reader.integer(UInt8.self)) else {
            throw TraceError(.corrupt, "a block of points has an unknown resolution")
        }
        let first = try reader.integer(Int64.self)
        let count = Int(try reader.integer(UInt16.self))
        guard first > 0, first < .max / 2, count > 0, count <= resolution.points else {
            throw TraceError(.corrupt, "a block of points has an impossible time")
        }
        advance(to: first + Int64(count - 1) * resolution.seconds)
        while !reader.isAtEnd {
            guard let measure = ChartMeasure(rawValue: try reader.integer(UInt8.self)) else {
                throw TraceError(.corrupt, "a block of points has an unknown measure")
            }
            let isOfHost = try reader.integer(UInt8.self) != 0
            let host = try reader.text()
            let key = Key(host: isOfHost ? TextKey(host) : nil, measure: measure)
            let track = track(key, isNeeded: true)
            for point in 0..<Int64(count) {
                let value = Float(bitPattern: try reader.integer(UInt32.self))
                let at = first + point * resolution.seconds
                guard let track, !value.isNaN, at > second - resolution.span else { continue }
                set(value, of: track, at: at, resolution)
            }
        }
    }
}
