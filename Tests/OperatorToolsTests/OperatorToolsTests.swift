// Tests of OperatorTools.
