// Tests of TraceModel.
