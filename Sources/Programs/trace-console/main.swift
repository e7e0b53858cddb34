import ArgumentParser
import ConsoleRole
import SystemIO
import TraceModel

// Before any thread starts, so that each of them inherits the signal mask and the priority.
SignalReceiver.blockAll()
Console.giveWay()
Heap.setUp(mappedBytesMin: Limits.mappedBytesMin)
TraceConsole.main()
