// Tests of AggregatorRole.
