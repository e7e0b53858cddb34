import Testing
import TraceModel

/// Names as they are written on command lines, in files, and on the wire.
@Suite struct NameTests {
    @Test func workersAreNamedByResourceAndIndex() throws {
        for resource in Resource.allCases {
            for index in [0, 1, 9, 10, Limits.workersPerResourceMax - 1] {
                let name = WorkerName(resource: resource, index: index)
                #expect(WorkerName(name.description) == name)
            }
        }
        #expect(WorkerName("gpu.3") == WorkerName(resource: .gpu, index: 3))
    }

    /// One worker has one name: what is nearly one would be a second worker on the same files.
    @Test(arguments: [
        "", ".", "gpu", "gpu.", ".0", "gpu.0.", "gpu.0.0", "GPU.0", "disk.0", "gpu.-1", "gpu.64",
        "gpu.x", " gpu.0",
        "gpu.0 ", "gpu.+1", "gpu.-0", "gpu.01", "gpu.99999999999999999999",
    ]) func whatIsNoWorkersNameIsRefused(text: String) { #expect(WorkerName(text) == nil) }

    @Test func countsNameResourcesOnce() {
        #expect(WorkerCounts.parse("") == [:])
        #expect(WorkerCounts.parse("function=2") == [.function: 2])
        #expect(WorkerCounts.parse("function=2,cpu=64") == [.function: 2, .cpu: 64])
    }

    @Test(arguments: [
        "function", "function=", "=2", "function=0", "function=65", "function=-1", "function=2=3",
        "function=2,function=3", "disk=1", "function=2 ", "function=two", "function=+2",
        "function=02",
    ]) func whatIsNoCountIsRefused(text: String) { #expect(WorkerCounts.parse(text) == nil) }

    /// The field numbers of Protos/tracer_service.proto.
    @Test func resourcesAndBatchFieldsAreOneToOne() {
        let fields: [(Resource, UInt32)] = [
            (.function, 1), (.gpu, 2), (.cpu, 3), (.memory, 4), (.network, 5), (.io, 6),
        ]
        #expect(fields.count == Resource.count && Resource.allCases.count == Resource.count)
        for (resource, field) in fields {
            #expect(resource.batchField == field)
            #expect(Resource(batchField: field) == resource)
            #expect(Resource(name: resource.name) == resource)
        }
        for other: UInt32 in [0, 7, 100, 101, 102, 103, .max] {
            #expect(Resource(batchField: other) == nil)
        }
        #expect(Resource.allCases.map { Int($0.rawValue) } == Array(0..<Resource.count))
    }

    /// As `String`s the first three, and the next two, are equal.
    @Test func keysAreTheirBytes() {
        let texts = [
            "A\u{30A}", "\u{C5}", "\u{212B}", "e\u{301}", "\u{E9}", "", "e", "K", "\u{212A}",
        ]
        #expect(texts[0] == texts[1] && texts[1] == texts[2])
        #expect(Set(texts.map { TextKey($0) }).count == texts.count)
        for left in texts {
            for right in texts {
                let (first, second) = (Array(left.utf8), Array(right.utf8))
                #expect(TextKey.areEqual(left, right) == (first == second))
                #expect(TextKey.areInOrder(left, right) == first.lexicographicallyPrecedes(second))
            }
        }
    }
}
