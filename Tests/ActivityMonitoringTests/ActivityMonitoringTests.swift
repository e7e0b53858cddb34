// Tests of ActivityMonitoring.
