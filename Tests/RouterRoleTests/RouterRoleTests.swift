// Tests of RouterRole.
