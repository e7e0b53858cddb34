// Tests of IngestLog.
