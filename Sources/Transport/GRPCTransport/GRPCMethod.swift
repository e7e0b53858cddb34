/// One method a server offers.
package struct GRPCMethod: Sendable, Equatable {
    package enum Kind: Sendable {
        case unary
        /// Any stream: the handler asks for each message of the client with `receiveNext`, and sends
        /// as many as it likes.
        case stream
    }

    /// Which bound on receives a unary call falls under.
    package enum Lane: Sendable {
        case ingest
        /// Small messages of operators and probes.
        case control
    }

    /// As on the wire: `/NeuTracer.TracerService/SendTraceBatch`.
    package let path: String
    package let kind: Kind
    package let lane: Lane

    package init(path: String, kind: Kind, lane: Lane = .ingest) {
        self.path = path
        self.kind = kind
        self.lane = lane
    }
}
