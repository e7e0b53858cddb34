import ArgumentParser
import SystemIO
import TraceModel

// Before any thread starts, so that each of them inherits the signal mask.
SignalReceiver.blockAll()
Heap.setUp(mappedBytesMin: Limits.mappedBytesMin)
TraceAggregator.main()
