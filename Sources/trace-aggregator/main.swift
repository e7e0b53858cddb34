import ArgumentParser
import SystemIO

// Before any thread starts, so that each of them inherits the mask.
SignalReceiver.blockAll()
Heap.useOneArena()
TraceAggregator.main()
