/// Splits the index of a method among the services that share one server.
struct ServiceRoutes: Sendable {
    private let firsts: [Int]

    /// How many methods each service has, in the server's order.
    init(counts: [Int]) {
        var firsts: [Int] = []
        var next = 0
        for count in counts {
            firsts.append(next)
            next += count
        }
        self.firsts = firsts
    }

    /// The service, by its place in `counts`, and the method's index within it.
    func find(_ method: Int) -> (service: Int, method: Int) {
        let service = (firsts.lastIndex { $0 <= method }) ?? 0
        return (service, method - firsts[service])
    }
}
