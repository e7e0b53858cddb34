// Tests of SystemIO.
