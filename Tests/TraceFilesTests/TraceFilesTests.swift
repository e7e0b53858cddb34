// Tests of TraceFiles.
