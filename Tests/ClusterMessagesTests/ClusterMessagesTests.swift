// Tests of ClusterMessages.
