// Tests of TraceProcessing.
