import ArgumentParser
import SystemIO

// Before any thread starts, so that each of them inherits the mask.
SignalReceiver.blockAll()
Heap.setUp(mappedBytesMin: 8 << 20)
TraceAggregator.main()
