// Tests of TraceWire.
