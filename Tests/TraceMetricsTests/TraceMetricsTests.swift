// Tests of TraceMetrics.
