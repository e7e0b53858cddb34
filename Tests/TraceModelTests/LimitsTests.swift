import Testing
import TraceModel

@Suite struct LimitsTests { @Test func theLimitsFitOneAnother() { Limits.assertRelations() } }
