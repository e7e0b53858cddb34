import SystemIO
import Testing
import TraceModel

@testable import TraceProcessing

/// Entries are found by their names however many there are, and whatever goes, against a list.
@Suite struct NamedTableTests {
    private static func withName<Result>(_ name: String, _ body: (ByteView) -> Result) -> Result {
        var name = name
        return name.withUTF8 { body(ByteView(UnsafeRawBufferPointer($0))) }
    }

    /// The memory of a table that has gone serves another one, which knows nothing of its entries.
    @Test func memoryIsUsedAgain() {
        for count in 0...3 {
            var gone = NamedTable<CPUAccount>()
            for number in 0..<count {
                Self.withName("old \(number)") { gone.insert($0) }.pointee.onTime.add(7)
            }
            var table = NamedTable<CPUAccount>()
            table.takeMemory(of: &gone)
            #expect(table.count == 0 && table.stateBytes == 0)
            #expect(Self.withName("old 0") { table.find($0) } == nil)
            var fresh = NamedTable<CPUAccount>()
            for name in ["first", "a name of more than sixteen bytes", "third"] {
                let entry = Self.withName(name) { table.insert($0) }
                _ = Self.withName(name) { fresh.insert($0) }
                #expect(Self.withName(name) { entry.pointee.isNamed($0) })
                #expect(entry.pointee.onTime.value == 0 && !entry.pointee.isDirty)
                #expect(table.count == fresh.count && table.stateBytes == fresh.stateBytes)
            }
        }
    }

    /// Small tables are searched linearly, large ones are hashed; tables grow from one to the other and back.
    @Test func entriesAreFoundWhateverComesAndGoes() {
        var random = SplitMix(seed: 11)
        for most in [1, 4, 5, 6, 40, 1_000] {
            var table = NamedTable<GPUSeries>()
            var names: [String] = []
            for round in 0..<30 {
                while names.count < most {
                    let name = "kernel \(round) \(names.count)"
                    let place = Self.withName(name) { table.insert($0) }
                    #expect(Self.withName(name) { place.pointee.isNamed($0) })
                    names.append(name)
                }
                let isKept = names.map { _ in random.below(3) == 0 }
                let kept = zip(names, isKept).filter { $0.1 }.map { $0.0 }
                var asked = 0
                let hasGone = table.remove { _ in
                    asked += 1
                    return !isKept[asked - 1]
                }
                #expect(asked == names.count && hasGone == (kept.count < names.count))
                for name in names where !kept.contains(name) {
                    #expect(Self.withName(name) { table.find($0) } == nil)
                }
                names = kept
                #expect(table.count == names.count)
                for (position, name) in names.enumerated() {
                    let place = table.entries[position]
                    #expect(Self.withName(name) { table.find($0) } == place)
                    let again = Self.withName(name) {
                        table.find($0, hash: table.prefetchIndex($0))
                    }
                    #expect(again == place)
                }
                let bytes = names.indices.reduce(0) {
                    $0 + NamedTable<GPUSeries>.bytes(of: table.entries[$1].pointee)
                }
                #expect(table.stateBytes == bytes)
            }
        }
    }

    /// A hash that was made before an entry came is that of the entry.
    @Test func entriesAreFiledUnderTheHashOfTheirNames() {
        var table = NamedTable<GPUSeries>()
        for number in 0..<50 {
            let place = Self.withName("k\(number)") {
                table.insert($0, hash: table.prefetchIndex($0))
            }
            #expect(Self.withName("k\(number)") { table.find($0) } == place)
        }
        #expect(table.count == 50 && Self.withName("k50") { table.find($0) } == nil)
    }
}
