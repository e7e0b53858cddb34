import ClusterMessages
import TestSupport
import TraceModel

/// One end of a connection.
enum Endpoint: Hashable {
    case router
    case worker(WorkerName, incarnation: UInt64)
    case aggregator
}

/// A message between processes.
enum Message {
    case hello(WorkerHello)
    case progress(WorkerProgress)
    case welcome(WorkerWelcome)
    case share(ShareHeader, [UInt8])
    case fenced(WorkerFenced)
    case segmentsClosed(SegmentsClosed)
    case windowMerged(WindowMerged)
    /// Asks the peer to introduce itself.
    case heartbeat
}

/// The connections between the processes. Each keeps the order of messages and may delay them. If a process ends,
/// its unread messages are lost, and some of those it has sent.
struct SimulatedFabric {
    private struct Link {
        let from: Endpoint
        let to: Endpoint
        var messages: [Message] = []
    }

    private var links: [Link] = []

    mutating func send(_ message: Message, from: Endpoint, to: Endpoint) {
        if let index = links.firstIndex(where: { $0.from == from && $0.to == to }) {
            links[index].messages.append(message)
        } else {
            links.append(Link(from: from, to: to, messages: [message]))
        }
    }

    /// Delivers the next message of some connection to a process in `ready`.
    mutating func deliver(
        to ready: Set<Endpoint>,
        using random: inout SeededGenerator
    ) -> (from: Endpoint, to: Endpoint, message: Message)? {
        let busy = links.indices.filter {
            !links[$0].messages.isEmpty && ready.contains(links[$0].to)
        }
        guard let index = busy.randomElement(using: &random) else { return nil }
        return (links[index].from, links[index].to, links[index].messages.removeFirst())
    }

    mutating func processEnded(_ endpoint: Endpoint, using random: inout SeededGenerator) {
        for index in links.indices {
            let count = links[index].messages.count
            if links[index].to == endpoint {
                // Workers and the aggregator reconnect and send again what the router had not received.
                let isRetried = endpoint == .router || endpoint == .aggregator
                let lost = isRetried ? Int.random(in: 0...count, using: &random) : count
                links[index].messages.removeFirst(lost)
            } else if links[index].from == endpoint {
                links[index].messages.removeLast(Int.random(in: 0...count, using: &random))
            }
        }
        links.removeAll { $0.messages.isEmpty }
    }

    mutating func powerCut() { links = [] }
}
