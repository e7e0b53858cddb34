import TraceModel

/// A value of a JSON text with the line it begins in.
struct ConfigurationNode {
    enum Content {
        case object([Member])
        case array([ConfigurationNode])
        case string(String)
        case number(Double)
        case bool(Bool)
        case null
    }

    struct Member {
        let key: String
        let line: Int
        let value: ConfigurationNode
    }

    let line: Int
    let content: Content
}
