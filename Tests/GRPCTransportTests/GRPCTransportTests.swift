// Tests of GRPCTransport.
