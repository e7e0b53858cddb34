// Tests of TraceTime.
