import TraceFiles
import TraceWire

/// The large numbers of a CPU event, and those with decimals.
struct CPUNumbers: ~Copyable {
    let utilization: DoubleText
    let hotspot: DoubleText
    let onCPU: NumberText
    let offCPU: NumberText

    @inline(__always) init(_ event: CPUEvent) {
        utilization = DoubleText(event.utilizationPercent)
        hotspot = DoubleText(event.hotspotPercent)
        onCPU = NumberText(event.onCPUMicroseconds)
        offCPU = NumberText(event.offCPUMicroseconds)
    }
}
