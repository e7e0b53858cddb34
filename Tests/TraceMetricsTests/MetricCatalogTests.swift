import Testing
import TraceMetrics

@Suite struct MetricCatalogTests {
    @Test func everyFamilyIsListedOnceWithAUniqueName() {
        #expect(MetricCatalog.all.count == MetricFamily.allCases.count)
        #expect(Set(MetricCatalog.all.map(\.family)) == Set(MetricFamily.allCases))
        #expect(Set(MetricCatalog.all.map(\.name)).count == MetricCatalog.all.count)
        for family in MetricFamily.allCases { #expect(family.descriptor.family == family) }
    }

    @Test(arguments: MetricCatalog.all.filter { !$0.family.isNeuTracer }) func namesFollowTheRules(
        _ descriptor: MetricDescriptor
    ) {
        #expect(descriptor.name.hasPrefix("trace_"))
        #expect((descriptor.kind == .counter) == descriptor.name.hasSuffix("_total"))
        if !descriptor.unit.isEmpty {
            let base = descriptor.name.replacing("_total", with: "")
            #expect(base.hasSuffix("_" + descriptor.unit) || base.hasSuffix("_per_second"))
        }
        #expect(!descriptor.help.isEmpty)
        #expect(descriptor.derivation == nil)
    }

    @Test(arguments: MetricCatalog.all) func boundsAscendAndLabelsDiffer(
        _ descriptor: MetricDescriptor
    ) {
        #expect(descriptor.bounds == Set(descriptor.bounds).sorted())
        #expect(Set(descriptor.labels).count == descriptor.labels.count)
    }

    @Test(arguments: MetricCatalog.all.filter { $0.derivation != nil })
    func derivedFamiliesMatchTheirSource(
        _ descriptor: MetricDescriptor
    ) throws {
        let derivation = try #require(descriptor.derivation)
        let source = derivation.source.descriptor
        #expect(source.kind == descriptor.kind)
        #expect(source.bounds == descriptor.bounds)
        #expect(derivation.labels.count == descriptor.labels.count)
        for label in derivation.labels {
            switch label {
            case .copy(let index): #expect(source.labels.indices.contains(index))
            case .processOfPID(let index): #expect(source.labels[index] == "pid")
            }
        }
    }
}
